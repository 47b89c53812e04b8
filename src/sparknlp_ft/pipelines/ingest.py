"""Ingest: files and Hub data sets → one Delta table that keeps the contract, written whole or not at all.

Columns that ``data.columns`` maps are written under their role's name, so the same configuration then trains.
"""

from __future__ import annotations

import re
import uuid
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparknlp_ft.config import Config, DataConfig, SourceConfig
from sparknlp_ft.errors import ConfigError, DataError, UserError, nearest
from sparknlp_ft.pipelines.base import find_base
from sparknlp_ft.pipelines.profile import profile_table
from sparknlp_ft.progress import log
from sparknlp_ft.reports.profile import Profile
from sparknlp_ft.tables import contracts
from sparknlp_ft.tables.contracts import column
from sparknlp_ft.tables.delta import TableRef, create, exists, pin
from sparknlp_ft.tables.shape import proved, with_hash_split, with_names, with_numbers
from sparknlp_ft.tables.snapshot import snapshots_folder
from sparknlp_ft.tables.sources import PLACE, Loaded, read_sources
from sparknlp_ft.tables.targets import KINDS
from sparknlp_ft.tables.watch import spark_step
from sparknlp_ft.tasks import get_task

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from sparknlp_ft.tasks import Task

#: A changed row then costs a mark beside its file, not the file anew.
PROPERTIES = {"delta.enableDeletionVectors": "true"}

_SOURCE = "_source"


def run_ingest(config: Config, spark: SparkSession) -> Profile:
    """Read ``data.sources``, check, write ``data.table`` as one commit, and return its profile.

    Raises:
        ConfigError: There is nothing to read.
        DataError: A source is missing or malformed, or does not keep the contract; nothing is written then.
    """
    data, task = config.data, get_task(config.data.task)
    if not data.sources:
        raise ConfigError("data.sources is empty: name at least one input, for example sources: [{format: csv, path: train.csv}]")
    ref = TableRef.parse(data.table, data.root)
    there = exists(spark, ref)
    scratch = snapshots_folder(config).parent / f"_ingest-{uuid.uuid4().hex}"
    with read_sources(spark, list(data.sources), scratch=scratch, split_column=data.split_column) as loaded:
        with spark_step("checking keys and columns", spark):
            rows = combined(loaded, data, task)
        with spark_step(f"writing {sum(one.rows for one in loaded):,} rows to {ref.display}", spark):
            create(rows, ref, properties=PROPERTIES, mode="overwrite" if there else "errorifexists")
    pinned = pin(spark, ref)
    log.info("%s is at version %d%s", ref.display, pinned.version, " (earlier versions are kept)" if there else "")
    with spark_step("profile", spark):
        return profile_table(spark, pinned, data, task, model_dir=_tokenizer_folder(config))


def combined(loaded: list[Loaded], data: DataConfig, task: Task) -> DataFrame:
    """Return the rows of all sources under the contract's names, keys made if there are none, and proved.

    Raises:
        DataError: No rows, columns missing in one of the sources, or keys NULL or repeated.
    """
    if not any(one.rows for one in loaded):
        raise DataError("the sources hold no rows. Nothing was written.")
    made = _keys_to_make(loaded, data)
    frames = [_storable(_renamed(one.frame, loaded, data)) for one in loaded]
    if made is not None:
        frames = _with_keys(frames, loaded, made)
    frames = [_finished(frame, source, data, task) for frame, source in zip(frames, data.sources, strict=True)]
    for frame, source in zip(frames, data.sources, strict=True):
        _require_columns(frame, frames, source.path, data, task)
    rows = reduce(lambda one, other: one.unionByName(other, allowMissingColumns=True), [frame.drop(*PLACE) for frame in frames])
    roles = contracts.resolve_roles(rows, data, task, need_target=False)
    if made is None:
        contracts.check_keys(rows, roles)
    if roles.target is not None:
        KINDS[task.target_kind].value(rows, roles.target)  # Refuses a column that cannot be this task's target.
    first = list(dict.fromkeys([*roles.key, *(name for _, name in roles.texts), *filter(None, [roles.target, roles.split])]))
    return rows.select(*[column(name) for name in [*first, *(name for name in rows.columns if name not in first)]])


