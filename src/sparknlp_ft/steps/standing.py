"""How tables stand: which there are, at which version, and how many rows wait for a prediction."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sparknlp_ft.config import Config
from sparknlp_ft.steps.deployment import deploy, wanted_model
from sparknlp_ft.steps.prediction import find_target, plan_scoring, scoring_job
from sparknlp_ft.steps.staleness import find_stale
from sparknlp_ft.tables.delta import TableRef, files_present
from sparknlp_ft.tables.own_log import LOG, columns_of
from sparknlp_ft.tables.session import get_session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True)
class TableView:
    """A table on this machine."""

    path: str
    version: int
    columns: tuple[str, ...]


def list_tables(root: str) -> list[TableView]:
    """Return the Delta tables in a folder of this machine, by name; none where it is elsewhere."""
    folders = sorted(path.parent for path in Path(root).glob(f"*/{LOG}"))
    looked = [(folder, columns_of(TableRef("path", str(folder)))) for folder in folders]
    return [TableView(str(folder), found.version, tuple(found.columns)) for folder, found in looked if found is not None]


def count_stale(config: Config, spark: SparkSession | None) -> tuple[int, int]:
    """Return how many rows ``score`` would score now, and of how many.

    Raises:
        UserError: Table or model are not there, or do not fit each other.
    """
    job = scoring_job(config, spark or get_session("sparknlp-ft status"))
    with (
        deploy(job, wanted_model(config, job.store)) as deployment,
        files_present(job.source),
        find_stale(plan_scoring(job, find_target(job), deployment)) as stale,
    ):
        return stale.number, stale.total
