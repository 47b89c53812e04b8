"""Which rows to score: those whose key, model version and input are not among the predictions yet.

Rows whose keys have vanished from the source stay in the predictions, unless ``score.on_deleted`` says otherwise.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import TYPE_CHECKING

from pyspark.sql import Observation
from pyspark.sql import functions as F

from sparknlp_ft.errors import DataError, shown
from sparknlp_ft.scoring.faults import MACHINE_WORDS
from sparknlp_ft.scoring.rows import DELETED, ERROR
from sparknlp_ft.tables.contracts import Roles, clean_text, is_mended
from sparknlp_ft.tables.input_hash import INPUT_HASH, with_input_hash
from sparknlp_ft.tables.names import column

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

STALE = "_stale"
SCORED = "_scored"

#: Before the names of prediction columns that are added to the source table itself, which has a label of its own.
IN_PLACE_PREFIX = "prediction_"

#: What every prediction carries beside the task's columns and its status.
LINEAGE = ("model_name", "model_version", "run_id", "source_table", "source_version", "input_hash", "scored_at")
_KNOWN = ("status", "error", "model_name", "model_version", "input_hash")

#: A worker takes seconds to load its model: for fewer rows than this it is not worth starting another.
ROWS_PER_WORKER = 256
#: Rows of one task, so that progress shows and a lost task costs little; tables of many millions get larger ones.
ROWS_PER_TASK = 4096
MOST_ROUNDS = 50


@dataclass(frozen=True)
class Stale:
    """What a run has to do.

    Attributes:
        total: Rows of the source.
        rows: Those to score, with their input hash.
        number: How many.
        gone: Keys whose rows have left the source, where their predictions are to be marked or deleted.
        gone_number: How many.
        errors: So many of the predictions that stay are in error, at most; None: not known.
        held: What Spark holds of this until the run is over.
    """

    total: int
    rows: DataFrame
    number: int
    gone: DataFrame | None = None
    gone_number: int = 0
    errors: int | None = None
    held: tuple[DataFrame, ...] = ()


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


@dataclass(frozen=True)
class Fresh:
    """When a prediction still holds.

    Attributes:
        model: Name and version of the model to score with.
        prefix: Of the prediction columns.
        retry_errors: Whether rows in error are stale too; those whose error is the machine's always are.
    """

    model: tuple[str, str]
    prefix: str = ""
    retry_errors: bool = False

    def again(self, status: Column, error: Column) -> Column:
        """Whether a prediction in error is to be made again."""
        machine = F.lit(True) if self.retry_errors else F.coalesce(error.rlike(MACHINE_WORDS), F.lit(False))
        return (status == ERROR) & machine

    def columns(self) -> Column:
        """Return what ``holds`` reads of a prediction, as a struct."""
        return F.struct(*[column(self.prefix + name).alias(name) for name in _KNOWN])

    def holds(self, known: Column, input_hash: Column) -> Column:
        """Whether a prediction, a struct as ``columns`` makes it or NULL, is of this model and of these inputs."""
        same = (
            known["model_name"].eqNullSafe(F.lit(self.model[0]))
            & known["model_version"].eqNullSafe(F.lit(self.model[1]))
            & known["input_hash"].eqNullSafe(input_hash)
        )
        there = known["status"].isNotNull() & (known["status"] != DELETED)
        return F.coalesce(there & same & ~self.again(known["status"], known["error"]), F.lit(False))


def key_names(roles: Roles) -> list[str]:
    """Return what keys are called while rows are matched: a key's own name may be any."""
    return [f"_key_{i}" for i in range(len(roles.key))]


def keys_alone(rows: DataFrame, roles: Roles) -> DataFrame:
    """Return the keys, under the names of ``key_names``."""
    return rows.select(*_keys(roles))


def _keys(roles: Roles) -> list[Column]:
    return [column(key).alias(name) for key, name in zip(roles.key, key_names(roles), strict=True)]


