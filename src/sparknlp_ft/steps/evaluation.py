"""Labelled rows scored with one model, through the same UDF that scores a table, and compared."""

from __future__ import annotations

import functools
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from pyspark.sql import functions as F

from sparknlp_ft.errors import ConfigError, DataError, nearest, shown
from sparknlp_ft.progress import log, step
from sparknlp_ft.reports.blocks import Facts, Report, Table
from sparknlp_ft.reports.confusion import draw
from sparknlp_ft.reports.page import Viewed
from sparknlp_ft.reports.quality import Quality, intervals, quality_blocks, with_interval
from sparknlp_ft.scoring.incremental import model_roles
from sparknlp_ft.steps.deployment import Deployment, deploy
from sparknlp_ft.steps.job import Job, cured_rows
from sparknlp_ft.steps.pairs import count_pairs
from sparknlp_ft.steps.reporting import keep_report
from sparknlp_ft.tables.contracts import SPLIT, TEST, TRAIN, VALIDATION, resolve_roles
from sparknlp_ft.tables.cut import with_split
from sparknlp_ft.tasks import Statistics, Task
from sparknlp_ft.tasks.counting import confusion_table
from sparknlp_ft.tasks.outcomes import Outcomes
from sparknlp_ft.tasks.resampling import Measured
from sparknlp_ft.tracking.store import ModelRef, Run, open_run

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

SPLITS = (TRAIN, VALIDATION, TEST, "all")

#: Labels of the printed per-label table; the logged file has all.
SHOWN_LABELS = 12


@dataclass(frozen=True)
class Evaluation(Viewed):
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
    measured: Measured | None = None  #: row by row, where that was asked for and there are not too many rows
    labels: tuple[str, ...] = ()  #: that the outcomes were counted with
    cut: int = 0  #: labelled rows of which the model was not shown all
    surest: tuple[tuple[float, float, float], ...] = ()  #: see ``reports.quality.coverage``; of single labels alone
    wrong: Table | None = None  #: the most wrong rows with their texts, if they were asked for
    drawable: bool = True  #: whether the outcomes are of rows, and not sums, so that intervals can be drawn

    @functools.cached_property
    def spread(self) -> dict[str, tuple[float, float]]:
        """An interval for each metric, see ``reports.quality.intervals``; none of sums."""
        if not self.drawable:
            return {}
        return intervals(lambda some: self.task.metrics(some, self.labels), self.outcomes)

    def quality(self, statistics: Statistics | None = None) -> Quality:
        """Return what a report says of it.

        Args:
            statistics: Of train's targets, to answer with the same thing always; default: of these rows' own labels.
        """
        task, rivals = self.task, {}
        if statistics is None and self.table is not None:
            statistics = Statistics(self.rows, dict(zip(self.table["label"], self.table["rows"], strict=True)))
        if statistics is not None and task.constant is not None:
            constant = task.majority_outcomes(self.outcomes, statistics, self.labels)
            rivals = {task.constant[1]: task.metrics(constant, self.labels)}
        return Quality(self.title, task.shown_metrics, self.metrics, self.spread, rivals, self.table, self.matrix, self.surest)

    def report(self) -> Report:
        """Return what is shown in notebooks and kept as a page."""
        quality = self.quality()
        facts = {
            "model": self.model.display,
            "run of the model": self.model.run_id,
            "labelled rows": self.rows,
            "of these not scored": self.unscored,
            "of these longer than the window": self.cut,
            "rows without label": self.unlabelled,
            "seconds": self.seconds,
            "rows per second": self.rows / self.seconds if self.seconds else None,
        }
        said = f"Model {self.model.display} was held against {self.rows:,} labelled rows of {self.title}: "
        said += with_interval(quality, self.task.default_metric) + "."
        for name, metrics in quality.rivals.items():
            said += f" To answer {name} reaches {metrics[self.task.default_metric]:.4f}."
        unknown = [f"Labels that the model does not know count as wrong: {shown(self.unknown)}."] if self.unknown else []
        wrong = [] if self.wrong is None else [self.wrong]
        return Report("evaluate", self.title, [said, *unknown], [Facts.of("Rows", facts), *quality_blocks(quality), *wrong])

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


def check_split(split: str) -> None:
    """Refuse a split that there is not.

    Raises:
        ConfigError: Names those there are.
    """
    if split not in SPLITS:
        raise ConfigError(f"--split: {split!r} is not a split.{nearest(split, SPLITS)} Valid: {', '.join(SPLITS)}")


