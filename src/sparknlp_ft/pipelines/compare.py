"""Compare: cheap baselines and candidate models on the same rows of one pinned table; quality, size and speed.

Validation rows alone choose. The test split is reported once for each candidate, and decides nothing.
"""

from __future__ import annotations

import shlex
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from sparknlp_ft.config import Config
from sparknlp_ft.errors import ConfigError, RankError, UserError
from sparknlp_ft.models.size import weights_of
from sparknlp_ft.pipelines.base import pin_base
from sparknlp_ft.pipelines.baselines import run_baselines
from sparknlp_ft.pipelines.board import board_of, check_board, write_board
from sparknlp_ft.pipelines.candidates import SECTIONS, Candidate, candidates_of, changed, overrides
from sparknlp_ft.pipelines.checks import compared_metric
from sparknlp_ft.pipelines.evaluate import Evaluation, evaluate_frame, split_rows
from sparknlp_ft.pipelines.gate import Verdict, judge, of_manifest
from sparknlp_ft.pipelines.search import Found, check_trials, search
from sparknlp_ft.pipelines.train import close_run_folder, fine_tune, lineage, log_result
from sparknlp_ft.progress import log, step
from sparknlp_ft.reports.leaderboard import BASELINE, MODEL, Entry, as_text, draw, ranked
from sparknlp_ft.tables.contracts import SPLIT, TEST, VALIDATION
from sparknlp_ft.tables.delta import Pinned, TableRef, files_present, pin
from sparknlp_ft.tables.session import slots
from sparknlp_ft.tables.snapshot import build_snapshot
from sparknlp_ft.tasks import get_task
from sparknlp_ft.text.manifest import Manifest
from sparknlp_ft.tracking.store import ModelRef, Run, Store, connect, register, start_run
from sparknlp_ft.training.job import TrainResult
from sparknlp_ft.training.launch import check_slots

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True)
class Trained:
    """A candidate that was trained and measured."""

    candidate: Candidate
    entry: Entry
    model: ModelRef
    manifest: Manifest


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
        contest = Contest(config, spark, store, source)
        contest.run_all(candidates)
        found = contest.run_search(candidates[0].config if candidates else config, trials, measure) if trials else None
        entries += contest.entries
        winner = contest.winner(measure)
        verdict = _register(config, spark, store, source, winner) if config.compare.register_winner and winner else None
        write_board(spark, board, entries, measure, source=source, run_id=run.run_id, task=config.data.task)
        if found is not None:
            found.study.unlink()
        result = Comparison(source, measure, entries, winner, found, verdict, board, run.run_id, given)
        _log(run, result)
    return result


