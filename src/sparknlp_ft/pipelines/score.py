"""Score: every row of a pinned table that has no prediction by this model yet gets one, merged into Delta by key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sparknlp_ft.config import Config
from sparknlp_ft.reports.blocks import Facts, Report
from sparknlp_ft.reports.page import Viewed
from sparknlp_ft.steps.checks import check_task, look_at_scored
from sparknlp_ft.steps.command import Command
from sparknlp_ft.steps.deployment import deploy, wanted_model
from sparknlp_ft.steps.prediction import Scoring, Written, find_stale, find_target, plan_scoring, score_and_merge, scoring_job
from sparknlp_ft.tables.delta import files_present

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True)
class ScoreResult(Viewed):
    """What a scoring run came to."""

    rows_in: int
    scored: int
    skipped: int
    ok: int
    empty: int
    errors: int
    truncated: int
    seconds: float  #: of the scoring stage: reading, loading the model, scoring, writing the stage
    rows_per_second: float
    source: str
    source_version: int
    output: str
    output_version: int | None  #: None where there is no predictions table yet
    model_name: str
    model_version: str

    def report(self) -> Report:
        """Return what notebooks show."""
        version = "not made" if self.output_version is None else f"version {self.output_version}"
        said = f"{self.scored:,} of {self.rows_in:,} rows were scored with {self.model_name}/{self.model_version}"
        said += f"; {self.skipped:,} had a prediction already. Predictions are in {self.output}, {version}."
        rows = {
            "table": f"{self.source} version {self.source_version}", "ok": self.ok, "empty": self.empty, "in error": self.errors,
            "longer than the window": self.truncated, "seconds": self.seconds, "rows per second": self.rows_per_second or None,
        }  # fmt: skip
        return Report("score", self.source, [said], [Facts.of("", rows)])

    def __str__(self) -> str:
        rate = f" in {self.seconds:.1f} s, {self.rows_per_second:.0f} rows/s" if self.scored else ""
        version = "not made" if self.output_version is None else f"version {self.output_version}"
        return "\n".join(
            [
                f"table        {self.source} version {self.source_version}: {self.rows_in:,} rows",
                f"model        {self.model_name}/{self.model_version}",
                f"scored       {self.scored:,} rows{rate}; {self.skipped:,} had a prediction already",
                f"status       ok {self.ok:,}, empty {self.empty:,}, error {self.errors:,}; truncated {self.truncated:,}",
                f"predictions  {self.output}, {version}",
            ]
        )


def run_score(config: Config, spark: SparkSession) -> ScoreResult:
    """Score what is new or changed in ``score.table`` and merge it into ``score.output``.

    Rows whose keys are no longer in the source keep their predictions.

    Raises:
        UserError: Configuration, table or model do not fit, or too many rows are in error; nothing was merged.
    """
    job = scoring_job(config, spark)
    model, target = wanted_model(config, job.store), find_target(job)
    with deploy(job, model) as deployment, files_present(job.source):
        scoring = plan_scoring(job, target, deployment)
        stale, counts = find_stale(scoring)
        written = score_and_merge(scoring, stale, counts.stale)
    return _result(scoring, counts.rows, written)


def _result(scoring: Scoring, rows: int, written: Written) -> ScoreResult:
    source, model, counts = scoring.job.source, scoring.deployment.model, written.counts
    return ScoreResult(
        rows_in=rows, scored=counts.rows, skipped=rows - counts.rows, ok=counts.ok, empty=counts.empty, errors=counts.error,
        truncated=counts.truncated, seconds=written.seconds, rows_per_second=counts.rows / written.seconds if written.seconds else 0.0,
        source=source.ref.display, source_version=source.version, output=scoring.target.ref.display, output_version=written.version,
        model_name=model.name, model_version=model.version,
    )  # fmt: skip


COMMAND = Command(
    place=3,
    help="Delta table + registered model → predictions, merged by key",
    check=check_task,
    look=look_at_scored,
    run=lambda config, spark, arguments: run_score(config, spark),
)
