"""One pass over a table: rows and labels by split, what is missing, how long texts are, and a key of each kind of row."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from sparknlp_ft.config import DataConfig
from sparknlp_ft.tables import contracts
from sparknlp_ft.tables.contracts import TRAIN, VALIDATION, Roles
from sparknlp_ft.tables.cures import MOST_LABELS
from sparknlp_ft.tables.cut import cut_of
from sparknlp_ft.tables.names import column
from sparknlp_ft.tables.survey import SPLITS
from sparknlp_ft.tables.targets import KINDS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row

    from sparknlp_ft.tasks import Task


@dataclass
class Tally:
    """Rows that have something in common, and keys of some of them."""

    rows: int = 0
    keys: list[str] = field(default_factory=list)

    def add(self, rows: int, key: str | None) -> None:
        """Count more rows, with the key of one of them."""
        self.rows += rows
        if key is not None and rows:
            self.keys.append(key)


@dataclass(frozen=True)
class Lengths:
    """Lengths of a split's texts, as the logarithms of their characters."""

    rows: int = 0
    mean: float = 0.0
    variance: float = 0.0


@dataclass(frozen=True)
class Census:
    """What the pass told. Splits are those that a snapshot has: without validation rows of its own, train's are cut."""

    has_validation: bool
    rows: Mapping[str, int]  #: Usable rows by split.
    labels: Mapping[str, Mapping[str, Tally]]  #: By split and label: how often it stands there.
    learnable: Mapping[str, int]  #: Labels of train, those of rows that fell into the cut as well.
    without_text: Mapping[str, Tally]
    without_target: Mapping[str, Tally]
    lengths: Mapping[str, Lengths]
    total: int


def take_census(df: DataFrame, roles: Roles, data: DataConfig, task: Task) -> Census:
    """Count all at once, by what rows have in common."""
    groups = _groups(df, roles, data, task)
    has_validation = any(group["raw"] == VALIDATION for group in groups)
    rows: dict[str, int] = defaultdict(int)
    labels: dict[str, dict[str, Tally]] = {split: defaultdict(Tally) for split in SPLITS}
    learnable: dict[str, int] = defaultdict(int)
    missing: tuple[dict[str, Tally], dict[str, Tally]] = (defaultdict(Tally), defaultdict(Tally))
    measured: dict[str, list[Row]] = defaultdict(list)
    for group in groups:
        raw, label, count, key = group["raw"], group["label"], group["rows"], group["key"]
        split = VALIDATION if raw == TRAIN and group["cut"] and not has_validation else raw
        if split not in SPLITS:
            continue
        if group["no_text"] or group["no_target"]:
            missing[0 if group["no_text"] else 1][raw].add(count, shown_key(key))
            continue
        rows[split] += count
        measured[split].append(group)
        if label is not None:
            labels[split][label].add(group["labels"], shown_key(key))
            learnable[label] += group["labels"] if raw == TRAIN else 0
    lengths = {split: _lengths(groups) for split, groups in measured.items()}
    total = sum(group["rows"] for group in groups)
    known = {label: count for label, count in learnable.items() if count}
    return Census(has_validation, dict(rows), labels, known, dict(missing[0]), dict(missing[1]), lengths, total)


def shown_key(key: Row | None) -> str | None:
    """Return a row's key as it is told; None if it has none."""
    if key is None:
        return None
    return repr(key[0]) if len(key) == 1 else repr(tuple(key))


def _groups(df: DataFrame, roles: Roles, data: DataConfig, task: Task) -> list[Row]:
    kind = KINDS[task.target_kind]
    labels = kind.labels(df, roles.target) if roles.target else F.lit(None).cast("array<string>")
    there = kind.value(df, roles.target).isNotNull() if roles.target else F.lit(True)
    length = F.log1p(F.length(F.concat_ws(" ", *contracts.plain_texts(roles))))
    described = df.select(
        contracts.raw_split(roles, data).alias("raw"),
        cut_of(df, roles, data).holds(roles).alias("cut"),
        contracts.no_text(roles).alias("no_text"),
        (~there).alias("no_target"),
        F.struct(*[column(name) for name in roles.key]).alias("key"),
        length.alias("length"),
        labels.alias("all"),
    )
    exploded = described.select("*", F.posexplode_outer("all").alias("at", "label"))
    first = F.coalesce(F.col("at"), F.lit(0)) == 0
    groups = exploded.groupBy("raw", "cut", "no_text", "no_target", "label").agg(
        F.count_if(first).alias("rows"),
        F.count("*").alias("labels"),
        F.min("key").alias("key"),
        F.coalesce(F.sum(F.when(first, F.col("length"))), F.lit(0.0)).alias("sum"),
        F.coalesce(F.sum(F.when(first, F.col("length") * F.col("length"))), F.lit(0.0)).alias("squares"),
    )
    return groups.orderBy("raw", "cut", "label").limit(MOST_LABELS).collect()


def _lengths(groups: Iterable[Row]) -> Lengths:
    groups = list(groups)
    rows = sum(group["rows"] for group in groups)
    if not rows:
        return Lengths()
    mean = math.fsum(group["sum"] for group in groups) / rows
    return Lengths(rows, mean, max(math.fsum(group["squares"] for group in groups) / rows - mean**2, 0.0))