def flag_stale(rows: DataFrame, roles: Roles, known: DataFrame | None, fresh: Fresh) -> DataFrame:
    """Return each key once, with the number of its rows (``_rows``) and whether it is to be scored (``_stale``).

    Keys are shuffled once: rows are counted by key, and matched with the predictions, which lie by key then.

    Args:
        rows: Pinned rows of the source.
        roles: Key and texts.
        known: Predictions made so far, by key; None where they stand in the source itself.
        fresh: When a prediction still holds.
    """
    names = key_names(roles)
    own = f"{fresh.prefix}input_hash" in rows.columns and known is None
    there = [fresh.columns().alias("_known")] if own else []
    narrow = with_input_hash(rows, roles).select(*_keys(roles), column(INPUT_HASH), *there)
    first = [F.first(name).alias(name) for name in (INPUT_HASH, *(["_known"] if own else []))]
    keyed = narrow.groupBy(*names).agg(F.count(F.lit(1)).alias("_rows"), *first)
    if known is not None:
        keyed = keyed.join(known.select(*_keys(roles), fresh.columns().alias("_known")), on=names, how="left")
    holds = fresh.holds(F.col("_known"), F.col(INPUT_HASH)) if own or known is not None else F.lit(False)
    return keyed.select(*names, "_rows", (~holds).alias(STALE))


@dataclass(frozen=True)
class Found:
    """What ``flag_stale`` comes to.

    Attributes:
        rows: Rows of the source; of a key that has several predictions, as many times.
        nulls: Rows that lack a key.
        repeated: Keys of several rows.
        keys: The stale keys, held by Spark until ``unpersist``.
        stale: How many.
    """

    rows: int
    nulls: int
    repeated: int
    keys: DataFrame
    stale: int


def look_up(flagged: DataFrame) -> Found:
    """Count all and hold the stale keys, in one pass."""
    keys = [name for name in flagged.columns if name not in ("_rows", STALE)]
    null = F.exists(F.array(*[F.col(key).isNull() for key in keys]), lambda one: one)
    totals = Observation(f"rows {uuid.uuid4().hex}")
    observed = flagged.observe(
        totals,
        F.coalesce(F.sum("_rows"), F.lit(0)).alias("rows"),
        F.coalesce(F.sum(F.when(null, F.col("_rows"))), F.lit(0)).alias("nulls"),
        F.count_if((F.col("_rows") > 1) & ~null).alias("repeated"),
    )
    stale = observed.where(STALE).select(*keys).persist()
    number = stale.count()
    counted = totals.get
    return Found(int(counted["rows"]), int(counted["nulls"]), int(counted["repeated"]), stale, number)


def refuse_doubled(flagged: DataFrame, *, expected: int) -> None:
    """Prove that no row was matched with several predictions.

    Raises:
        DataError: The predictions hold a key twice.
    """
    # Counted anew: what is observed in passing counts a task twice that had to run again.
    rows = (flagged.agg(F.sum("_rows")).first() or [0])[0] or 0
    if rows != expected:
        raise DataError(
            f"the source has {expected} rows, but {rows} once matched with its predictions: the predictions table holds "
            "keys more than once; remove the duplicates, or give another score.output"
        )


def matched(rows: DataFrame, roles: Roles, keys: DataFrame, *, how: str) -> DataFrame:
    """Return the rows whose key is among ``keys``, named as by ``keys_alone``; or those whose is not.

    Args:
        rows: Rows with the key columns.
        roles: The key.
        keys: Each key once.
        how: ``left_semi`` or ``left_anti``.
    """
    # By names that only one side has: a column taken from a frame is ambiguous where one frame comes of the other.
    same = [column(key).eqNullSafe(F.col(name)) for key, name in zip(roles.key, key_names(roles), strict=True)]
    return rows.join(keys.select(*key_names(roles)), on=same, how=how)


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
