"""Equal texts: those that stand in train and in another split, and those of train that have different targets."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from sparknlp_ft.config import DataConfig
from sparknlp_ft.findings.census import shown_key
from sparknlp_ft.findings.finding import EXAMPLES
from sparknlp_ft.tables import contracts
from sparknlp_ft.tables.contracts import OTHER, TEST, TRAIN, VALIDATION, Roles
from sparknlp_ft.tables.cures import text_key
from sparknlp_ft.tables.names import column
from sparknlp_ft.tables.targets import KINDS

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from sparknlp_ft.tasks import Task

#: Rows that are grouped by their texts; of larger tables a share of all texts is, with all the rows of each.
MOST_ROWS = 20_000_000


@dataclass(frozen=True)
class Equal:
    """Rows whose texts others have: how many, of how many texts, and keys of some."""

    rows: int
    texts: int
    keys: tuple[str, ...]


@dataclass(frozen=True)
class Overlap:
    """What is equal, by ``TEST`` and ``VALIDATION`` (rows there whose texts train has) and ``TRAIN`` (rows at odds)."""

    equal: dict[str, Equal]
    share: int  #: One in so many texts was looked at; 1: all. Counts are made up to the whole.


def find_equal(df: DataFrame, roles: Roles, data: DataConfig, task: Task, *, rows: int) -> Overlap:
    """Group the usable rows by their texts' hash, once.

    Args:
        df: The table.
        roles: Its roles.
        data: Names of the splits.
        task: Says how targets are compared.
        rows: Rows of the table.
    """
    share = max(1, math.ceil(rows / MOST_ROWS))
    value = KINDS[task.target_kind].value(df, roles.target) if roles.target else F.lit(None).cast("string")
    each = df.where(~contracts.no_text(roles)).select(
        text_key(roles).alias("text"),
        contracts.raw_split(roles, data).alias("split"),
        F.when(value.isNotNull(), F.xxhash64(value)).alias("value"),
        F.struct(*[column(name) for name in roles.key]).alias("key"),
    )
    each = each.where((F.col("split") != OTHER) & (F.pmod(F.xxhash64("text", F.lit("sample")), F.lit(share)) == 0))
    own = F.col("split") == TRAIN
    sides = [
        column_
        for split in (TRAIN, VALIDATION, TEST)
        for column_ in (
            F.count_if(F.col("split") == split).alias(split),
            F.min(F.when(F.col("split") == split, F.col("key"))).alias(f"{split}_key"),
        )
    ]
    groups = each.groupBy("text").agg(
        *sides, F.min(F.when(own, F.col("value"))).alias("low"), F.max(F.when(own, F.col("value"))).alias("high")
    )
    found = {
        TRAIN: F.col("low") != F.col("high"),
        VALIDATION: (F.col(TRAIN) > 0) & (F.col(VALIDATION) > 0),
        TEST: (F.col(TRAIN) > 0) & (F.col(TEST) > 0),
    }
    row = groups.agg(*[one.alias(f"{split}_{name}") for split, holds in found.items() for name, one in _counted(split, holds)]).first()
    assert row is not None
    equal = {}
    for split in found:
        keys = [key for i in range(EXAMPLES) if (key := shown_key(row[f"{split}_{i}"])) is not None]
        equal[split] = Equal((row[f"{split}_rows"] or 0) * share, row[f"{split}_texts"] * share, tuple(keys))
    return Overlap(equal, share)


def _counted(split: str, holds: Column) -> list[tuple[str, Column]]:
    """Rows and texts of which it holds, and a key of every fifth part of them: examples without a second look."""
    fifth = F.pmod(F.col("text"), F.lit(EXAMPLES))
    examples = [(str(i), F.min(F.when(holds & (fifth == i), F.col(f"{split}_key")))) for i in range(EXAMPLES)]
    return [("rows", F.sum(F.when(holds, F.col(split)))), ("texts", F.count_if(holds)), *examples]
