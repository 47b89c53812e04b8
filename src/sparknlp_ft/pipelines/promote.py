"""Promote: a model that is there already, of a run or of a version, gets the alias if it passes the gate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sparknlp_ft.config import Config
from sparknlp_ft.errors import ConfigError
from sparknlp_ft.reports.blocks import Report
from sparknlp_ft.reports.page import Viewed
from sparknlp_ft.steps.checks import check_metric, check_task, look_at_table
from sparknlp_ft.steps.command import Command
from sparknlp_ft.steps.deployment import deploy
from sparknlp_ft.steps.facts import TableFacts
from sparknlp_ft.steps.gate import Verdict, judge
from sparknlp_ft.steps.job import Job, cured_rows, open_job
from sparknlp_ft.steps.lineage import source_tags
from sparknlp_ft.steps.training_report import verdict_blocks
from sparknlp_ft.tables.delta import Pinned, files_present
from sparknlp_ft.tables.survey import Survey, survey
from sparknlp_ft.tables.watch import spark_step
from sparknlp_ft.tracking.registry import FORMS, resolve_model
from sparknlp_ft.tracking.store import ModelRef, find_registered, open_run, register

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True)
class Promotion(Viewed):
    """What a promotion came to."""

    source: Pinned
    verdict: Verdict

    def report(self) -> Report:
        """Return what notebooks show."""
        table = f"{self.source.ref.readable} version {self.source.version}"
        return Report("promote", table, [f"{self.verdict}."], verdict_blocks(self.verdict))

    def __str__(self) -> str:
        return f"table  {self.source.ref.readable} version {self.source.version}\nalias  {self.verdict}"


def run_promote(config: Config, spark: SparkSession) -> Promotion:
    """Hold ``score.model`` against the aliased model on the validation rows of ``data.table``, and move the alias if it wins.

    A run's model is registered as ``tracking.model_name`` first, unless it is already.

    Raises:
        ConfigError: ``score.model`` is not given, or is of another task.
        ModelError: It is not there.
        DataError: The table does not keep the contract.
    """
    check_promote(config)
    job = open_job(config, spark)
    wanted = resolve_model(job.store, str(config.score.model))
    with files_present(job.source):
        found = _surveyed(job)
        check_metric(config, found.labels)
        model = _registered(job, wanted)
        verdict = judge(job, model, TableFacts.of_survey(found))
    run = open_run(job.store, model.run_id)
    run.log_metrics(verdict.as_metrics())
    run.flush()
    return Promotion(job.source, verdict)


def _surveyed(job: Job) -> Survey:
    with spark_step("checking labels and splits", job.spark):
        return survey(*cured_rows(job), job.config, job.task)


def _registered(job: Job, model: ModelRef) -> ModelRef:
    """Return the model as a registered version: itself, the version that was made of it before, or a new one."""
    with deploy(job, model):  # Refuses a model of another task before anything is registered.
        if model.is_registered:
            return model
        name = job.config.model_name
        return find_registered(job.store, name, model) or register(job.store, model, name, tags=source_tags(job.source))


def check_promote(config: Config) -> list[str]:
    """Check task and metric, and that a model is named."""
    found = check_task(config)
    check_metric(config)
    if config.score.model is None:
        raise ConfigError(f"score.model: not given; name the model to promote as {FORMS}")
    return found


COMMAND = Command(
    place=5,
    help="a run's model or a version → the alias, if it beats the aliased model on validation rows",
    check=check_promote,
    look=look_at_table,
    run=lambda config, spark, arguments: run_promote(config, spark),
)
