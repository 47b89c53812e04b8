"""What a comparison came to: its last page, and what is logged of it to its run."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sparknlp_ft.compare.candidates import overrides
from sparknlp_ft.compare.contest import Trained
from sparknlp_ft.compare.plan import Plan
from sparknlp_ft.compare.search import Found
from sparknlp_ft.progress import step
from sparknlp_ft.reports.leaderboard import BASELINE, Entry, as_text, draw, ranked
from sparknlp_ft.steps.gate import Verdict
from sparknlp_ft.tables.delta import Pinned
from sparknlp_ft.tracking.store import Run


@dataclass(frozen=True)
class Comparison:
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
        return "\n".join([*lines, f"leaderboard  {self.plan.board.display} (run {self.run_id})"])

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
        draw(result.entries, result.measure, picture, title=result.source.ref.display.rsplit("/", 1)[-1])
        run.log_file(picture)
        run.log_text(str(result), "leaderboard.txt")
        if result.found is not None:
            run.log_text(_yaml(result.found.settings), "best_settings.yaml")
        if result.winner is not None:
            run.set_tags({"winner": result.winner.entry.name, "winner_run_id": result.winner.entry.run_id})


def _yaml(settings: Mapping[str, Any]) -> str:
    nested: dict[str, dict[str, Any]] = {}
    for dotted, value in settings.items():
        section, _, key = dotted.partition(".")
        nested.setdefault(section, {})[key] = value
    return yaml.safe_dump(nested, sort_keys=False).rstrip()
