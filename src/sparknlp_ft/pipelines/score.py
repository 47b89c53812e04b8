"""Score: every row of a pinned table that has no prediction by this model yet gets one, merged into Delta by key."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sparknlp_ft.config import Config
from sparknlp_ft.errors import ConfigError
from sparknlp_ft.reports.blocks import Facts, Report
from sparknlp_ft.reports.page import Viewed
from sparknlp_ft.scoring.notes import Note
from sparknlp_ft.scoring.stages import stage_prefix
from sparknlp_ft.steps.checks import check_task, look_at_scored
from sparknlp_ft.steps.command import Command, Option
from sparknlp_ft.steps.deployment import deploy, wanted_model
from sparknlp_ft.steps.job import Job
from sparknlp_ft.steps.prediction import Scoring, Target, find_target, plan_scoring, scoring_job
from sparknlp_ft.steps.staging import Written, score_and_merge
from sparknlp_ft.steps.staleness import find_stale, nothing_to_do
from sparknlp_ft.steps.streaming import NOW, check_interval, follow
from sparknlp_ft.tables.delta import files_present
from sparknlp_ft.tracking.store import ModelRef

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
    deleted: int = 0  #: Predictions of rows that left the source, marked or deleted now.

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
                *([f"gone         {self.deleted:,} predictions whose rows left the table"] if self.deleted else []),
                f"predictions  {self.output}, {version}",
            ]
        )


def run_score(config: Config, spark: SparkSession) -> ScoreResult:
    """Score what is new or changed in ``score.table`` and merge it into ``score.output``.

    Rows whose keys are no longer in the source keep their predictions, unless ``score.on_deleted`` says otherwise.

    Raises:
        UserError: Configuration, table or model do not fit, or too many rows are in error; nothing was merged.
    """
    job = scoring_job(config, spark)
    model, target = wanted_model(config, job.store), find_target(job)
    if (note := nothing_to_do(job, target, model)) is not None:
        return unchanged(job, target, model, note)
    with deploy(job, model) as deployment, files_present(job.source):
        scoring = plan_scoring(job, target, deployment)
        with find_stale(scoring) as stale:
            written = score_and_merge(scoring, stale)
    return result_of(scoring, stale.total, written)


def result_of(scoring: Scoring, rows: int, written: Written) -> ScoreResult:
    """Return what a run came to that looked at rows."""
    source, model, counts = scoring.job.source, scoring.deployment.model, written.counts
    scored = counts.rows - counts.deleted
    return ScoreResult(
        rows_in=rows, scored=scored, skipped=rows - scored, ok=counts.ok, empty=counts.empty, errors=counts.error,
        truncated=counts.truncated, seconds=written.seconds, rows_per_second=scored / written.seconds if written.seconds else 0.0,
        source=source.ref.display, source_version=source.version, output=scoring.target.ref.display, output_version=written.version,
        model_name=model.name, model_version=model.version, deleted=counts.deleted,
    )  # fmt: skip


def unchanged(job: Job, target: Target, model: ModelRef, note: Note) -> ScoreResult:
    """Return what a run came to that had nothing to do."""
    return ScoreResult(
        rows_in=note.rows, scored=0, skipped=note.rows, ok=0, empty=0, errors=0, truncated=0, seconds=0.0, rows_per_second=0.0,
        source=job.source.ref.display, source_version=job.source.version, output=target.ref.display,
        output_version=None if target.known is None else target.known.version, model_name=model.name, model_version=model.version,
    )  # fmt: skip


@dataclass(frozen=True)
class Streamed:
    """What following a table came to."""

    runs: int
    scored: int
    last: ScoreResult

    def __str__(self) -> str:
        return f"{self.last}\nstream       {self.runs:,} runs, {self.scored:,} rows scored"


def follow_source(config: Config, spark: SparkSession, every: str) -> Streamed:
    """Score the table as ``run_score`` does, now and whenever it has changed; the alias is resolved anew each time.

    Args:
        config: The configuration.
        spark: The session.
        every: Interval between two looks, such as ``30 seconds``; ``now``: what is there now, and the end.

    Raises:
        UserError: As ``run_score``; or ``data.version`` is set.
    """
    if config.data.version is not None:
        raise ConfigError(f"data.version: {config.data.version}, and --stream follows the latest version; leave it out")
    job, results = scoring_job(config, spark), []
    checkpoint = f"{stage_prefix(find_target(job).ref, config.data.root)}stream"
    follow(spark, job.source.ref, checkpoint, every, lambda: results.append(run_score(config, spark)))
    return Streamed(len(results), sum(result.scored for result in results), results[-1])


def _run(config: Config, spark: SparkSession, arguments: Namespace) -> ScoreResult | Streamed:
    if not arguments.stream and arguments.every is None:
        return run_score(config, spark)
    return follow_source(config, spark, arguments.every or NOW)


COMMAND = Command(
    place=3,
    help="Delta table + registered model → predictions, merged by key",
    check=check_task,
    look=look_at_scored,
    run=_run,
    options=(
        Option(
            "--stream", {"action": "store_true", "help": "follow the table by a stream: score what is new since the last time, and end"}
        ),
        Option(
            "--every",
            {"metavar": "INTERVAL", "help": "follow the table until stopped, a look every INTERVAL: '30 seconds'"},
            check_interval,
        ),
    ),
)