def split_rows(job: Job) -> DataFrame:
    """Return the pinned rows with their split, mended and cut as the snapshot's were."""
    rows, roles = cured_rows(job)
    return with_split(rows, roles, job.config.data)


def rows_of_split(job: Job, split: str) -> DataFrame:
    """Return the rows of a split; validation rows are cut as for training.

    Raises:
        DataError: There are none; names the splits there are.
    """
    rows = split_rows(job)
    if split == "all":
        return rows
    chosen = rows.where(F.col(SPLIT) == split)
    if chosen.isEmpty():
        have = [row[0] for row in rows.select(SPLIT).distinct().orderBy(SPLIT).collect()]
        raise DataError(
            f"table {job.source.ref.display!r} has no {split!r} rows; it has: {', '.join(have) or 'no rows'}. Give another --split."
        )
    return chosen


def evaluate_rows(job: Job, model: ModelRef, rows: DataFrame, title: str = "", *, each: bool = False) -> Evaluation:
    """Score labelled rows with one model and compare.

    Args:
        job: Session, store, roles, scoring settings.
        model: The model, resolved.
        rows: Rows with key, texts and target.
        title: What the rows are called in the report.
        each: Whether to keep what it came to row by row, to be held against another model's; of up to ``MOST_EACH`` rows.

    Raises:
        DataError: No row has a label, or columns are missing.
    """
    with deploy(job, model) as deployment:
        return evaluate_with(job, deployment, rows, title, each=each)


def evaluate_with(job: Job, deployment: Deployment, rows: DataFrame, title: str = "", *, each: bool = False) -> Evaluation:
    """Do the same with a model that the workers have already."""
    data = deployment.reading(job.config.data, rows.columns)
    roles = model_roles(resolve_roles(rows, data, deployment.task, need_target=True), deployment.text_roles)
    found = count_pairs(job, deployment, rows, roles, each=each)
    task, model = deployment.task, deployment.model
    if not found.rows:
        of = f" of {title}" if title else ""
        raise DataError(f"no row{of} has a target, so there is nothing to evaluate; check data.columns.{task.target_role}")
    if found.unknown:
        log.warning("%d label(s) that model %s does not know count as wrong: %s", len(found.unknown), model.display, shown(found.unknown))
    return Evaluation(
        model=model,
        rows=found.rows,
        unlabelled=found.unlabelled,
        unscored=found.unscored,
        unknown=found.unknown,
        metrics=task.metrics(found.outcomes, found.labels),
        outcomes=found.outcomes,
        task=task,
        matrix=found.matrix,
        table=task.label_table(found.outcomes, found.labels) if found.matrix is None else confusion_table(found.matrix),
        title=title,
        seconds=found.seconds,
        labels=found.labels,
        cut=found.cut,
        surest=found.surest,
        measured=None if found.row is None else Measured(found.row, found.outcomes, found.labels),
        drawable=found.whole,
    )


def log_evaluation(job: Job, result: Evaluation, split: str) -> str:
    """Log metrics, per-label table, picture and report to the model's run; returns where."""
    source = job.source
    name = re.sub(r"[^\w.-]+", "_", source.ref.value.replace("`", "").rsplit("/", 1)[-1])
    folder = f"evaluation/{name}-{split}-version-{source.version}"
    run, measured = open_run(job.store, result.model.run_id), {**result.metrics, "rows": result.rows, "seconds": result.seconds}
    with step("logging the evaluation"):
        run.log_metrics({f"evaluation/{name}/{split}/{metric}": value for metric, value in measured.items()}, step=source.version)
        run.flush()
        _log_files(run, result, folder, title=f"{result.model.display} on {name} ({split})")
        keep_report(run, result.report(), job.config, f"evaluate-{name}-{split}-{result.model.run_id[:8]}", folder)
        run.log_table(source, context=f"evaluation {split}")
    return f"run {result.model.run_id}, artifacts {folder}/"


def _log_files(run: Run, result: Evaluation, folder: str, *, title: str) -> None:
    with tempfile.TemporaryDirectory(prefix="sparknlp_ft-report-") as scratch:
        if result.matrix is not None:
            picture = Path(scratch) / "confusion.png"
            draw(result.matrix, picture, title=title)
            run.log_file(picture, folder)
        if result.table is not None:
            table = Path(scratch) / "labels.csv"
            result.table.to_csv(table, index=False)
            run.log_file(table, folder)
    run.log_text(str(result), f"{folder}/report.txt")
