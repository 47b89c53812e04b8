"""What a comparison came to: its last page, and what is logged of it to its run."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sparknlp_ft.comparing.candidates import overrides
from sparknlp_ft.comparing.contest import Trained
from sparknlp_ft.comparing.plan import Plan
from sparknlp_ft.comparing.search import Found
from sparknlp_ft.progress import step
from sparknlp_ft.reports.blocks import Bars, Block, Cell, Facts, Report, Table
from sparknlp_ft.reports.leaderboard import BASELINE, Entry, as_text, draw, ranked
from sparknlp_ft.reports.page import Viewed
from sparknlp_ft.steps.gate import Verdict
from sparknlp_ft.steps.reporting import keep_report, run_link
from sparknlp_ft.tables.delta import Pinned
from sparknlp_ft.tracking.store import Run


@dataclass(frozen=True)
class Comparison(Viewed):
    """What a comparison came to."""

    plan: Plan
    run_id: str
    entries: list[Entry]
    winner: Trained | None
    found: Found | None
    verdict: Verdict | None
    given: Sequence[str]  #: arguments of the command line, for the commands that are shown

    @property
    def source(self) -> Pinned:
        return self.plan.job.source

    @property
    def measure(self) -> str:
        return self.plan.measure

    def report(self) -> Report:
        """Return what is shown in notebooks and kept as a page."""
        done = [entry for entry in ranked(self.entries, self.measure) if entry.error is None]
        quality = [(entry.name, max(0.0, entry.validation.get(self.measure, 0.0))) for entry in done]
        blocks: list[Block] = [self._board(done), Bars(f"{self.measure} on validation rows", quality, "The best first.")]
        blocks.append(Table("All metrics", *_all_metrics(done)))
        if failed := [entry for entry in self.entries if entry.error is not None]:
            blocks.append(Table("What failed", ["candidate", "why"], [[entry.name, entry.error] for entry in failed]))
        if self.found is not None:
            settings: list[tuple[str, Cell]] = [(name, str(value)) for name, value in self.found.settings.items()]
            blocks.append(Facts(f"Best settings of {self.found.trials} trials", settings))
        blocks.append(self._lineage())
        title = f"{len(self.entries)} methods on {self.source.ref.readable}"
        said = [
            line for line in ([] if self.winner is None else self._winner(self.winner)) if not line.startswith(("register", "or score"))
        ]
        return Report(
            "compare", title, [*said, f"Chosen by {self.measure} on validation rows alone; test is reported and decides nothing."], blocks
        )

    def _board(self, done: Sequence[Entry]) -> Table:
        columns = ["candidate", "kind", f"validation {self.measure}", f"test {self.measure}", "parameters", "MB", "train s"]
        columns += ["train rows/s", "score rows/s", "run"]
        store = self.plan.job.store
        rows: list[list[Cell]] = [
            [
                entry.name, entry.kind, entry.validation.get(self.measure), entry.test.get(self.measure), entry.parameters, entry.size_mb,
                entry.training_seconds, entry.training_rows_per_second, entry.scoring_rows_per_second, run_link(store, entry.run_id),
            ]
            for entry in done
        ]  # fmt: skip
        notes = " ".join(f"{entry.name}: {entry.note}." for entry in done if entry.note)
        return Table("Leaderboard", columns, rows, f"Baselines are timed on the driver, in one thread. {notes}".strip())

    def _lineage(self) -> Facts:
        table = f"{self.source.ref.readable} version {self.source.version}"
        run = run_link(self.plan.job.store, self.run_id)
        return Facts("Where it comes from", [("table", table), ("run", run), ("leaderboard", self.plan.board.readable)])

    def __str__(self) -> str:
        lines = [
            f"table        {self.source.ref.readable} version {self.source.version}",
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
        return "\n".join([*lines, f"leaderboard  {self.plan.board.readable} (run {self.run_id})"])

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


def log_comparison(run: Run, result: Comparison) -> None:
    """Log the leaderboard as a picture and a page, the best settings of a search, and who won."""
    with step("logging the leaderboard"), tempfile.TemporaryDirectory(prefix="sparknlp_ft-compare-") as scratch:
        picture = Path(scratch) / "leaderboard.png"
        draw(result.entries, result.measure, picture, title=result.source.ref.readable.rsplit("/", 1)[-1])
        run.log_file(picture)
        run.log_text(str(result), "leaderboard.txt")
        config = result.plan.job.config
        keep_report(run, result.report(), config, f"compare-{config.model_name}-{run.run_id[:8]}")
        if result.found is not None:
            run.log_text(_yaml(result.found.settings), "best_settings.yaml")
        if result.winner is not None:
            run.set_tags({"winner": result.winner.entry.name, "winner_run_id": result.winner.entry.run_id})


def _all_metrics(done: Sequence[Entry]) -> tuple[list[str], list[list[Cell]]]:
    names = sorted({name for entry in done for name in entry.validation})
    rows: list[list[Cell]] = [
        [entry.name, split, *[metrics.get(name) for name in names]]
        for entry in done
        for split, metrics in (("validation", entry.validation), ("test", entry.test))
        if metrics
    ]
    return ["candidate", "rows", *names], rows


def _yaml(settings: Mapping[str, Any]) -> str:
    nested: dict[str, dict[str, Any]] = {}
    for dotted, value in settings.items():
        section, _, key = dotted.partition(".")
        nested.setdefault(section, {})[key] = value
    return yaml.safe_dump(nested, sort_keys=False).rstrip()
