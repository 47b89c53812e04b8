"""Which rows of train are validation rows, where the table names none: decided by their texts, so that equal texts are on one side.

With ``data.validation_fraction`` it is a share of the texts' hashes. Without, the number of rows decides: a share of 30 rows
tells no model from another, so of a small table more is taken, and from each label its part.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from sparknlp_ft.config import DataConfig
from sparknlp_ft.tables import contracts
from sparknlp_ft.tables.contracts import SPLIT, TRAIN, VALIDATION, Roles
from sparknlp_ft.tables.targets import KINDS
from sparknlp_ft.tasks import get_task

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

#: Validation rows that are wanted, altogether and for each label; and the shares of train they lie between.
WANTED_ROWS, WANTED_PER_LABEL = 300, 4
LEAST_SHARE, MOST_SHARE = 0.05, 0.2
#: Validation rows that are enough of any table: more say what is known, and each epoch is evaluated on all of them.
MOST_ROWS = 100_000
#: Rows up to which each text is looked at; of more, a share by hash has each label's part as well.
LOOKED_AT = 20_000

#: A text, its labels (none, or several), and its rows.
Group = tuple[int, Sequence[str], int]


@dataclass(frozen=True)
class Cut:
    """Validation rows of train: a share by hash of the text, or the texts with these hashes."""

    share: float = 0.0
    texts: tuple[int, ...] | None = None

    def holds(self, roles: Roles) -> Column:
        """Whether a row of train is one of them."""
        if self.texts is None:
            return contracts.in_share(roles, self.share)
        if not self.texts:
            return F.lit(False)
        # One literal, not one for each text: a plan with hundreds of them takes longer to make than to run.
        chosen = F.split(F.lit(",".join(map(str, self.texts))), ",").cast("array<bigint>")
        return F.array_contains(chosen, _text(roles))


def cut_of(df: DataFrame, roles: Roles, data: DataConfig) -> Cut:
    """Return the cut of a table; the same for the same rows."""
    if data.validation_fraction is not None:
        return Cut(data.validation_fraction)
    raw = contracts.raw_split(roles, data).alias("raw")
    counts = {row["raw"]: row["count"] for row in df.groupBy(raw).count().collect()}
    rows = counts.get(TRAIN, 0)
    if VALIDATION in counts or not rows:
        return Cut()
    if rows > LOOKED_AT:
        return Cut(validation_rows(rows, 0) / rows)
    return Cut(texts=chosen_texts(_groups(df.where(raw == TRAIN), roles, data)))


def with_split(df: DataFrame, roles: Roles, data: DataConfig, *, has_validation: bool | None = None, cut: Cut | None = None) -> DataFrame:
    """Add column ``_split``: 'train', 'validation', 'test' or 'other'.

    Validation is cut from train only where the table has no validation rows of its own.

    Args:
        df: The table.
        roles: Its roles.
        data: Names of the splits and the fraction to cut.
        has_validation: Whether the table has validation rows, if that is known already; else it is looked up.
        cut: The cut, if that is known already.
    """
    raw = contracts.raw_split(roles, data)
    if has_validation is None:
        has_validation = roles.split is not None and not df.where(raw == VALIDATION).isEmpty()
    if has_validation:
        return df.withColumn(SPLIT, raw)
    held = (cut or cut_of(df, roles, data)).holds(roles)
    return df.withColumn(SPLIT, F.when((raw == TRAIN) & held, VALIDATION).otherwise(raw))


def validation_rows(rows: int, labels: int) -> int:
    """Return how many of so many rows validation gets."""
    wanted = max(WANTED_ROWS, WANTED_PER_LABEL * labels)
    return round(min(MOST_ROWS, max(LEAST_SHARE * rows, min(MOST_SHARE * rows, wanted))))


def chosen_texts(groups: Iterable[Group]) -> tuple[int, ...]:
    """Return the texts that go to validation: of each label its part, in the order of their hashes, and never its last text.

    A text with several labels counts for the rarest of them. What a label cannot give, the next one gives.
    """
    texts, totals, rows = _by_text(groups)
    share = validation_rows(rows, len(totals)) / max(rows, 1)
    strata: dict[str, list[int]] = defaultdict(list)
    for text, (labels, _) in sorted(texts.items()):
        strata[min(labels, key=lambda label: (totals[label], label), default="")].append(text)
    chosen: list[int] = []
    carried = 0.0
    for label in sorted(strata):
        own = strata[label]
        quota, taken = share * sum(texts[text][1] for text in own) + carried, 0
        for text in own[:-1]:
            if taken + texts[text][1] > quota + 0.5:
                break
            taken += texts[text][1]
            chosen.append(text)
        carried = quota - taken
    return tuple(chosen)


def _by_text(groups: Iterable[Group]) -> tuple[Mapping[int, tuple[set[str], int]], Counter[str], int]:
    """Labels and rows of each text, rows of each label, and all rows."""
    texts: dict[int, tuple[set[str], int]] = {}
    totals: Counter[str] = Counter()
    rows = 0
    for text, labels, count in groups:
        known, before = texts.get(text, (set(), 0))
        texts[text] = known | set(labels), before + count
        totals.update(dict.fromkeys(labels, count))
        rows += count
    return texts, totals, rows


def _groups(train: DataFrame, roles: Roles, data: DataConfig) -> list[Group]:
    kind = KINDS[get_task(data.task).target_kind]
    labels, there = F.array().cast("array<string>"), F.lit(True)
    if roles.target is not None:
        labels, there = kind.labels(train, roles.target), kind.value(train, roles.target).isNotNull()
    usable = train.where(~contracts.no_text(roles) & there).select(_text(roles).alias("text"), labels.alias("labels"))
    found = usable.groupBy("text", "labels").count().collect()
    return [(row["text"], [label for label in row["labels"] or () if label is not None], row["count"]) for row in found]


def _text(roles: Roles) -> Column:
    return F.xxhash64(F.lit("validation cut"), *contracts.plain_texts(roles))
