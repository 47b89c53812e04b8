"""What a look through a table counts: missing and doubled texts, splits, labels, lengths in words. The profile is printed from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from sparknlp_ft.tables import contracts
from sparknlp_ft.tables.contracts import Roles
from sparknlp_ft.tables.names import column
from sparknlp_ft.tables.targets import KINDS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from sparknlp_ft.tasks import Task


@dataclass(frozen=True)
class TextTotals:
    """Numbers of rows, and quantiles of length at the shares asked for; of a pair of texts both count together."""

    rows: int
    without_text: int
    mended: int  #: Rows whose text is not valid UTF-8.
    distinct: int
    words: tuple[int, ...]
    characters: tuple[int, ...]


def text_totals(df: DataFrame, roles: Roles, *, shares: Sequence[float]) -> TextTotals:
    """Count rows and measure texts, in two passes."""
    columns = [column(name) for _, name in roles.texts]
    texts = [F.coalesce(contracts.clean_text(one), F.lit("")) for one in columns]
    joined = F.concat_ws(" ", *texts)
    words = F.when(contracts.is_blank(joined), 0).otherwise(F.size(F.split(F.trim(joined), r"(?U)\s+")))
    blank, mended = contracts.is_blank(columns[0]), contracts.is_mended(columns[0])
    for one in columns[1:]:
        blank, mended = blank | contracts.is_blank(one), mended | contracts.is_mended(one)
    row = df.agg(
        F.count(F.lit(1)).alias("rows"),
        F.sum(blank.cast("bigint")).alias("without_text"),
        F.sum(mended.cast("bigint")).alias("mended"),
        F.percentile_approx(words, list(shares), 10_000).alias("words"),
        F.percentile_approx(F.length(joined), list(shares), 10_000).alias("characters"),
    ).first()
    assert row is not None
    # Apart from the rest: in one aggregation each distinct text would get percentile buffers of its own (20 times slower).
    distinct = df.select(F.xxhash64(*texts)).distinct().count()
    missing, bad = row["without_text"] or 0, row["mended"] or 0
    return TextTotals(row["rows"], missing, bad, distinct, tuple(row["words"] or ()), tuple(row["characters"] or ()))


def split_label_counts(df: DataFrame, roles: Roles, task: Task) -> list[tuple[str | None, str | None, int, int]]:
    """Return for each split (by the table's own name) and label: how often the label stands there, and rows.

    Each row is counted once, at its first label; a row without target is counted at the label None, as is one whose target
    has no labels, with 0 labels for the first and 1 for the second.
    """
    split = column(roles.split).cast("string") if roles.split else F.lit(None).cast("string")
    kind = KINDS[task.target_kind]
    labels = kind.labels(df, roles.target) if roles.target else F.lit(None).cast("array<string>")
    there = kind.value(df, roles.target).isNotNull() if roles.target else F.lit(False)
    each = df.select(split.alias("split"), there.alias("there"), F.posexplode_outer(labels).alias("at", "label"))
    first = F.coalesce(F.col("at"), F.lit(0)) == 0
    groups = each.groupBy("split", "label", "there").agg(F.count_if(F.col("there")).alias("labels"), F.count_if(first).alias("rows"))
    return [(row[0], row[1], row["labels"], row["rows"]) for row in groups.orderBy(F.desc("labels")).limit(100_000).collect()]
