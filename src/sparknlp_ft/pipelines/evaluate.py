"""Evaluate: any registered model on any labelled table, through the same UDF that scores."""

from __future__ import annotations

import re
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from pyspark.sql import functions as F

from sparknlp_ft.config import Config
from sparknlp_ft.errors import ConfigError, DataError, nearest, shown
from sparknlp_ft.pipelines.deployment import Deployment, deploy, wanted_model
from sparknlp_ft.progress import log, step
from sparknlp_ft.reports.confusion import confusion_matrix, draw, label_table
from sparknlp_ft.scoring.ddl import fields
from sparknlp_ft.scoring.incremental import SCORED, model_roles, partitions_for, with_scores
from sparknlp_ft.scoring.rows import OK
from sparknlp_ft.tables.contracts import SPLIT, TEST, TRAIN, VALIDATION, Roles, resolve_roles, with_split
from sparknlp_ft.tables.delta import Pinned, TableRef, files_present, pin, read
from sparknlp_ft.tables.session import slots
from sparknlp_ft.tables.targets import KINDS
from sparknlp_ft.tables.watch import spark_step
from sparknlp_ft.tasks import Task, get_task
from sparknlp_ft.tasks.base import Outcomes
from sparknlp_ft.tracking.store import ModelRef, Store, connect, open_run

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

SPLITS = (TRAIN, VALIDATION, TEST, "all")

#: Labels of the printed per-label table; the logged file has all.
SHOWN_LABELS = 12


@dataclass(frozen=True)
class Evaluation:
    """How well one model does on some rows."""

    model: ModelRef
    rows: int  #: labelled rows; those without a prediction count as wrong
    unlabelled: int
    unscored: int  #: labelled rows with status 'empty' or 'error'
    unknown: tuple[str, ...]  #: labels that the model does not know; their rows count as wrong
    metrics: dict[str, float]
    outcomes: Outcomes
    task: Task
    matrix: pd.DataFrame | None = None  #: confusion of single labels
    table: pd.DataFrame | None = None  #: per label
    title: str = ""
    logged: str = ""
    seconds: float = 0.0  #: of the scoring job, model loading included

    def __str__(self) -> str:
        shown = [*self.task.shown_metrics, *(name for name in sorted(self.metrics) if name not in self.task.shown_metrics)]
        lines = [
            f"model    {self.model.display}",
            f"rows     {self.title}: {self.rows:,} labelled, {self.unscored:,} of them not scored; {self.unlabelled:,} without label",
            *[f"{name:<20} {self.metrics[name]:.4f}" for name in shown if name in self.metrics],
        ]
        if self.table is not None:
            lines += ["", self.table.head(SHOWN_LABELS).to_string(index=False, float_format="{:.3f}".format)]
            if len(self.table) > SHOWN_LABELS:
                lines.append(f"… and {len(self.table) - SHOWN_LABELS} more labels")
        if self.logged:
            lines.append(f"logged   {self.logged}")
        return "\n".join(lines)


def run_evaluate(config: Config, spark: SparkSession, *, split: str = TEST, model: str | None = None) -> Evaluation:
    """Evaluate a registered model on a split of ``data.table`` and log the result to the model's run.

    Args:
        config: The configuration; ``score.model`` names the model, the alias of this table's model by default.
        spark: The session.
        split: 'test', 'validation', 'train' or 'all'.
        model: Name of the model, instead of ``score.model``.

    Raises:
        UserError: Table, split or model are not there, or do not fit each other.
    """
    check_split(split)
    if model is not None:
        config = config.model_copy(update={"score": config.score.model_copy(update={"model": model})})
    store = connect(config.tracking)
    ref = wanted_model(config, store)
    source = pin(spark, TableRef.parse(config.data.table, config.data.root), config.data.version)
    with files_present(source):
        frame = rows_of_split(config, spark, source, split)
        title = f"{source.ref.display} version {source.version}, {split}"
        result = evaluate_frame(frame, ref, config=config, spark=spark, store=store, title=title)
    logged = log_evaluation(store, result, source, split) if ref.run_id else ""
    return replace(result, logged=logged)


def check_split(split: str) -> None:
    """Refuse a split that there is not.

    Raises:
        ConfigError: Names those there are.
    """
    if split not in SPLITS:
        raise ConfigError(f"--split: {split!r} is not a split.{nearest(split, SPLITS)} Valid: {', '.join(SPLITS)}")


def split_rows(config: Config, spark: SparkSession, source: Pinned) -> DataFrame:
    """Return the pinned rows with their split, cut as the snapshot was."""
    rows = read(spark, source)
    roles = resolve_roles(rows, config.data, get_task(config.data.task), need_target=True)
    return with_split(rows, roles, config.data)


def rows_of_split(config: Config, spark: SparkSession, source: Pinned, split: str) -> DataFrame:
    """Return the rows of a split; validation rows are cut as for training.

    Raises:
        DataError: There are none; names the splits there are.
    """
    rows = split_rows(config, spark, source)
    if split == "all":
        return rows
    chosen = rows.where(F.col(SPLIT) == split)
    if chosen.isEmpty():
        have = [row[0] for row in rows.select(SPLIT).distinct().orderBy(SPLIT).collect()]
        raise DataError(
            f"table {source.ref.display!r} has no {split!r} rows; it has: {', '.join(have) or 'no rows'}. Give another --split."
        )
    return chosen


