"""What a command works on, handed from part to part: the configuration, the session, the MLflow store, the pinned table."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sparknlp_ft.config import Config
from sparknlp_ft.tables.contracts import Roles, resolve_roles
from sparknlp_ft.tables.cures import cured
from sparknlp_ft.tables.delta import Pinned, TableRef, pin, read
from sparknlp_ft.tasks import Task, get_task
from sparknlp_ft.tracking.store import Store, connect

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@dataclass(frozen=True)
class Job:
    """One run of a command on one version of one table."""

    config: Config
    spark: SparkSession
    store: Store
    source: Pinned

    @property
    def task(self) -> Task:
        return get_task(self.config.data.task)

    def using(self, config: Config) -> Job:
        """Return the same job with other settings: those of a candidate, or with a base model that was pinned."""
        return replace(self, config=config)


def cured_rows(job: Job) -> tuple[DataFrame, Roles]:
    """Return the job's rows, mended as its configuration says, and the columns by their roles.

    Raises:
        DataError: The table lacks a column that the task needs.
    """
    rows, data = read(job.spark, job.source), job.config.data
    roles = resolve_roles(rows, data, job.task, need_target=True)
    return cured(rows, roles, data, job.task), roles


def open_job(config: Config, spark: SparkSession) -> Job:
    """Connect to the store and pin ``data.table``.

    Raises:
        ConfigError: The store cannot be used.
        DataError: The table or its version is not there.
    """
    store = connect(config.tracking)
    return Job(config, spark, store, pin(spark, TableRef.parse(config.data.table, config.data.root), config.data.version))
