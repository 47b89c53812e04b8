"""The cheap baselines on a pinned table: fitted on a sample of train on the driver, measured on all validation and test rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from pyspark.sql import functions as F

from sparknlp_ft.baselines.methods import Fitted, Method, Sample
from sparknlp_ft.errors import UserError
from sparknlp_ft.progress import log, step
from sparknlp_ft.reports.leaderboard import BASELINE, Entry
from sparknlp_ft.sessions import beside
from sparknlp_ft.steps.evaluation import split_rows
from sparknlp_ft.steps.facts import TableFacts
from sparknlp_ft.steps.job import Job, cured_rows
from sparknlp_ft.steps.pairs import MOST_EACH
from sparknlp_ft.tables.contracts import SPLIT, TEST, TRAIN, VALIDATION, clean_text, is_blank, resolve_roles, row_hash
from sparknlp_ft.tables.delta import files_present
from sparknlp_ft.tables.names import column
from sparknlp_ft.tables.survey import survey
from sparknlp_ft.tables.targets import KINDS
from sparknlp_ft.tables.watch import spark_step
from sparknlp_ft.tasks import Task
from sparknlp_ft.tasks.outcomes import Outcomes
from sparknlp_ft.tasks.resampling import Measured
from sparknlp_ft.tasks.tally import Tally, handed_on

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

#: Rows and characters that a baseline is fitted on, at most: what the driver holds and fits in well under a minute.
MOST_ROWS = 50_000
MOST_CHARS = 20_000_000
#: Rows that are predicted at a time.
CHUNK = 4096

_CLASSES = 1_000_000

Metrics = dict[str, float]


@dataclass(frozen=True)
class _Trained:
    """A method that was fitted, and in how many seconds."""

    method: Method
    fitted: Fitted
    seconds: float


@dataclass(frozen=True)
class _Measured:
    """One split: what came of the constant answer and of each method, and rows per second of each method."""

    constant: Measured
    methods: list[tuple[Measured, float]]


@dataclass(frozen=True)
class Baseline:
    """One cheap method: what the leaderboard says of it, and what it came to on the validation rows; None if it failed."""

    entry: Entry
    validation: Measured | None = None


def measure_baselines(job: Job) -> list[Entry]:
    """Fit and measure the baselines of the table's task, and return their entries of the leaderboard; raises as ``fit_baselines``."""
    return [one.entry for one in fit_baselines(job)]


def fit_baselines(job: Job) -> list[Baseline]:
    """Look through the table, and fit and measure the baselines of its task.

    Raises:
        DataError: The table does not keep the contract.
    """
    with files_present(job.source), spark_step("checking labels and splits", job.spark):
        found = survey(*cured_rows(job), job.config, job.task)
    return begin_baselines(job, TableFacts.of_survey(found))()


def begin_baselines(job: Job, facts: TableFacts) -> Callable[[], list[Baseline]]:
    """Begin to fit the baselines of the table's task, on the driver alone; what is returned waits for them and measures them.

    Args:
        job: The pinned table and its columns.
        facts: What is known of the table.
    """
    with files_present(job.source), spark_step("drawing rows for the baselines", job.spark):
        labelled = _labelled(job)
        (train, note), (validation, _) = _samples(labelled, (TRAIN, VALIDATION))
    fitting = beside(job.spark, lambda: _fitted(job, train, validation, facts.labels))

    def measured() -> list[Baseline]:
        trained, failed = fitting.result()
        splits = [split for split in (VALIDATION, TEST) if facts.rows.get(split)]
        with files_present(job.source):
            found = {split: _measure(labelled, split, job.task, facts, [one.fitted for one in trained]) for split in splits}
        return [*_entries(job.task, trained, found, note), *map(Baseline, failed)]

    return measured


def _labelled(job: Job) -> DataFrame:
    """Return the rows with a target (split, row, target, texts)."""
    task, rows = job.task, split_rows(job)
    roles = resolve_roles(rows, job.config.data, task, need_target=True)
    assert roles.target is not None
    texts = [F.coalesce(clean_text(column(name)), F.lit("")).alias(f"text_{i}") for i, (_, name) in enumerate(roles.texts)]
    target = KINDS[task.target_kind].value(rows, roles.target).alias("target")
    return rows.select(column(SPLIT), row_hash(roles), target, *texts).where(F.col("target").isNotNull())


def _samples(labelled: DataFrame, splits: Sequence[str]) -> list[tuple[Sample, str]]:
    """Rows of each split with all their texts, in the order of their keys' hashes; and what to say where they are not all."""
    texts = _text_columns(labelled)
    filled = F.lit(True)
    for name in texts:
        filled = filled & ~is_blank(F.col(name))
    rows = labelled.where(filled & F.col(SPLIT).isin(*splits))
    chars = sum((F.length(name) for name in texts), F.lit(0))
    totals = {total[SPLIT]: total for total in rows.groupBy(SPLIT).agg(F.count("*").alias("rows"), F.sum(chars).alias("chars")).collect()}
    shares = {split: min(1.0, MOST_ROWS / total["rows"], MOST_CHARS / total["chars"]) for split, total in totals.items()}
    drawn, chosen = F.pmod(F.xxhash64("row", F.lit("sample")), F.lit(_CLASSES)), F.lit(False)
    for split, share in shares.items():
        chosen = chosen | ((F.col(SPLIT) == split) & (drawn < int(share * _CLASSES)))
    frame = rows.where(chosen).select(SPLIT, "row", "target", *texts).toPandas().sort_values("row", kind="stable")
    result = []
    for split in splits:
        part = frame[frame[SPLIT] == split]
        sample = Sample(list(zip(*[part[name] for name in texts], strict=True)), part["target"].tolist())
        note = f"fitted on {len(sample):,} of {totals[split]['rows']:,} rows" if shares.get(split, 1) < 1 else ""
        result.append((sample, note))
    return result