def evaluate_frame(frame: DataFrame, model: ModelRef, *, config: Config, spark: SparkSession, store: Store, title: str = "") -> Evaluation:
    """Score labelled rows with one model and compare.

    Args:
        frame: Rows with key, texts and target.
        model: The model, resolved.
        config: The configuration: roles, scoring settings.
        spark: The session.
        store: Where the model is.
        title: What the rows are called in the report.

    Raises:
        DataError: No row has a label, or columns are missing.
    """
    with deploy(config, spark, store, model) as deployment:
        data = deployment.reading(config.data, frame.columns)
        roles = model_roles(resolve_roles(frame, data, deployment.task, need_target=True), deployment.text_roles)
        groups, seconds = count_pairs(frame, roles, config, deployment)
    labelled = groups[groups["target"].notna()]
    if not labelled["count"].sum():
        of, role = f" of {title}" if title else "", deployment.task.target_role
        raise DataError(f"no row{of} has a target, so there is nothing to evaluate; check data.columns.{role}")
    targets, counts = labelled["target"].tolist(), labelled["count"].astype(int).tolist()
    predictions = [value if isinstance(value, str) else None for value in labelled["prediction"]]
    task, labels = deployment.task, deployment.labels
    if task.target_kind == "label":  # A packaged model's own postprocess may have renamed the labels.
        labels = (*labels, *sorted({one for one in predictions if one is not None} - set(labels)))
    outcomes = task.outcomes_of_values(targets, predictions, labels, counts)
    matrix, table, unknown = None, task.label_table(outcomes, labels), ()
    if task.target_kind == "label":
        unknown = tuple(sorted(set(targets) - set(labels)))
        matrix = confusion_matrix(targets, predictions, counts, labels)
        table = label_table(matrix)
    if unknown:
        log.warning("%d label(s) that model %s does not know count as wrong: %s", len(unknown), model.display, shown(unknown))
    return Evaluation(
        model=model,
        rows=sum(counts),
        unlabelled=int(groups.loc[groups["target"].isna(), "count"].sum()),
        unscored=int(labelled.loc[labelled["status"] != OK, "count"].sum()),
        unknown=unknown,
        metrics=task.metrics(outcomes, labels),
        outcomes=outcomes,
        task=task,
        matrix=matrix,
        table=table,
        title=title,
        seconds=seconds,
    )


def count_pairs(frame: DataFrame, roles: Roles, config: Config, deployment: Deployment) -> tuple[pd.DataFrame, float]:
    """Return the number of rows by target, prediction and status: all that metrics need, whatever the table's size; and the seconds."""
    assert roles.target is not None
    spark = frame.sparkSession
    name, kind = fields(deployment.task.prediction_fields)[0]
    if (name, kind) not in fields(deployment.fields):
        raise ConfigError(
            f"model {deployment.model.display} cannot be evaluated: its own postprocess writes {deployment.fields!r}, and what is compared "
            f"with the targets of {deployment.task.name} is {name!r}"
        )
    predicted = F.col(SCORED)[name]
    prediction = predicted if kind == "string" else F.to_json(predicted) if "<" in kind else predicted.cast("string")
    rows = frame.withColumn("_target", KINDS[deployment.task.target_kind].value(frame, roles.target))
    partitions = config.score.partitions or partitions_for(frame.count(), slots(spark))
    scored = with_scores(rows, roles, deployment.score, partitions=partitions)
    pairs = scored.select(F.col("_target").alias("target"), prediction.alias("prediction"), F.col(SCORED)["status"].alias("status"))
    start = time.monotonic()
    with spark_step(f"scoring with {deployment.model.display}", spark):
        groups = pairs.groupBy("target", "prediction", "status").count().orderBy("target", "prediction", "status").toPandas()
    return groups, time.monotonic() - start


def log_evaluation(store: Store, result: Evaluation, source: Pinned, split: str) -> str:
    """Log metrics, per-label table, picture and report to the model's run; returns where."""
    name = re.sub(r"[^\w.-]+", "_", source.ref.value.replace("`", "").rsplit("/", 1)[-1])
    folder = f"evaluation/{name}-{split}-version-{source.version}"
    run, measured = open_run(store, result.model.run_id), {**result.metrics, "rows": result.rows, "seconds": result.seconds}
    with step("logging the evaluation"), tempfile.TemporaryDirectory(prefix="sparknlp_ft-report-") as scratch:
        run.log_metrics({f"evaluation/{name}/{split}/{metric}": value for metric, value in measured.items()}, step=source.version)
        run.flush()
        if result.matrix is not None:
            picture = Path(scratch) / "confusion.png"
            draw(result.matrix, picture, title=f"{result.model.display} on {name} ({split})")
            run.log_file(picture, folder)
        if result.table is not None:
            table = Path(scratch) / "labels.csv"
            result.table.to_csv(table, index=False)
            run.log_file(table, folder)
        run.log_text(str(result), f"{folder}/report.txt")
        run.log_table(
            source.ref.display,
            table_id=source.table_id,
            table_version=source.version,
            path=source.ref.path,
            context=f"evaluation {split}",
        )
    return f"run {result.model.run_id}, artifacts {folder}/"
