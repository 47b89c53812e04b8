"""Which rows to score: those whose key, model version and input are not among the predictions yet.

Rows whose keys have vanished from the source stay in the predictions: a scoring run adds and updates, it deletes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from sparknlp_ft.errors import DataError, shown
from sparknlp_ft.scoring.rows import ERROR
from sparknlp_ft.tables.contracts import Roles, clean_text, is_mended
from sparknlp_ft.tables.input_hash import INPUT_HASH, with_input_hash
from sparknlp_ft.tables.names import column, quoted

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

STALE = "_stale"
SCORED = "_scored"

#: Before the names of prediction columns that are added to the source table itself, which has a label of its own.
IN_PLACE_PREFIX = "prediction_"

#: What every prediction carries beside the task's columns and its status.
LINEAGE = ("model_name", "model_version", "run_id", "source_table", "source_version", "input_hash", "scored_at")
_KNOWN = ("status", "model_name", "model_version", "input_hash")

#: A worker takes seconds to load its model: for fewer rows than this it is not worth starting another.
ROWS_PER_WORKER = 256
#: Rows of one task, so that progress shows and a lost task costs little; tables of many millions get larger ones.
ROWS_PER_TASK = 4096
MOST_ROUNDS = 50


@dataclass(frozen=True)
class Counts:
    """Rows of the source, and how many of them are to be scored."""

    rows: int
    stale: int


def model_roles(roles: Roles, text_roles: Sequence[str]) -> Roles:
    """Return the roles with the texts that the model reads, in its order.

    Raises:
        DataError: The table has no column for one of them.
    """
    have = dict(roles.texts)
    missing = [role for role in text_roles if role not in have]
    if missing:
        raise DataError(
            f"this model reads {', '.join(text_roles)}, and the table has no column for {shown(missing)}; "
            f"map one with data.columns.{missing[0]}=COLUMN"
        )
    return replace(roles, texts=tuple((role, have[role]) for role in text_roles))


def flag_stale(
    source: DataFrame, roles: Roles, known: DataFrame | None, *, model: tuple[str, str], prefix: str = "", retry_errors: bool = False
) -> DataFrame:
    """Add ``_input_hash`` and ``_stale`` to the rows of the source.

    Args:
        source: Pinned rows.
        roles: Key and texts.
        known: Predictions made so far, by key; None where there are none, or where they stand in the source itself.
        model: Name and version of the model to score with.
        prefix: Of the prediction columns in the source, where they stand there.
        retry_errors: Whether rows in error are stale too.
    """
    rows = with_input_hash(source, roles)
    names = {name: f"_known_{name}" for name in _KNOWN}
    if known is not None:
        keys = [column(key).alias(f"_key_{i}") for i, key in enumerate(roles.key)]
        right = known.select(*keys, *[column(name).alias(alias) for name, alias in names.items()])
        matches = [rows[quoted(key)].eqNullSafe(right[f"_key_{i}"]) for i, key in enumerate(roles.key)]
        rows = rows.join(right, on=matches, how="left").drop(*[f"_key_{i}" for i in range(len(keys))])
    elif prefix and f"{prefix}status" in source.columns:
        rows = rows.select("*", *[column(prefix + name).alias(alias) for name, alias in names.items()])
    else:
        return rows.withColumn(STALE, F.lit(True))
    fresh = (
        F.col(names["status"]).isNotNull()
        & F.col(names["model_name"]).eqNullSafe(F.lit(model[0]))
        & F.col(names["model_version"]).eqNullSafe(F.lit(model[1]))
        & F.col(names["input_hash"]).eqNullSafe(F.col(INPUT_HASH))
    )
    if retry_errors:
        fresh = fresh & (F.col(names["status"]) != ERROR)
    return rows.withColumn(STALE, ~fresh).drop(*names.values())


def count_rows(flagged: DataFrame, *, expected: int) -> Counts:
    """Count all and stale rows in one pass.

    Raises:
        DataError: There are more rows than in the source: the predictions hold a key twice.
    """
    found = flagged.agg(F.count("*").alias("rows"), F.coalesce(F.sum(F.col(STALE).cast("long")), F.lit(0)).alias("stale")).first()
    assert found is not None
    if found["rows"] != expected:
        raise DataError(
            f"the source has {expected} rows, but {found['rows']} once matched with its predictions: the predictions table holds "
            "keys more than once; remove the duplicates, or give another score.output"
        )
    return Counts(int(found["rows"]), int(found["stale"]))


def with_scores(rows: DataFrame, roles: Roles, score: Callable[..., Column], *, partitions: int) -> DataFrame:
    """Add the struct ``_scored``: status, error, truncated and the task's columns.

    Rows are spread by a hash of their texts: no task gets the long ones, and equal texts meet in one task, which scores them once.
    """
    texts = [column(name) for _, name in roles.texts]
    mended = F.lit(False)
    for text in texts:
        mended = mended | is_mended(text)
    row = F.xxhash64(*[column(key) for key in roles.key])
    return rows.repartition(partitions, *texts).withColumn(SCORED, score(row, mended, *[clean_text(text) for text in texts]))


def partitions_for(rows: int, slots: int) -> int:
    """Return the number of scoring tasks: all slots busy to the end, each task long enough to be worth its start."""
    if rows <= slots * ROWS_PER_WORKER:
        return max(1, ceil(rows / ROWS_PER_WORKER))
    rounds = ceil(rows / (slots * ROWS_PER_TASK))
    return slots * min(rounds, MOST_ROUNDS)
