"""Promote: a model that is there already, of a run or of a version, gets the alias if it passes the gate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sparknlp_ft.config import Config
from sparknlp_ft.pipelines.checks import check_before_cluster, check_metric
from sparknlp_ft.pipelines.deployment import deploy
from sparknlp_ft.pipelines.gate import Verdict, judge
from sparknlp_ft.pipelines.train import source_tags
from sparknlp_ft.tables.contracts import TEST, resolve_roles
from sparknlp_ft.tables.delta import Pinned, TableRef, files_present, pin, read
from sparknlp_ft.tables.snapshot import survey
from sparknlp_ft.tables.watch import spark_step
from sparknlp_ft.tasks import get_task
from sparknlp_ft.tracking.registry import resolve_model
from sparknlp_ft.tracking.store import ModelRef, Store, connect, find_registered, open_run, register

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True)
class Promotion:
    """What a promotion came to."""

    source: Pinned
    verdict: Verdict

    def __str__(self) -> str:
        return f"table  {self.source.ref.display} version {self.source.version}\nalias  {self.verdict}"


def run_promote(config: Config, spark: SparkSession) -> Promotion:
    """Hold ``score.model`` against the aliased model on the validation rows of ``data.table``, and move the alias if it wins.

    A run's model is registered as ``tracking.model_name`` first, unless it is already.

    Raises:
        ConfigError: ``score.model`` is not given, or is of another task.
        ModelError: It is not there.
        DataError: The table does not keep the contract.
    """
    check_before_cluster("promote", config)
    store, task = connect(config.tracking), get_task(config.data.task)
    wanted = resolve_model(store, str(config.score.model))
    source = pin(spark, TableRef.parse(config.data.table, config.data.root), config.data.version)
    with files_present(source):
        with spark_step("checking labels and splits", spark):
            rows = read(spark, source)
            found = survey(rows, resolve_roles(rows, config.data, task, need_target=True), config, task)
        check_metric(config, task, found.labels)
        with deploy(config, spark, store, wanted):  # Refuses a model of another task before anything is registered.
            model = wanted if wanted.is_registered else _registered(config, store, source, wanted)
        verdict = judge(
            config,
            spark,
            store,
            source=source,
            model=model,
            labels=found.labels,
            label_counts=found.label_counts,
            has_test=bool(found.rows.get(TEST)),
        )
    run = open_run(store, model.run_id)
    run.log_metrics(verdict.as_metrics())
    run.flush()
    return Promotion(source, verdict)


def _registered(config: Config, store: Store, source: Pinned, model: ModelRef) -> ModelRef:
    return find_registered(store, config.model_name, model) or register(store, model, config.model_name, tags=source_tags(source))
