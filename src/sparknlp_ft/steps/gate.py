"""The gate: an alias moves only to a model that proved better, on the same validation rows, scored now.

It must beat the best of the task's cheap baselines (``tracking.gate``), and the model that the alias points at by
``tracking.min_gain``: on the rows as they are, and in most draws of them (``tracking.min_confidence``), so that luck with a few
rows moves nothing. And it must reach ``tracking.at_least``, whatever it beats. The test split is reported and decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sparknlp_ft.progress import step
from sparknlp_ft.reports.leaderboard import Entry, ranked
from sparknlp_ft.steps.baselines import Baseline, begin_baselines
from sparknlp_ft.steps.checks import decisive_metric
from sparknlp_ft.steps.deployment import deploy
from sparknlp_ft.steps.evaluation import Evaluation, evaluate_rows, evaluate_with, split_rows
from sparknlp_ft.steps.facts import TableFacts
from sparknlp_ft.steps.floors import missed
from sparknlp_ft.steps.job import Job
from sparknlp_ft.tables.contracts import SPLIT, TEST, VALIDATION
from sparknlp_ft.tasks.resampling import Lead, Measured, lead
from sparknlp_ft.tasks.task import signed
from sparknlp_ft.tracking.store import ModelRef, find_alias, set_alias

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


#: By as much equal metrics may differ, whose sums were formed in another order.
ROUNDING = 1e-12


@dataclass(frozen=True)
class Rival:
    """What the new model was held against.

    Attributes:
        name: What it is called.
        value: Its metric on the validation rows.
        gain: By how much it had to be beaten.
        is_baseline: Whether it is a cheap method, not a model.
        lead: How far the new model is ahead, by draws of the rows; None where there were too many rows to draw.
        beaten: Whether it was beaten.
    """

    name: str
    value: float
    gain: float
    is_baseline: bool
    lead: Lead | None = None
    beaten: bool = False

    def __str__(self) -> str:
        found = self.lead
        ahead = "" if found is None else f" (ahead in {found.confidence:.0%} of draws, by {found.low:+.4f} to {found.high:+.4f})"
        return f"{self.value:.4f} of {self.name}{ahead}"


@dataclass(frozen=True)
class Verdict:
    """Whether the alias moved, and why."""

    alias: str
    model: ModelRef
    moved: bool
    metric: str
    new: float
    rivals: tuple[Rival, ...]  #: The hardest to beat first.
    validation_rows: int
    validation: dict[str, float] = field(default_factory=dict)
    test: dict[str, float] = field(default_factory=dict)
    test_rows: int = 0
    evaluations: tuple[Evaluation, ...] = ()  #: Of the new model: on validation rows and, if there are any, on test rows.
    baselines: tuple[Entry, ...] = ()  #: As ``compare`` shows them.
    missed: dict[str, float] = field(default_factory=dict)  #: Of ``tracking.at_least``, what the model does not reach.

    @property
    def rival(self) -> str:
        """Display name of what was hardest to beat: the aliased model, or a baseline."""
        return self.rivals[0].name

    @property
    def rival_value(self) -> float:
        return self.rivals[0].value

    def __str__(self) -> str:
        what = f"{self.alias} → {self.model.display}" if self.moved else f"{self.alias} not moved to {self.model.display}"
        test = f"; test {self.metric} {self.test[self.metric]:.4f}{self._rivals_test()} on {self.test_rows:,} rows" if self.test else ""
        return f"{what}: validation {self.metric} {self.new:.4f} {self._reason()}, on {self.validation_rows:,} rows{test}{self._advice()}"

    def as_metrics(self) -> dict[str, float]:
        """Return all metrics under names for the MLflow run."""
        final = {f"final_validation/{name}": value for name, value in self.validation.items()}
        found = final | {f"test/{name}": value for name, value in self.test.items()}
        if (best := self._baseline) is not None:
            found |= {f"baseline/validation/{self.metric}": best.validation[self.metric]}
            found |= {f"baseline/test/{self.metric}": best.test[self.metric]} if self.metric in best.test else {}
        return found

    @property
    def _baseline(self) -> Entry | None:
        done = [one for one in ranked(self.baselines, self.metric) if self.metric in one.validation]
        return done[0] if done else None

    def _rivals_test(self) -> str:
        best = self._baseline
        return f" ({best.test[self.metric]:.4f} of {best.name})" if best is not None and self.metric in best.test else ""

    def _reason(self) -> str:
        rivals = [str(one) for one in self.rivals if self.moved or not one.beaten]
        against = [f"{'beats' if self.moved else 'does not beat'} {' and '.join(rivals)}"] if rivals else []
        short = [f"misses tracking.at_least: {name} {self.validation[name]:.4f}, not {least:g}" for name, least in self.missed.items()]
        return " and ".join([*against, *short])

    def _advice(self) -> str:
        """Return what would help a model that misses a floor or the baseline; the figures of a later model speak for themselves."""
        lost = next((one for one in self.rivals if one.is_baseline and not one.beaten), None)
        if lost is None and not self.missed:
            return ""
        sure = ", tracking.min_confidence=0 where being ahead on these rows is enough" if lost and lost.lead and self._ahead(lost) else ""
        other = f"; or {lost.name} itself, which costs less" if lost else ""
        return (
            f". What would help: more rows, another model.base, longer training{sure}{other}. "
            f"score.model={self.model.display} scores with this model all the same"
        )

    def _ahead(self, rival: Rival) -> bool:
        return signed(self.metric, self.new) > signed(self.metric, rival.value) + rival.gain + ROUNDING


def judge(job: Job, model: ModelRef, facts: TableFacts) -> Verdict:
    """Hold the new model against baseline and aliased model on the validation rows, move the alias if it wins, and report the test split.

    Args:
        job: The pinned table; roles, metric, alias, margins.
        model: The new model, a registered version.
        facts: What is known of the table.
    """
    metric, alias = decisive_metric(job.config, job.task), job.config.tracking.alias
    rows = split_rows(job)
    validation = rows.where(rows[SPLIT] == VALIDATION)
    # Baselines are fitted by the driver, which has nothing else to do while the workers score.
    baselines = begin_baselines(job, facts) if job.config.tracking.gate == "baseline" else list
    # Test is scored before the rival is, while the workers still hold the new model.
    with deploy(job, model) as deployment:
        new = evaluate_with(job, deployment, validation, "validation", each=True)
        test = evaluate_with(job, deployment, rows.where(rows[SPLIT] == TEST), "test") if facts.has_test else None
    cheap = baselines()
    rivals = [*_cheap_rivals(job, new, facts, cheap), *_aliased_rivals(job, validation, new)]
    rivals.sort(key=lambda one: signed(metric, one.value) + one.gain, reverse=True)
    short = missed(new.metrics, job.config.tracking.at_least)
    moved = all(one.beaten for one in rivals) and not short
    if moved:
        set_alias(job.store, model, alias)
    return Verdict(
        alias=alias,
        model=model,
        moved=moved,
        metric=metric,
        new=new.metrics[metric],
        rivals=tuple(rivals),
        validation_rows=new.rows,
        validation=new.metrics,
        test=test.metrics if test else {},
        test_rows=test.rows if test else 0,
        evaluations=(new, test) if test else (new,),
        baselines=tuple(one.entry for one in cheap),
        missed=short,
    )


def _cheap_rivals(job: Job, new: Evaluation, facts: TableFacts, baselines: list[Baseline]) -> list[Rival]:
    """Return the best of the baselines that were measured; the most frequent answer, for a first model, where none was."""
    metric = decisive_metric(job.config, job.task)
    best = next((one for one in ranked([one.entry for one in baselines], metric) if metric in one.validation), None)
    if best is not None:
        measured = next(one.validation for one in baselines if one.entry is best)
        return [_against(job, new, Rival(best.name, best.validation[metric], 0.0, is_baseline=True), measured)]
    if find_alias(job.store, new.model.name, job.config.tracking.alias) is not None:
        return []
    majority = job.task.majority_outcomes(new.outcomes, facts.statistics, facts.labels)
    value = job.task.metrics(majority, facts.labels)[metric]
    return [_against(job, new, Rival("the majority baseline", value, 0.0, is_baseline=True), None)]


def _aliased_rivals(job: Job, validation: DataFrame, new: Evaluation) -> list[Rival]:
    """Return the model that the alias points at, measured on the same rows; none where it points at none."""
    aliased = find_alias(job.store, new.model.name, job.config.tracking.alias)
    if aliased is None:
        return []
    old = evaluate_rows(job, aliased, validation, "validation", each=True)
    value, gain = old.metrics[decisive_metric(job.config, job.task)], job.config.tracking.min_gain
    return [_against(job, new, Rival(aliased.display, value, gain, is_baseline=False), old.measured)]


def _against(job: Job, new: Evaluation, rival: Rival, measured: Measured | None) -> Rival:
    """Return the rival with what came of it: the new model must be ahead on the rows, and in enough draws of them."""
    metric, least = decisive_metric(job.config, job.task), job.config.tracking.min_confidence
    found = None
    if measured is not None and new.measured is not None:
        with step(f"drawing validation rows: {new.model.display} and {rival.name}"):
            found = lead(job.task, metric, new.measured, measured, gain=rival.gain, seed=job.config.train.seed)
    ahead = signed(metric, new.metrics[metric]) > signed(metric, rival.value) + rival.gain + ROUNDING
    return replace(rival, lead=found, beaten=ahead and (found is None or found.confidence >= least))
