"""The gate: an alias moves only to a model that proved better, on the same validation rows, scored now.

A first model must beat the majority baseline; a later one the model that the alias points at, by ``tracking.min_gain``.
The test split is reported and decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sparknlp_ft.snapshot.manifest import Manifest
from sparknlp_ft.steps.checks import decisive_metric
from sparknlp_ft.steps.evaluation import Evaluation, evaluate_rows, split_rows
from sparknlp_ft.steps.job import Job
from sparknlp_ft.tables.contracts import SPLIT, TEST, VALIDATION
from sparknlp_ft.tables.survey import Survey
from sparknlp_ft.tasks.task import Statistics, signed
from sparknlp_ft.tracking.store import ModelRef, find_alias, set_alias

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class TableFacts:
    """What the gate wants to know of a table.

    Attributes:
        labels: Labels of train.
        statistics: Of train's targets: what the majority baseline answers by.
        has_test: Whether there are test rows.
    """

    labels: tuple[str, ...]
    statistics: Statistics
    has_test: bool

    @classmethod
    def of_manifest(cls, manifest: Manifest) -> TableFacts:
        """Return them as a snapshot tells them."""
        return cls(manifest.labels, manifest.statistics, TEST in manifest.splits)

    @classmethod
    def of_survey(cls, found: Survey) -> TableFacts:
        """Return them as a look through the table tells them."""
        return cls(found.labels, found.statistics, bool(found.rows.get(TEST)))


@dataclass(frozen=True)
class Verdict:
    """Whether the alias moved, and why."""

    alias: str
    model: ModelRef
    moved: bool
    metric: str
    new: float
    rival: str  #: Display name of the aliased model, or 'majority baseline'.
    rival_value: float
    validation_rows: int
    validation: dict[str, float] = field(default_factory=dict)
    test: dict[str, float] = field(default_factory=dict)
    test_rows: int = 0
    evaluations: tuple[Evaluation, ...] = ()  #: Of the new model: on validation rows and, if there are any, on test rows.

    def __str__(self) -> str:
        what = f"{self.alias} → {self.model.display}" if self.moved else f"{self.alias} not moved to {self.model.display}"
        sign = "beats" if self.moved else "does not beat"
        test = f"; test {self.metric} {self.test[self.metric]:.4f} on {self.test_rows:,} rows" if self.test else ""
        return (
            f"{what}: validation {self.metric} {self.new:.4f} {sign} {self.rival_value:.4f} of {self.rival}, "
            f"on {self.validation_rows:,} rows{test}"
        )

    def as_metrics(self) -> dict[str, float]:
        """Return all metrics under names for the MLflow run."""
        final = {f"final_validation/{name}": value for name, value in self.validation.items()}
        return final | {f"test/{name}": value for name, value in self.test.items()}


@dataclass(frozen=True)
class _Rival:
    """What the new model has to beat, and by how much."""

    name: str
    value: float
    gain: float


def judge(job: Job, model: ModelRef, facts: TableFacts) -> Verdict:
    """Score validation rows with the new and the aliased model, move the alias if the new one wins, and report the test split.

    Args:
        job: The pinned table; roles, metric, alias, margin.
        model: The new model, a registered version.
        facts: What is known of the table.
    """
    metric, alias = decisive_metric(job.config, job.task), job.config.tracking.alias
    rows = split_rows(job)
    validation = rows.where(rows[SPLIT] == VALIDATION)
    new = evaluate_rows(job, model, validation, "validation")
    # Test is scored before the rival is, while the workers still hold the new model.
    test = evaluate_rows(job, model, rows.where(rows[SPLIT] == TEST), "test") if facts.has_test else None
    rival = _rival(job, validation, new, facts)
    moved = signed(metric, new.metrics[metric]) > signed(metric, rival.value) + rival.gain
    if moved:
        set_alias(job.store, model, alias)
    return Verdict(
        alias=alias,
        model=model,
        moved=moved,
        metric=metric,
        new=new.metrics[metric],
        rival=rival.name,
        rival_value=rival.value,
        validation_rows=new.rows,
        validation=new.metrics,
        test=test.metrics if test else {},
        test_rows=test.rows if test else 0,
        evaluations=(new, test) if test else (new,),
    )


def _rival(job: Job, validation: DataFrame, new: Evaluation, facts: TableFacts) -> _Rival:
    """Return the aliased model, measured on the same rows, or the majority baseline where the alias points at none."""
    metric = decisive_metric(job.config, job.task)
    aliased = find_alias(job.store, new.model.name, job.config.tracking.alias)
    if aliased is None:
        baseline = job.task.majority_outcomes(new.outcomes, facts.statistics, facts.labels)
        return _Rival("the majority baseline", job.task.metrics(baseline, facts.labels)[metric], 0.0)
    old = evaluate_rows(job, aliased, validation, "validation")
    return _Rival(aliased.display, old.metrics[metric], job.config.tracking.min_gain)