def _keys_to_make(loaded: list[Loaded], data: DataConfig) -> str | None:
    """The key column to make, or None if the sources have the key.

    Raises:
        DataError: Some of the key's columns are there and some are not.
    """
    missing = [(n, name) for n, one in enumerate(loaded) for name in data.key if name not in one.frame.columns]
    if not missing:
        return None
    if len(data.key) == 1 and len(missing) == len(loaded):
        return data.key[0]
    n, name = missing[0]
    raise DataError(
        f"key column {name!r} is not in source {data.sources[n].path!r}.{nearest(name, loaded[n].frame.columns)} "
        f"Columns: {_listed(loaded[n].frame)}. Keys are made only where no source has any of them."
    )


def _with_keys(frames: list[DataFrame], loaded: list[Loaded], name: str) -> list[DataFrame]:
    """Number the rows of all sources through, in the order of sources, files and rows: the same files, the same keys."""
    offsets, first = [], 0
    for number, one in enumerate(loaded):
        for file, part, rows in one.counts:
            offsets.append((number, file, part, first))
            first += rows
    spark = loaded[0].frame.sparkSession
    table = spark.createDataFrame(offsets, f"{_SOURCE} int, {PLACE[0]} string, {PLACE[1]} int, _first bigint")
    keyed = []
    for number, frame in enumerate(frames):
        mine = F.broadcast(table.where(F.col(_SOURCE) == number).drop(_SOURCE))
        joined = frame.join(mine, [PLACE[0], PLACE[1]])
        keyed.append(joined.withColumn(name, F.col("_first") + F.col(PLACE[2])).drop("_first"))
    return keyed


def _finished(frame: DataFrame, source: SourceConfig, data: DataConfig, task: Task) -> DataFrame:
    """Do what a source asks for by role: names of labels, targets as numbers, splits by hash."""
    roles = _resolved(frame, source.path, data, task)
    if source.label_map is not None:
        frame = with_names(frame, source, roles)
    if task.target_role == "target" and roles.target is not None:
        frame = with_numbers(frame, roles.target)
    if source.hash_split:
        frame = with_hash_split(frame, source, roles, data.split_column)
    return proved(frame, source)


def _renamed(frame: DataFrame, loaded: list[Loaded], data: DataConfig) -> DataFrame:
    """Give mapped columns their role's name, unless a source has another column of that name, or it is part of the key."""
    for role, name in data.columns.items():
        taken = any(name in one.frame.columns and role.lower() in _lower(one.frame) - {name.lower()} for one in loaded)
        if name in frame.columns and not taken and name not in data.key:
            frame = frame.withColumnRenamed(name, role)
    return frame


def _storable(frame: DataFrame) -> DataFrame:
    """Mend what a Delta table cannot hold: some characters in column names, columns that are NULL throughout."""
    for name in frame.columns:
        fit = re.sub(r"[ ,;{}()\n\t=]", "_", name)
        if fit != name:
            log.info("column %r is written as %r", name, fit)
            frame = frame.withColumnRenamed(name, fit)
        if isinstance(frame.schema[fit].dataType, T.NullType):
            frame = frame.withColumn(fit, column(fit).cast("string"))
    return frame


def _require_columns(frame: DataFrame, frames: list[DataFrame], path: str, data: DataConfig, task: Task) -> None:
    roles = _resolved(frame, path, data, task)
    elsewhere = {name for other in frames for name in other.columns}
    for name in (roles.target or data.columns.get(task.target_role, task.target_role), data.split_column):
        if name in elsewhere and name not in frame.columns:
            raise DataError(f"source {path!r} has no column {name!r}, and others have. Columns: {_listed(frame)}. Nothing was written.")


def _resolved(frame: DataFrame, path: str, data: DataConfig, task: Task) -> contracts.Roles:
    try:
        return contracts.resolve_roles(frame, data, task, need_target=False)
    except DataError as error:
        raise DataError(f"source {path!r}: {error} Nothing was written.") from error


def _listed(frame: DataFrame) -> str:
    return ", ".join(name for name in frame.columns if name not in PLACE)


def _lower(frame: DataFrame) -> set[str]:
    return {name.lower() for name in frame.columns}


def _tokenizer_folder(config: Config) -> Path | None:
    try:
        return find_base(config)
    except UserError as error:
        log.warning("no lengths in tokens: %s", error)
        return None
