"""A run once more: its settings, its table version, its figures, as its MLflow run tells them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sparknlp_ft.config import MODEL_SECTIONS, Config, load_config
from sparknlp_ft.errors import ConfigError, DataError
from sparknlp_ft.steps.job import Job
from sparknlp_ft.tables.delta import TableRef, pin
from sparknlp_ft.tracking.overview import find_run, history, settings_of_run
from sparknlp_ft.tracking.store import Store, connect

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def figures_of(store: Store, run_id: str) -> dict[str, float]:
    """Return the validation metrics of a finished training's best epoch, by name.

    Raises:
        ConfigError: There is no such run, or it is none of a finished training.
    """
    run = find_run(store, run_id)
    if run.status != "FINISHED" or "best_epoch" not in run.metrics:
        raise ConfigError(f"run {run_id!r} ({run.name}) is {run.status} and no finished training; give one that is")
    prefix, epoch = "validation/", int(run.metrics["best_epoch"])
    names = sorted(name for name in run.metrics if name.startswith(prefix))
    values = {name.removeprefix(prefix): history(store, run_id, name).get(epoch) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def open_again(config: Config, spark: SparkSession, run_id: str) -> Job:
    """Return the job of a run: its data and model settings, at the table version that it names.

    Args:
        config: Says where the run is (``tracking``) and where it is repeated (``launch``).
        spark: The session.
        run_id: The run.

    Raises:
        DataError: The table was made anew since, or the version can no longer be read.
    """
    store = connect(config.tracking)
    run, given = find_run(store, run_id), settings_of_run(store, run_id)
    sections = {name: given[name] for name in ("data", *MODEL_SECTIONS)}
    sections["data"] |= {"table": run.tags["source_table"], "version": int(run.tags["source_version"])}
    again = load_config(given={**sections, "launch": config.launch.model_dump(), "tracking": config.tracking.model_dump()})
    source = pin(spark, TableRef.parse(again.data.table, again.data.root), again.data.version)
    if source.table_id != run.tags["source_table_id"]:
        raise DataError(f"table {source.ref.display!r} was made anew since run {run_id!r}: it is another table, of the same name")
    return Job(again, spark, store, source)