class Contest:
    """The candidates of one comparison, trained and measured one after the other."""

    def __init__(self, config: Config, spark: SparkSession, store: Store, source: Pinned) -> None:
        self.config, self.spark, self.store, self.source = config, spark, store, source
        self.trained: list[Trained] = []
        self.failed: list[tuple[str, Exception]] = []
        self.bases: dict[tuple[str, str | None], str] = {}

    @property
    def entries(self) -> list[Entry]:
        """Leaderboard entries, of those that failed too."""
        return [*(one.entry for one in self.trained), *(Entry(name, MODEL, error=str(error)) for name, error in self.failed)]

    def winner(self, measure: str) -> Trained | None:
        """Return the best candidate; None if there were none.

        Raises:
            UserError: All failed; says why each did.
            RankError: All failed, one of them for another reason than a user's.
        """
        if self.trained:
            best = ranked([one.entry for one in self.trained], measure)[0]
            return next(one for one in self.trained if one.entry is best)
        if not self.failed:
            return None
        reasons = "\n  ".join(f"{name}: {error}" for name, error in self.failed)
        kind = ConfigError if all(isinstance(error, UserError) for _, error in self.failed) else RankError
        raise kind(f"no candidate could be trained:\n  {reasons}") from self.failed[0][1]

    def run_all(self, candidates: Sequence[Candidate]) -> None:
        """Train and measure each candidate; one that fails is noted, and the others go on."""
        for number, candidate in enumerate(candidates, start=1):
            log.info("candidate %d of %d: %s", number, len(candidates), candidate.name)
            try:
                self.trained.append(self._train_and_measure(replace(candidate, config=self._pinned(candidate.config))))
            except (UserError, RankError) as error:
                log.warning("candidate %s failed: %s", candidate.name, error)
                self.failed.append((candidate.name, error))

    def run_search(self, config: Config, trials: int, measure: str) -> Found | None:
        """Search from a configuration, and enter the best trial; None if all trials failed."""

        def train(one: Config, name: str) -> tuple[TrainResult, str]:
            with start_run(self.store, name) as run:
                result, _ = self._train(run, one)
                run.log_metrics({f"final_validation/{key}": value for key, value in result.best_metrics.items()})
            return close_run_folder(result, run.run_id), run.run_id

        name = f"search, {trials} trials"
        try:
            config = self._pinned(config)
            found = search(config, self.source, trials=trials, measure=measure, train=train)
        except (UserError, RankError) as error:
            self.failed.append((name, error))
            return None
        settings = {**_difference(self.config, config), **found.settings}
        candidate = Candidate(name, settings, changed(self.config, settings, name))
        with start_run(self.store, name, tags={"candidate": name}) as run:
            manifest = self._snapshot(run, *pin_base(candidate.config, self.store))
            run.log_settings(candidate.config.flat(), candidate.config.model_dump(mode="json"))
            self.trained.append(self._measure(run, candidate, manifest, found.result))
        shutil.rmtree(Path(found.result.best_dir).parent, ignore_errors=True)
        return found

    def _pinned(self, config: Config) -> Config:
        """Return the configuration with its base model as one version, the same throughout the comparison."""
        key = (config.model.base, config.model.revision)
        if key not in self.bases:
            self.bases[key] = pin_base(config, self.store)[0].model.base
        return config.model_copy(update={"model": config.model.model_copy(update={"base": self.bases[key]})})

    def _train_and_measure(self, candidate: Candidate) -> Trained:
        with start_run(self.store, candidate.name, tags={"candidate": candidate.name}) as run:
            result, manifest = self._train(run, candidate.config)
            trained = self._measure(run, candidate, manifest, result)
        # The model is logged: the run's folder has nothing that MLflow has not.
        shutil.rmtree(Path(close_run_folder(result, run.run_id).best_dir).parent, ignore_errors=True)
        return trained

    def _train(self, run: Run, config: Config) -> tuple[TrainResult, Manifest]:
        config, base = pin_base(config, self.store)
        manifest = self._snapshot(run, config, base)
        return fine_tune(run, config, self.spark, source=self.source, manifest=manifest, base=base), manifest

    def _snapshot(self, run: Run, config: Config, base: Path) -> Manifest:
        manifest = build_snapshot(self.spark, self.source, config, get_task(config.data.task), base)
        run.set_tags(lineage(self.source, manifest))
        return manifest

    def _measure(self, run: Run, candidate: Candidate, manifest: Manifest, result: TrainResult) -> Trained:
        with step(f"logging {candidate.name}"):
            model = log_result(run, result)
        parameters, size = weights_of(result.best_dir)
        validation, test, speed = self._scored(candidate.config, model, has_test=TEST in manifest.splits)
        entry = Entry(
            candidate.name,
            MODEL,
            validation.metrics,
            test.metrics if test else {},
            parameters=parameters,
            trained_share=result.trained_share,
            size_mb=size / 1e6,
            training_seconds=result.seconds,
            training_rows_per_second=result.train_rows_per_second,
            scoring_rows_per_second=speed,
            settings=_settings(candidate.config),
            run_id=run.run_id,
        )
        _log_entry(run, entry)
        return Trained(candidate, entry, model, manifest)

    def _scored(self, config: Config, model: ModelRef, *, has_test: bool) -> tuple[Evaluation, Evaluation | None, float]:
        """Score validation and test rows as ``score`` would; the speed is that of the workers that hold the model already."""
        spark, score = self.spark, config.score
        # Every slot loads the model in the first pass, whatever the number of rows, so that the second one loads it nowhere.
        wide = config.model_copy(update={"score": score.model_copy(update={"partitions": score.partitions or slots(spark)})})
        with files_present(self.source):
            rows = split_rows(config, spark, self.source)
            splits = {split: rows.where(rows[SPLIT] == split) for split in (VALIDATION, TEST)}
            passes = [VALIDATION, TEST if has_test else VALIDATION]
            results = [
                evaluate_frame(splits[split], model, config=wide, spark=spark, store=self.store, title=f"{split} rows") for split in passes
            ]
        speed = max((one.rows + one.unlabelled) / max(one.seconds, 1e-9) for one in results)
        return results[0], results[1] if passes[1] == TEST else None, speed


def _check_measured(measure: str, entries: Sequence[Entry]) -> None:
    """Refuse a metric that this table's labels do not have (F1 of more than two, say), before anything is trained."""
    known = next((entry.validation for entry in entries if entry.validation), {measure: 0.0})
    if measure not in known:
        raise ConfigError(f"compare.measure: {measure!r} is not a metric of this table's labels. Valid: {', '.join(sorted(known))}")


def _register(config: Config, spark: SparkSession, store: Store, source: Pinned, winner: Trained) -> Verdict:
    model = register(store, winner.model, config.model_name, tags=lineage(source, winner.manifest))
    return judge(winner.candidate.config, spark, store, source=source, model=model, **of_manifest(winner.manifest))


def _logged_baseline(store: Store, entry: Entry) -> Entry:
    with start_run(store, f"baseline {entry.name}", tags={"candidate": entry.name}, system_metrics=False) as run:
        run.log_settings(entry.settings)
        _log_entry(run, entry)
    return replace(entry, run_id=run.run_id)


def _log_entry(run: Run, entry: Entry) -> None:
    measured: dict[str, float | None] = {
        "parameters": entry.parameters,
        "size_mb": entry.size_mb,
        "training_seconds": entry.training_seconds,
        "training_rows_per_second": entry.training_rows_per_second,
        "scoring_rows_per_second": entry.scoring_rows_per_second,
        "trained_share": entry.trained_share,
    }
    run.log_metrics({f"compare/{name}": value for name, value in measured.items() if value is not None})
    run.log_metrics({f"final_validation/{name}": value for name, value in entry.validation.items()})
    run.log_metrics({f"test/{name}": value for name, value in entry.test.items()})


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


def _settings(config: Config) -> dict[str, object]:
    return {dotted: value for dotted, value in config.flat().items() if dotted.partition(".")[0] in SECTIONS}


def _difference(base: Config, other: Config) -> dict[str, Any]:
    before = _settings(base)
    return {dotted: value for dotted, value in _settings(other).items() if before.get(dotted) != value}


def _yaml(settings: dict[str, Any]) -> str:
    nested: dict[str, dict[str, Any]] = {}
    for dotted, value in settings.items():
        section, _, key = dotted.partition(".")
        nested.setdefault(section, {})[key] = value
    return yaml.safe_dump(nested, sort_keys=False).rstrip()
