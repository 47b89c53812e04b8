"""The demo's last page: what was done, how good and how fast it was, and where to look."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sparknlp_ft.config import Config
from sparknlp_ft.reports.leaderboard import Entry, ranked

if TYPE_CHECKING:
    from sparknlp_ft.pipelines.score import ScoreResult
    from sparknlp_ft.pipelines.train import TrainOutcome
    from sparknlp_ft.steps.evaluation import Evaluation

TEXT_WIDTH = 58
#: The resolved configuration within the demo's folder.
CONFIG = "config.yaml"


@dataclass(frozen=True)
class Prediction:
    """One prediction as it stands in the table, beside the text and the true label."""

    text: str
    truth: str
    label: str | None
    score: float | None
    model_version: str
    source_version: int


@dataclass(frozen=True)
class Summary:
    """All that the demo's last page says."""

    rows: int
    tests: int  #: of the rows
    intents: int
    baselines: list[Entry]
    trained: TrainOutcome
    scored: ScoreResult
    scoring_seconds: float
    again: ScoreResult
    evaluated: Evaluation
    predictions: list[Prediction]
    seconds: float
    out: Path
    config: Config

    def __str__(self) -> str:
        return "\n".join(["", *self._results(), "", *self._table(), "", *self._places()])

    def _results(self) -> list[str]:
        trained, result = self.trained, self.trained.result
        accuracy = self.evaluated.metrics["accuracy"]
        return [
            f"The whole job took {self.seconds:.0f} s.",
            f"  data       {self.rows:,} support messages, {self.intents} intents ({self.rows - self.tests:,} train, {self.tests:,} test)",
            f"             {trained.source.ref.display}, version {trained.source.version}",
            f"  accuracy   {accuracy:.3f} on test: fine-tuned model, epoch {result.best_epoch}",
            *[f"             {one.test['accuracy']:.3f} {one.name}" for one in ranked(self.baselines, "accuracy")],
            f"  training   {result.train_rows_per_second:,.0f} rows/s on {result.ranks} ranks, {result.steps:,} steps, {result.precision}",
            f"  scoring    {self.scored.rows_per_second:,.0f} rows/s, model loading included",
            f"             {self.scored.scored:,} rows read, scored and merged in {self.scoring_seconds:.0f} s",
            f"  again      {self.again.scored:,} rows to score: nothing had changed",
            f"  model      {trained.verdict}",
        ]

    def _table(self) -> list[str]:
        lines = [f"  {'message':<{TEXT_WIDTH}}  {'prediction':<23} {'score':>5}  model  table"]
        for row in self.predictions:
            text = textwrap.shorten(row.text, TEXT_WIDTH, placeholder=" …")
            mark = "" if row.label == row.truth else f"  (it is {row.truth})"
            score = "" if row.score is None else f"{row.score:.2f}"
            lines.append(f"  {text:<{TEXT_WIDTH}}  {row.label or '-':<23} {score:>5}  v{row.model_version:<4}  v{row.source_version}{mark}")
        return lines

    def _places(self) -> list[str]:
        return [
            f"  Everything is in {self.out}: lake/ (tables), runs/ (checkpoints), mlflow/ (runs, models, reports).",
            "  Open the runs, with the confusion matrix and the per-label table among the training run's artifacts:",
            f"    .venv/bin/mlflow ui --backend-store-uri {self.config.tracking.uri}",
            "  Score again after changing the table, or train with other settings:",
            f"    .venv/bin/sparknlp-ft score --config {self.out / CONFIG}",
            f"    .venv/bin/sparknlp-ft train --config {self.out / CONFIG} train.epochs=5",
        ]
