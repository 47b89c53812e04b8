"""What a table must keep to be trained on or scored: columns by role, keys, labels, splits, valid text.

Works on any Delta table as it is; every check that fails says which column, which value, and what to do.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparknlp_ft.config import DataConfig
from sparknlp_ft.errors import ConfigError, DataError, nearest, shown
from sparknlp_ft.progress import log
from sparknlp_ft.tables.names import column
from sparknlp_ft.versions import is_valid_utf8, valid_utf8

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from sparknlp_ft.tasks import Task

SPLIT = "_split"  #: Column that ``with_split`` adds.
TRAIN, VALIDATION, TEST, OTHER = "train", "validation", "test", "other"

_INTEGERS = (T.ByteType, T.ShortType, T.IntegerType, T.LongType)
_TEXTS = (T.StringType, T.VarcharType, T.CharType)
_KEYS = (*_TEXTS, *_INTEGERS, T.DateType, T.TimestampType, T.TimestampNTZType, T.DecimalType, T.BooleanType, T.BinaryType)
#: The cut is a share of this many hash classes.
_CLASSES = 1_000_000
#: What is cut into test of a table without a split column, where ``data.test_fraction`` says nothing.
_TEST_SHARE = 0.05


@dataclass(frozen=True)
class Roles:
    """Which column plays which role. ``texts`` in the task's order; ``target`` and ``split`` None if the table has none."""

    texts: tuple[tuple[str, str], ...]
    target: str | None
    key: tuple[str, ...]
    split: str | None


def resolve_roles(df: DataFrame, data: DataConfig, task: Task, *, need_target: bool) -> Roles:
    """Find each role's column.

    A role is played by the column that ``data.columns`` names; where the table lacks that column (``ingest`` renames it),
    or none is named, by the column called like the role.

    Raises:
        ConfigError: ``data.columns`` names a role that the task has not.
        DataError: A needed column is missing or of a type that cannot play its role.
    """
    known = _known_roles(data, task)
    needed = {*task.text_roles, *(set(data.columns) & set(task.optional_roles)), *((task.target_role,) if need_target else ())}
    found = {role: _find(df, data, role, needed=role in needed) for role in known}
    _check_keys_there(df, data)
    split = data.split_column if data.split_column in df.columns else None
    texts = tuple((role, name) for role in (*task.text_roles, *task.optional_roles) if (name := found[role]) is not None)
    roles = Roles(texts, found[task.target_role], tuple(data.key), split)
    _check_types(df, roles)
    return roles


def check_given(df: DataFrame, data: DataConfig, task: Task) -> None:
    """Refuse a key, or a column for a text, that the configuration names and the table has not: what a model itself reads is its own.

    Raises:
        ConfigError: ``data.columns`` names a role that the task has not.
        DataError: A column is missing.
    """
    _known_roles(data, task)
    for role in set(data.columns) - {task.target_role}:
        _find(df, data, role, needed=True)
    _check_keys_there(df, data)


def _known_roles(data: DataConfig, task: Task) -> tuple[str, ...]:
    known = (*task.text_roles, *task.optional_roles, task.target_role)
    for role in data.columns:
        if role not in known:
            raise ConfigError(f"data.columns: {role!r} is not a role of {task.name}.{nearest(role, known)} Valid: {', '.join(known)}")
    return known


def _check_keys_there(df: DataFrame, data: DataConfig) -> None:
    for key in data.key:
        if key not in df.columns:
            raise DataError(
                f"key column {key!r} is not in the table.{nearest(key, df.columns)} "
                f"Columns: {', '.join(df.columns)}. Set data.key to the column(s) that tell the rows apart."
            )


def check_keys(df: DataFrame, roles: Roles) -> int:
    """Count the rows and prove the key: no NULL, no value twice.

    Raises:
        DataError: The table is empty, or keys are NULL or repeated; names examples.
    """
    # Under names of their own: a key may be called like what is counted.
    names = [f"_key_{i}" for i in range(len(roles.key))]
    null = F.exists(F.array(*[F.col(name).isNull() for name in names]), lambda one: one)
    keys = df.select(*[column(key).alias(name) for key, name in zip(roles.key, names, strict=True)])
    groups = keys.groupBy(*names).agg(F.count(F.lit(1)).alias("_rows")).withColumn("_null", null)
    repeated = (F.col("_rows") > 1) & ~F.col("_null")
    row = groups.agg(
        F.sum("_rows").alias("rows"),
        F.sum(F.when(F.col("_null"), F.col("_rows")).otherwise(0)).alias("nulls"),
        F.sum(F.when(repeated, 1).otherwise(0)).alias("repeated"),
    ).first()
    assert row is not None
    if not row["rows"]:
        raise DataError("the table is empty: it has no row to work on")
    name = ", ".join(roles.key)
    wrong = []
    if row["nulls"]:
        partly = f", for example {_examples(groups.where('_null'), names)}" if len(names) > 1 else ""
        wrong.append(f"key {name!r} is NULL in {row['nulls']} of {row['rows']} rows{partly}; fill it in, or set data.key to another column")
    if row["repeated"]:
        wrong.append(
            f"key {name!r} is not unique: {row['repeated']} value(s) stand in several rows, for example "
            f"{_examples(groups.where(repeated), names)}; remove the duplicates, or add columns to data.key"
        )
    if wrong:
        raise DataError(". And ".join(wrong))
    return int(row["rows"])


