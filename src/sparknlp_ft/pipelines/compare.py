"""Compare: cheap baselines and candidate models on the same rows of one pinned table; quality, size and speed.

Validation rows alone choose. The test split is reported once for each candidate, and decides nothing.
"""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from sparknlp_ft.config import Config
from sparknlp_ft.errors import ConfigError
from sparknlp_ft.pipelines.baselines import run_baselines
from sparknlp_ft.pipelines.board import board_of, check_board, write_board
from sparknlp_ft.pipelines.candidates import candidates_of, overrides
from sparknlp_ft.pipelines.checks import compared_metric
from sparknlp_ft.pipelines.contest import Contest, Trained, log_entry
from sparknlp_ft.pipelines.gate import Verdict, judge, of_manifest
from sparknlp_ft.pipelines.search import Found, check_trials
from sparknlp_ft.pipelines.train import lineage
from sparknlp_ft.progress import step
from sparknlp_ft.reports.leaderboard import BASELINE, Entry, as_text, draw, ranked
from sparknlp_ft.tables.delta import Pinned, TableRef, pin
from sparknlp_ft.tables.session import slots
from sparknlp_ft.tracking.store import Run, Store, connect, find_registered, register, start_run
from sparknlp_ft.training.launch import check_slots

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True)
class Comparison:
    """What a comparison came to."""

    source: Pinned
    measure: str
    entries: list[Entry]
    winner: Trained | None
    found: Found | None
    verdict: Verdict | None
    board: TableRef
    run_id: str
    given: Sequence[str]  #: arguments of the command line, for the commands that are shown

    def __str__(self) -> str:
        lines = [
            f"table        {self.source.ref.display} version {self.source.version}",
            f"chosen by    {self.measure} on validation rows alone; test is reported and decides nothing",
            "",
            as_text(self.entries, self.measure),
            "Baselines are fitted and timed on the driver, in one thread; models where Spark runs them.",
            "",
        ]
        if self.found is not None:
            failed = f", {self.found.failed} of them failed" if self.found.failed else ""
            lines += [f"search       {self.found.trials} trials{failed}; best settings:", _yaml(self.found.settings)]
        if self.winner is not None:
            lines += self._winner(self.winner)
        return "\n".join([*lines, f"leaderboard  {self.board.display} (run {self.run_id})"])

    def _winner(self, winner: Trained) -> list[str]:
        best = next((entry for entry in ranked(self.entries, self.measure) if entry.error is None), winner.entry)
        ahead = f"; the baseline {best.name} is better" if best.kind == BASELINE else ""
        value = winner.entry.validation[self.measure]
        lines = [f"winner       {winner.entry.name} (run {winner.entry.run_id}): validation {self.measure} {value:.4f}{ahead}"]
        if self.verdict is not None:
            return [*lines, f"alias        {self.verdict}"]
        train = shlex.join(["sparknlp-ft", "train", *self.given, *overrides(winner.candidate.settings)])
        score = shlex.join(["sparknlp-ft", "score", *self.given, f"score.model=runs:/{winner.entry.run_id}/model"])
        return [*lines, f"register it  {train}", f"or score     {score}"]


def run_compare(config: Config, spark: SparkSession, *, trials: int | None = None, given: Sequence[str] = ()) -> Comparison:
    """Measure the baselines and all candidates on one version of ``data.table``, and write the leaderboard.

    Args:
        config: The configuration; ``compare`` says what is compared.
        spark: The session.
        trials: Also search for better settings, from the first candidate's (or, without candidates, the configuration's).
        given: Arguments of the command line, for the commands that are shown at the end.

    Raises:
        UserError: Configuration, table or cluster do not fit, or every candidate failed for such a reason.
        RankError: Every candidate failed, and one for another reason.
    """
    check_trials(trials)
    candidates, measure = candidates_of(config), compared_metric(config)
    source = pin(spark, TableRef.parse(config.data.table, config.data.root), config.data.version)
    board = board_of(config, source)
    check_board(spark, board)
    if candidates or trials:
        check_slots(config.launch, slots(spark, wanted=config.launch.ranks))
    store = connect(config.tracking)
    with start_run(store, f"compare {config.model_name}", system_metrics=False) as run:
        run.log_table(source.ref.display, table_id=source.table_id, table_version=source.version, path=source.ref.path, context="compare")
        entries = [_logged_baseline(store, entry) for entry in run_baselines(config, spark, source)]
        _check_measured(measure, entries)
        contest = Contest(config, spark, store, source, run)
        contest.run_all(candidates)
        found = contest.run_search(candidates[0].config if candidates else config, trials, measure) if trials else None
        entries += contest.entries
        winner = contest.winner(measure)
        verdict = _register(config, spark, store, source, winner) if config.compare.register_winner and winner else None
        write_board(spark, board, entries, measure, source=source, run_id=run.run_id, task=config.data.task)
        contest.forget()
        result = Comparison(source, measure, entries, winner, found, verdict, board, run.run_id, given)
        _log(run, result)
    return result


def _check_measured(measure: str, entries: Sequence[Entry]) -> None:
    """Refuse a metric that this table's labels do not have (F1 of more than two, say), before anything is trained."""
    known = next((entry.validation for entry in entries if entry.validation), {measure: 0.0})
    if measure not in known:
        raise ConfigError(f"compare.measure: {measure!r} is not a metric of this table's labels. Valid: {', '.join(sorted(known))}")


def _register(config: Config, spark: SparkSession, store: Store, source: Pinned, winner: Trained) -> Verdict:
    # A comparison that was cut off may have registered it already.
    model = find_registered(store, config.model_name, winner.model)
    model = model or register(store, winner.model, config.model_name, tags=lineage(source, winner.manifest))
    return judge(winner.candidate.config, spark, store, source=source, model=model, **of_manifest(winner.manifest))


def _logged_baseline(store: Store, entry: Entry) -> Entry:
    with start_run(store, f"baseline {entry.name}", tags={"candidate": entry.name}, system_metrics=False) as run:
        run.log_settings(entry.settings)
        log_entry(run, entry)
    return replace(entry, run_id=run.run_id)


def _log(run: Run, result: Comparison) -> None:
    with step("logging the leaderboard"), tempfile.TemporaryDirectory(prefix="sparknlp_ft-compare-") as scratch:
        picture = Path(scratch) / "leaderboard.png"
        draw(result.entries, result.measure, picture, title=result.source.ref.display.rsplit("/", 1)[-1])
        run.log_file(picture)
        run.log_text(str(result), "leaderboard.txt")
        if result.found is not None:
            run.log_text(_yaml(result.found.settings), "best_settings.yaml")
        if result.winner is not None:
            run.set_tags({"winner": result.winner.entry.name, "winner_run_id": result.winner.entry.run_id})


def _yaml(settings: dict[str, Any]) -> str:
    nested: dict[str, dict[str, Any]] = {}
    for dotted, value in settings.items():
        section, _, key = dotted.partition(".")
        nested.setdefault(section, {})[key] = value
    return yaml.safe_dump(nested, sort_keys=False).rstrip()
