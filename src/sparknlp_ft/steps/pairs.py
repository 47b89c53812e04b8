"""Targets and predictions of a table, counted by Spark: what comes to the driver is bounded, however many rows there are.

Targets that are one label each are counted by pairs of labels. All others (numbers, entities, answers, texts) are compared where they
were scored, and each task of Spark hands on the sums.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from pyspark.sql import functions as F

from sparknlp_ft.errors import ConfigError
from sparknlp_ft.progress import log
from sparknlp_ft.reports.quality import MOST_GROUPS, coverage
from sparknlp_ft.scoring.ddl import fields
from sparknlp_ft.scoring.incremental import SCORED, partitions_for, with_scores
from sparknlp_ft.scoring.rows import OK
from sparknlp_ft.steps.deployment import Deployment
from sparknlp_ft.steps.job import Job
from sparknlp_ft.tables.contracts import Roles, row_hash
from sparknlp_ft.tables.session import slots
from sparknlp_ft.tables.targets import KINDS
from sparknlp_ft.tables.watch import spark_step
from sparknlp_ft.tasks import Outcomes, get_task
from sparknlp_ft.tasks.outcomes import weights_of
from sparknlp_ft.tasks.tally import Counting, Part, merged

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import Column, DataFrame

#: Rows of which each is kept: of more, one number tells models apart as well.
MOST_EACH = 20_000

#: Width of the bins of confidence that rows are counted by.
BIN = 0.02


@dataclass(frozen=True)
class Counted:
    """What a model says of labelled rows, beside their targets.

    Attributes:
        rows: Labelled rows; those without a prediction are among them.
        outcomes: Of the labelled rows, with ``weight``; where each value is needed, of very many rows those of a sample.
        labels: They were counted with.
        unlabelled: Rows without target.
        unscored: Labelled rows without prediction.
        unknown: Labels of targets that the model does not know.
        cut: Labelled rows of which the model was not shown all.
        whole: Whether different outcomes have entries of their own, so that rows can be drawn anew.
        row: The row of each entry, int64 [entries], where each was to be kept.
        matrix: Confusion of single labels.
        surest: See ``reports.quality.coverage``; of single labels alone.
        seconds: Of the scoring job, model loading included.
    """

    rows: int
    outcomes: Outcomes
    labels: tuple[str, ...]
    unlabelled: int
    unscored: int
    unknown: tuple[str, ...]
    cut: int
    whole: bool = True
    row: np.ndarray | None = None
    matrix: pd.DataFrame | None = None
    surest: tuple[tuple[float, float, float], ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True)
class _Size:
    """How many rows there are, in how many of Spark's tasks, and whether each is to be kept."""

    rows: int
    partitions: int
    each: bool


def count_pairs(job: Job, deployment: Deployment, frame: DataFrame, roles: Roles, *, each: bool) -> Counted:
    """Score rows and count what came of it.

    Args:
        job: Session and scoring settings.
        deployment: The model.
        frame: Rows with key, texts and target.
        roles: Their columns.
        each: Whether to keep rows by themselves, if there are up to ``MOST_EACH``.

    Raises:
        ConfigError: The model's own predictions cannot be compared with targets.
    """
    rows = frame.count()
    partitions = job.config.score.partitions or partitions_for(rows, slots(job.spark))
    size, pairs = _Size(rows, partitions, each and rows <= MOST_EACH), _pairs(deployment, frame, roles, partitions)
    count = _by_label if deployment.task.target_kind == "label" else _by_part
    start = time.monotonic()
    with spark_step(f"scoring with {deployment.model.display}", job.spark):
        found = count(deployment, pairs, size)
    return replace(found, seconds=time.monotonic() - start)


