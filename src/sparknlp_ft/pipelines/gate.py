"""The gate: an alias moves only to a model that proved better, on the same validation rows, scored now.

A first model must beat the majority baseline; a later one the model that the alias points at, by ``tracking.min_gain``.
The test split is reported and decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sparknlp_ft.config import Config
from sparknlp_ft.pipelines.checks import decisive_metric
from sparknlp_ft.pipelines.evaluate import evaluate_frame, split_rows
from sparknlp_ft.tables.contracts import SPLIT, TEST, VALIDATION
from sparknlp_ft.tables.delta import Pinned
from sparknlp_ft.tasks import get_task
from sparknlp_ft.tasks.base import signed
from sparknlp_ft.text.manifest import Manifest
from sparknlp_ft.tracking.store import ModelRef, Store, find_alias, set_alias

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


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


def judge(
    config: Config,
    spark: SparkSession,
    store: Store,
    *,
    source: Pinned,
    model: ModelRef,
    labels: Sequence[str],
    label_counts: Mapping[str, float],
    has_test: bool,
) -> Verdict:
    """Score validation rows with the new and the aliased model, move the alias if the new one wins, and report the test split.

    Args:
        config: The configuration: roles, metric, alias, margin.
        spark: The session.
        store: Where the models are.
        source: The pinned table.
        model: The new model, a registered version.
        labels: Labels of train.
        label_counts: Rows of train by label: what the majority baseline answers.
        has_test: Whether there are test rows.
    """
    task = get_task(config.data.task)
    metric = decisive_metric(config, task)
    rows = split_rows(config, spark, source)
    validation = rows.where(rows[SPLIT] == VALIDATION)
    new = evaluate_frame(validation, model, config=config, spark=spark, store=store, title="validation")
    test = None  # Reported before the rival is scored, while the workers still hold the new model.
    if has_test:
        test = evaluate_frame(rows.where(rows[SPLIT] == TEST), model, config=config, spark=spark, store=store, title="test")
    aliased = find_alias(store, model.name, config.tracking.alias)
    if aliased is None:
        baseline = task.majority_outcomes(new.outcomes, label_counts, labels)
        rival, rival_value, gain = "the majority baseline", task.metrics(baseline, labels)[metric], 0.0
    else:
        old = evaluate_frame(validation, aliased, config=config, spark=spark, store=store, title="validation")
        rival, rival_value, gain = aliased.display, old.metrics[metric], config.tracking.min_gain
    moved = signed(metric, new.metrics[metric]) > signed(metric, rival_value) + gain
    if moved:
        set_alias(store, model, config.tracking.alias)
    return Verdict(
        alias=config.tracking.alias,
        model=model,
        moved=moved,
        metric=metric,
        new=new.metrics[metric],
        rival=rival,
        rival_value=rival_value,
        validation_rows=new.rows,
        validation=new.metrics,
        test=test.metrics if test else {},
        test_rows=test.rows if test else 0,
    )


def of_manifest(manifest: Manifest) -> dict[str, Any]:
    """Return what ``judge`` wants to know of the table, as a snapshot's manifest tells it."""
    return {"labels": manifest.labels, "label_counts": manifest.label_counts, "has_test": TEST in manifest.splits}