def _text_columns(labelled: DataFrame) -> list[str]:
    return [name for name in labelled.columns if name.startswith("text_")]


def _fitted(job: Job, train: Sample, validation: Sample, labels: Sequence[str]) -> tuple[list[_Trained], list[Entry]]:
    """Return the fitted methods of the task, and entries of those that cannot be fitted on these rows."""
    trained: list[_Trained] = []
    failed: list[Entry] = []
    for method in job.task.baselines():
        start = time.monotonic()
        try:
            with step(f"baseline {method.name}, {len(train):,} rows"):
                one = method.fit(train, validation, labels, job.config.train.seed)
            trained.append(_Trained(method, one, time.monotonic() - start))
        except UserError as error:
            log.warning("baseline %s failed: %s", method.name, error)
            failed.append(Entry(method.name, BASELINE, error=str(error)))
    return trained, failed


def _measure(labelled: DataFrame, split: str, task: Task, found: TableFacts, methods: Sequence[Fitted]) -> _Measured:
    """Measure the constant answer and each method on all rows of a split.

    Rows come a part at a time, and what is kept of them are their outcomes, of many rows the sums of these. A row without text has
    no prediction, as it has none from a model.
    """
    seconds = [0.0] * len(methods)
    seen, each = 0, found.rows[split] <= MOST_EACH
    tallies = [Tally(task, most=MOST_EACH if each else 0) for _ in range(1 + len(methods))]

    def add(tally: Tally, rows: list[int], outcomes: Outcomes) -> None:
        tally.add(handed_on(task, outcomes, np.asarray(rows, dtype=np.int64), rows=found.rows[split], each=each))

    with step(f"baselines on {split} rows"):
        for rows, texts, targets in _chunks(labelled, split):
            seen += len(rows)
            some = [i for i, row in enumerate(texts) if all(text.strip() for text in row)]
            empty: list[str | None] = [None] * len(targets)
            outcomes = task.outcomes_of_values(targets, empty, found.labels, [1] * len(targets))
            add(tallies[0], rows, task.majority_outcomes(outcomes, found.statistics, found.labels))
            for number, method in enumerate(methods):
                start = time.monotonic()
                given = dict(zip(some, method.predict([texts[i] for i in some]), strict=True))
                seconds[number] += time.monotonic() - start
                predictions = [given.get(i) for i in range(len(targets))]
                add(tallies[1 + number], rows, task.outcomes_of_values(targets, predictions, found.labels, [1] * len(targets)))
        constant, *results = [_measured(tally.entries(), found.labels) for tally in tallies]
    return _Measured(constant, [(result, seen / max(spent, 1e-9)) for result, spent in zip(results, seconds, strict=True)])


def _measured(outcomes: Outcomes, labels: tuple[str, ...]) -> Measured:
    """Return outcomes beside their rows: none where they are sums, so that no rows can be drawn."""
    return Measured(outcomes.get("row", np.zeros(0, dtype=np.int64)), {name: of for name, of in outcomes.items() if name != "row"}, labels)


def _chunks(labelled: DataFrame, split: str) -> Iterator[tuple[list[int], list[tuple[str, ...]], list[str]]]:
    texts = _text_columns(labelled)
    rows = labelled.where(F.col(SPLIT) == split).select("row", "target", *texts).toLocalIterator()
    while chunk := list(islice(rows, CHUNK)):
        yield [row[0] for row in chunk], [tuple(row[2:]) for row in chunk], [row[1] for row in chunk]


def _entries(task: Task, trained: Sequence[_Trained], measured: Mapping[str, _Measured], note: str) -> list[Baseline]:
    def metrics(found: Measured) -> Metrics:
        return task.metrics(found.outcomes, found.labels)

    validation, test = measured[VALIDATION], measured.get(TEST)
    entries = []
    if task.constant is not None:
        name, about = task.constant
        own = metrics(test.constant) if test else {}
        entry = Entry(name, BASELINE, metrics(validation.constant), own, settings={"method": about})
        entries.append(Baseline(entry, validation.constant))
    for i, one in enumerate(trained):
        entry = Entry(
            one.method.name,
            BASELINE,
            metrics(validation.methods[i][0]),
            metrics(test.methods[i][0]) if test else {},
            parameters=one.fitted.parameters,
            size_mb=one.fitted.size / 1e6,
            training_seconds=one.seconds,
            scoring_rows_per_second=(test or validation).methods[i][1],
            settings={"method": one.method.about, **one.fitted.settings},
            note=note,
        )
        entries.append(Baseline(entry, validation.methods[i][0]))
    return entries
