"""The rows of all sources as one frame that keeps the contract: columns by role, keys made where there are none, splits.

Columns that ``data.columns`` maps come out under their role's name, so that the same configuration then trains.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparknlp_ft.config import DataConfig, SourceConfig
from sparknlp_ft.errors import DataError, nearest
from sparknlp_ft.progress import log
from sparknlp_ft.sources.read import PLACE, Loaded
from sparknlp_ft.sources.shape import proved, with_hash_split, with_names, with_numbers, with_places
from sparknlp_ft.tables.contracts import Roles, check_keys, resolve_roles
from sparknlp_ft.tables.names import column
from sparknlp_ft.tables.places import advice
from sparknlp_ft.tables.targets import KINDS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from sparknlp_ft.tasks import Task

_SOURCE, _FIRST = "__source", "__first"


def combined(loaded: Sequence[Loaded], data: DataConfig, task: Task) -> DataFrame:
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
    roles = resolve_roles(rows, data, task, need_target=False)
    if made is None:
        check_keys(rows, roles)
    if roles.target is not None:
        KINDS[task.target_kind].value(rows, roles.target)  # Refuses a column that cannot be this task's target.
    first = list(dict.fromkeys([*roles.key, *(name for _, name in roles.texts), *filter(None, [roles.target, roles.split])]))
    return rows.select(*[column(name) for name in [*first, *(name for name in rows.columns if name not in first)]])


def _keys_to_make(loaded: Sequence[Loaded], data: DataConfig) -> str | None:
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
        f"key column {name!r} is not in source {data.sources[n].path!r}.{nearest(name, loaded[n].frame.drop(*PLACE).columns)} "
        f"Columns: {_listed(loaded[n].frame)}. Keys are made only where no source has any of them."
    )


def _with_keys(frames: Sequence[DataFrame], loaded: Sequence[Loaded], name: str) -> list[DataFrame]:
    """Number the rows of all sources through, in the order of sources, files and rows: the same files, the same keys."""
    offsets, first = [], 0
    for number, one in enumerate(loaded):
        for file, part, rows in one.counts:
            offsets.append((number, file, part, first))
            first += rows
    spark = loaded[0].frame.sparkSession
    table = spark.createDataFrame(offsets, f"{_SOURCE} int, {PLACE[0]} string, {PLACE[1]} int, {_FIRST} bigint")
    keyed = []
    for number, frame in enumerate(frames):
        mine = F.broadcast(table.where(F.col(_SOURCE) == number).drop(_SOURCE))
        joined = frame.join(mine, [PLACE[0], PLACE[1]])
        keyed.append(joined.withColumn(name, F.col(_FIRST) + F.col(PLACE[2])).drop(_FIRST))
    return keyed


def _finished(frame: DataFrame, source: SourceConfig, data: DataConfig, task: Task) -> DataFrame:
    """Do what a source asks for by role: names of labels, targets as numbers, splits by hash."""
    roles = _resolved(frame, source.path, data, task)
    if source.label_map is not None:
        frame = with_names(frame, source, roles)
    if KINDS[task.target_kind].number is not None and roles.target is not None:
        frame = with_numbers(frame, roles.target)
    if source.hash_split:
        frame = with_hash_split(frame, source, roles, data.split_column)
    return proved(with_places(frame, roles, data, task), source, data.key, advice(task))


def _renamed(frame: DataFrame, loaded: Sequence[Loaded], data: DataConfig) -> DataFrame:
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


def _require_columns(frame: DataFrame, frames: Sequence[DataFrame], path: str, data: DataConfig, task: Task) -> None:
    roles = _resolved(frame, path, data, task)
    elsewhere = {name for other in frames for name in other.columns}
    for name in (roles.target or data.columns.get(task.target_role, task.target_role), data.split_column):
        if name in elsewhere and name not in frame.columns:
            raise DataError(f"source {path!r} has no column {name!r}, and others have. Columns: {_listed(frame)}. Nothing was written.")


def _resolved(frame: DataFrame, path: str, data: DataConfig, task: Task) -> Roles:
    try:
        return resolve_roles(frame.drop(*PLACE), data, task, need_target=False)
    except DataError as error:
        raise DataError(f"source {path!r}: {error} Nothing was written.") from error


def _listed(frame: DataFrame) -> str:
    return ", ".join(name for name in frame.columns if name not in PLACE)


def _lower(frame: DataFrame) -> set[str]:
    return {name.lower() for name in frame.columns}
