"""Ingest: files and Hub data sets → one Delta table that keeps the contract, written whole or not at all."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from sparknlp_ft.config import Config
from sparknlp_ft.errors import ConfigError
from sparknlp_ft.progress import log
from sparknlp_ft.reports.profile import Profile
from sparknlp_ft.snapshot.build import snapshots_folder
from sparknlp_ft.sources.combine import combined
from sparknlp_ft.sources.read import read_sources
from sparknlp_ft.steps.checks import check_sources, check_task, together
from sparknlp_ft.steps.command import Command
from sparknlp_ft.steps.profile import profile_table
from sparknlp_ft.storage import Folder
from sparknlp_ft.tables.delta import TableRef, create, exists, pin
from sparknlp_ft.tables.watch import spark_step
from sparknlp_ft.tasks import get_task

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: A changed row then costs a mark beside its file, not the file anew.
PROPERTIES = {"delta.enableDeletionVectors": "true"}


def run_ingest(config: Config, spark: SparkSession) -> Profile:
    """Read ``data.sources``, check, write ``data.table`` as one commit, and return its profile.

    Raises:
        ConfigError: There is nothing to read.
        DataError: A source is missing or malformed, or does not keep the contract; nothing is written then.
    """
    _require_sources(config)
    data, ref = config.data, TableRef.parse(config.data.table, config.data.root)
    there = exists(spark, ref)
    with read_sources(spark, data.sources, scratch=_scratch(config), split_column=data.split_column) as loaded:
        with spark_step("checking keys and columns", spark):
            rows = combined(loaded, data, get_task(data.task))
        with spark_step(f"writing {sum(one.rows for one in loaded):,} rows to {ref.readable}", spark):
            create(rows, ref, properties=PROPERTIES, mode="overwrite" if there else "error")
    pinned = pin(spark, ref)
    log.info("%s is at version %d%s", ref.readable, pinned.version, " (earlier versions are kept)" if there else "")
    with spark_step("profile", spark):
        return profile_table(spark, pinned, config)


def _require_sources(config: Config) -> None:
    if not config.data.sources:
        raise ConfigError("data.sources is empty: name at least one input, for example sources: [{format: csv, path: train.csv}]")


def _scratch(config: Config) -> Folder:
    """Name a folder that the workers see too."""
    return snapshots_folder(config).parent / f"_ingest-{uuid.uuid4().hex}"


def check_ingest(config: Config) -> list[str]:
    """Check task and sources."""
    return together(config, check_task, check_sources)


COMMAND = Command(
    place=1,
    help="files or Hub data sets → a Delta table that keeps the contract",
    check=check_ingest,
    run=lambda config, spark, arguments: run_ingest(config, spark),
    needs_store=False,
)