def _examples(groups: DataFrame, names: Sequence[str]) -> str:
    """Return the first keys, as they are told in a message."""
    found = groups.orderBy(*names).select(*names).limit(5).collect()
    return shown([row[0] if len(names) == 1 else tuple(row) for row in found])


def row_hash(roles: Roles) -> Column:
    """A hash of a row's key, as column ``row``: what rows are told apart by where their keys may be of any kind."""
    return F.xxhash64(*[column(name) for name in roles.key]).alias("row")


def clean_text(text: Column) -> Column:
    """Return the text as valid UTF-8, bad bytes replaced by U+FFFD: a bad byte would kill the transfer to Python workers."""
    return valid_utf8(text)


def is_mended(text: Column) -> Column:
    """Whether ``clean_text`` changes the text."""
    return F.coalesce(~is_valid_utf8(text), F.lit(False))


def is_blank(text: Column) -> Column:
    """Whether the text is NULL, empty or white space alone (in the sense of Unicode)."""
    return F.coalesce(~valid_utf8(text).rlike(r"(?U)\S"), F.lit(True))


def no_text(roles: Roles) -> Column:
    """Whether one of the row's texts is blank."""
    blanks = [is_blank(column(name)) for _, name in roles.texts]
    return F.greatest(*blanks) if len(blanks) > 1 else blanks[0]


def raw_split(roles: Roles, data: DataConfig) -> Column:
    """Return 'train', 'validation', 'test' or 'other' as the table itself says, and of train a part as test where that is cut."""
    raw, share = _named_split(roles, data), test_share(roles, data)
    return F.when((raw == TRAIN) & (text_hash(roles, "test cut", _CLASSES) < int(share * _CLASSES)), TEST).otherwise(raw) if share else raw


def test_share(roles: Roles, data: DataConfig) -> float:
    """Return which share of train's texts is cut into test: by their hash, so that what is cut for validation changes nothing of it."""
    if data.test_fraction is not None:
        return data.test_fraction
    return 0.0 if roles.split else _TEST_SHARE


def _named_split(roles: Roles, data: DataConfig) -> Column:
    if roles.split is None:
        return F.lit(TRAIN)
    split = column(roles.split).cast("string")
    named = F.when(split == data.train_split, TRAIN).when(split == data.validation_split, VALIDATION)
    return named.when(split == data.test_split, TEST).otherwise(OTHER)


def text_hash(roles: Roles, purpose: str, classes: int) -> Column:
    """A number from 0 to ``classes`` - 1, by a row's texts and ``purpose`` alone: equal texts get the same one.

    Texts are compared with white space collapsed and NULL as empty; of a pair both texts count.
    """
    return F.pmod(F.xxhash64(F.lit(purpose), *plain_texts(roles)), F.lit(classes))


def plain_texts(roles: Roles) -> list[Column]:
    """Return a row's texts as they are compared: white space collapsed, NULL as empty."""
    return [F.trim(F.regexp_replace(F.coalesce(clean_text(column(name)), F.lit("")), r"(?U)\s+", " ")) for _, name in roles.texts]


def in_share(roles: Roles, share: float) -> Column:
    """Whether a row falls into a share of train: decided by its texts alone, so equal texts fall on one side."""
    return text_hash(roles, "validation cut", _CLASSES) < int(share * _CLASSES)


def _find(df: DataFrame, data: DataConfig, role: str, *, needed: bool) -> str | None:
    mapped = data.columns.get(role, role)
    if mapped in df.columns:
        return mapped
    if role in df.columns:
        _say_once(f"data.columns.{role}: the table has no column {mapped!r}; its column {role!r} is read")
        return role
    if not needed:
        return None
    raise DataError(
        f"column {mapped!r} for role {role!r} is not in the table.{nearest(mapped, df.columns)} "
        f"Columns: {', '.join(df.columns)}. Map the role with data.columns.{role}=COLUMN."
    )


def _check_types(df: DataFrame, roles: Roles) -> None:
    for role, name in roles.texts:
        _require(df, name, _TEXTS, f"{role} column", "string")
    for name in roles.key:
        _require(df, name, _KEYS, "key column", "string, integer, date or timestamp")


def _require(df: DataFrame, name: str, kinds: Sequence[type[T.DataType]], what: str, expected: str) -> None:
    kind = df.schema[name].dataType
    if not isinstance(kind, tuple(kinds)):
        raise DataError(f"{what} {name!r} is of type {kind.simpleString()}; expected {expected}")


@functools.cache
def _say_once(message: str) -> None:
    """Log what is found out again by each step of a job."""
    log.info(message)