def _pairs(deployment: Deployment, frame: DataFrame, roles: Roles, partitions: int) -> DataFrame:
    """Return ``row, target, prediction, unscored, cut, confidence`` of each row."""
    assert roles.target is not None
    task = deployment.task
    name, kind = fields(task.prediction_fields)[0]
    if (name, kind) not in fields(deployment.fields):
        raise ConfigError(
            f"model {deployment.model.display} cannot be evaluated: its own postprocess writes {deployment.fields!r}, and what is compared "
            f"with the targets of {task.name} is {name!r}"
        )
    predicted = F.col(SCORED)[name]
    prediction = predicted if kind == "string" else F.to_json(predicted) if "<" in kind else predicted.cast("string")
    rows = frame.withColumn("_target", KINDS[task.target_kind].value(frame, roles.target))
    return with_scores(rows, roles, deployment.score, partitions=partitions).select(
        row_hash(roles),
        F.col("_target").alias("target"),
        prediction.alias("prediction"),
        (F.col(SCORED)["status"] != OK).alias("unscored"),
        F.coalesce(F.col(SCORED)["truncated"], F.lit(False)).alias("cut"),
        _confidence(deployment).alias("confidence"),
    )


def _confidence(deployment: Deployment) -> Column:
    sure = deployment.task.target_kind == "label" and ("score", "double") in fields(deployment.fields)
    return F.least(F.floor(F.col(SCORED)["score"] / BIN), F.lit(round(1 / BIN) - 1)) if sure else F.lit(None).cast("long")


def _by_label(deployment: Deployment, pairs: DataFrame, size: _Size) -> Counted:
    """Count rows by pairs of labels, and what else they are told apart by."""
    task = deployment.task
    apart = [name for name in pairs.columns if size.each or name != "row"]
    counted = pairs.groupBy(*apart).count().orderBy(*apart).toPandas()
    there = counted[counted["target"].notna()]
    names = [name for name in ("row", "target", "prediction") if name in there]
    groups = there.groupby(names, dropna=False, as_index=False)["count"].sum()
    targets, counts = groups["target"].tolist(), groups["count"].astype(int).tolist()
    predictions = [value if isinstance(value, str) else None for value in groups["prediction"]]
    labels = task.evaluated_labels(deployment.labels, predictions)
    return Counted(
        rows=sum(counts),
        outcomes=task.outcomes_of_values(targets, predictions, labels, counts) if targets else {},
        labels=labels,
        unlabelled=int(counted["count"].sum()) - sum(counts),
        unscored=int(there.loc[there["unscored"], "count"].sum()),
        unknown=task.unknown_labels(labels, targets),
        cut=int(there.loc[there["cut"], "count"].sum()),
        row=groups["row"].to_numpy(dtype=np.int64) if size.each else None,
        matrix=task.confusion(targets, predictions, counts, labels),
        surest=_surest(there),
    )


def _surest(counted: pd.DataFrame) -> tuple[tuple[float, float, float], ...]:
    some = counted[counted["confidence"].notna()]
    bins = pd.DataFrame({"confidence": some["confidence"], "right": some["target"] == some["prediction"], "rows": some["count"]})
    return tuple(coverage(bins, BIN))


def _by_part(deployment: Deployment, pairs: DataFrame, size: _Size) -> Counted:
    """Have each of Spark's tasks count its own rows."""
    name, labels, number, each = deployment.task.name, tuple(deployment.labels), size.rows, size.each
    most = MOST_EACH if number <= MOST_EACH else MOST_GROUPS // size.partitions

    def count(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return Counting(get_task(name), labels, number, most, each).parts(batches)

    parts = [Part.of_bytes(bytes(row["part"])) for row in pairs.mapInArrow(count, "part binary").collect()]
    found = merged(deployment.task, parts, labels, most=max(MOST_EACH, MOST_GROUPS))
    outcomes = {column: values for column, values in found.outcomes.items() if column != "row"}
    unlabelled, unscored, cut = found.facts
    counted = Counted(
        rows=number - unlabelled,
        outcomes=outcomes,
        labels=labels,
        unlabelled=unlabelled,
        unscored=unscored,
        unknown=found.labels[len(labels) :],
        cut=cut,
        whole=found.whole,
        row=found.outcomes.get("row") if each else None,
    )
    if (shown := int(weights_of(outcomes).sum())) < counted.rows:
        log.info("measured on a sample of %d of %d rows: every value is needed, and there are more than fit", shown, counted.rows)
    return counted
