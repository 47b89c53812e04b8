"""One look over a table before it is trained on: usable rows by split, labels, and what their targets are like."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from sparknlp_ft.config import Config
from sparknlp_ft.errors import DataError, nearest, shown
from sparknlp_ft.progress import log
from sparknlp_ft.tables import contracts
from sparknlp_ft.tables.contracts import TEST, TRAIN, VALIDATION, Roles
from sparknlp_ft.tables.cures import MOST_LABELS
from sparknlp_ft.tables.cut import Cut, cut_of
from sparknlp_ft.tables.places import check_places
from sparknlp_ft.tables.targets import KINDS
from sparknlp_ft.tasks import Statistics

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row

    from sparknlp_ft.tasks import Task

SPLITS = (TRAIN, VALIDATION, TEST)


@dataclass(frozen=True)
class Survey:
    """What one pass over the table told."""

    has_validation: bool
    rows: Mapping[str, int]  #: Usable rows by split.
    labels: tuple[str, ...]
    statistics: Statistics  #: Of the targets of train.
    left_out: Mapping[str, int]
    cut: Cut  #: What of train is validation.


def survey(df: DataFrame, roles: Roles, config: Config, task: Task, *, unlabelled: bool = False) -> Survey:
    """Count usable rows by split and label in one pass, and settle the label list.

    Args:
        df: The rows.
        roles: Their columns.
        config: Names of the splits, and what is cut.
        task: The task.
        unlabelled: Whether rows of train without a target are of use, since a teacher says what is to be learnt of them.

    Raises:
        DataError: No training or validation rows, unfit labels, labels in validation or test that train has not, or targets
            that name places in a text where what they say does not stand.
    """
    check_places(df, roles, config.data, task)
    cut = cut_of(df, roles, config.data)
    groups = _count_groups(df, roles, config, task, cut)
    has_validation = any(group["raw"] == VALIDATION for group in groups)
    rows: Counter[str] = Counter()
    by_label: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
    own: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    numbers: list[Row] = []
    trainable = learnt = 0
    for group in groups:
        raw, label, count = group["raw"], group["label"], group["rows"]
        split = VALIDATION if raw == TRAIN and group["cut"] and not has_validation else raw
        if split not in SPLITS:
            left_out["in another split"] += count
        elif group["no_text"] or (group["no_target"] and not (unlabelled and split == TRAIN)):
            left_out[f"{raw}: {'text' if group['no_text'] else task.target_role} is NULL or blank"] += count
        else:
            rows[split] += count
            if not group["no_target"]:
                trainable += count if raw == TRAIN else 0
                learnt += count if split == TRAIN else 0
            if label is not None:
                by_label[split][label] += group["labels"]
                # A label whose few rows all fell into the cut is still a label of train.
                own[label] += group["labels"] if raw == TRAIN else 0
            if split == TRAIN and group["mean"] is not None:
                numbers.append(group)
    if not trainable:
        raise _nothing_to_train(config, roles)
    labels = task.label_list([label for label, count in own.items() if count])
    if not learnt or not rows[VALIDATION]:
        raise _nothing_left(rows, trainable, config)
    if labels:
        _require_seen(by_label, labels, roles)
    if left_out:
        log.warning(
            "left out of training and evaluation: %s", "; ".join(f"{count} row(s), {why}" for why, count in sorted(left_out.items()))
        )
    mean, deviation = _moments(numbers)
    statistics = Statistics(learnt, dict(by_label[TRAIN]), mean, deviation)
    return Survey(has_validation, dict(rows), tuple(labels), statistics, dict(left_out), cut)


def _count_groups(df: DataFrame, roles: Roles, config: Config, task: Task, cut: Cut) -> list[Row]:
    """One pass: rows (each counted at its first label) and labels by split, cut, and whether text or target is missing."""
    assert roles.target is not None
    kind = KINDS[task.target_kind]
    number = kind.number(df, roles.target) if kind.number else F.lit(None).cast("double")
    described = df.select(
        contracts.raw_split(roles, config.data).alias("raw"),
        cut.holds(roles).alias("cut"),
        contracts.no_text(roles).alias("no_text"),
        kind.value(df, roles.target).isNull().alias("no_target"),
        kind.labels(df, roles.target).alias("all"),
        number.alias("number"),
    )
    exploded = described.select("*", F.posexplode_outer("all").alias("at", "label"))
    groups = exploded.groupBy("raw", "cut", "no_text", "no_target", "label").agg(
        F.count_if(F.coalesce(F.col("at"), F.lit(0)) == 0).alias("rows"),
        F.count("*").alias("labels"),
        F.avg("number").alias("mean"),
        F.var_pop("number").alias("variance"),
    )
    found = groups.limit(MOST_LABELS + 1).collect()
    if len(found) > MOST_LABELS:
        raise DataError(
            f"column {roles.target!r} has more than {MOST_LABELS:,} different values, too many for labels; "
            f"name the right one with data.columns.{task.target_role}=COLUMN"
        )
    return found


def _moments(groups: Sequence[Row]) -> tuple[float, float] | tuple[None, None]:
    """Mean and deviation over groups of rows, from those of each (Chan, Golub and LeVeque 1979): sums of squares would cancel."""
    rows = sum(group["rows"] for group in groups)
    if not rows:
        return None, None
    mean = sum(group["rows"] * group["mean"] for group in groups) / rows
    variance = sum(group["rows"] * (group["variance"] + (group["mean"] - mean) ** 2) for group in groups) / rows
    return mean, math.sqrt(variance)


def _nothing_to_train(config: Config, roles: Roles) -> DataError:
    where = f"no row of split {config.data.train_split!r} (column {roles.split!r})" if roles.split else "no row"
    return DataError(f"{where} has both a text and a target, so there is nothing to train on; check data.train_split and data.columns")


def _nothing_left(rows: Mapping[str, int], own: int, config: Config) -> DataError:
    lacking = VALIDATION if rows.get(TRAIN) else TRAIN
    return DataError(
        f"{own} training row(s){_fraction(config)} leave no row for {lacking}; "
        "change the fraction, add rows, or give the table validation rows of its own"
    )


def _fraction(config: Config) -> str:
    given = config.data.validation_fraction
    return "" if given is None else f" with data.validation_fraction={given}"


def _require_seen(by_label: Mapping[str, Counter[str]], labels: list[str], roles: Roles) -> None:
    for split in (VALIDATION, TEST):
        unseen = sorted(set(by_label[split]) - set(labels))
        if unseen:
            rows = sum(by_label[split][label] for label in unseen)
            raise DataError(
                f"label(s) {shown(unseen)} stand in {rows} row(s) of {split} and in none of train (column {roles.target!r})."
                f"{nearest(unseen[0], labels)} Correct or remove these rows, or add such rows to train."
            )
