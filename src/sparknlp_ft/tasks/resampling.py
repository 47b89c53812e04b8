"""Whether one method is better than another, or just luckier with the rows: both measured on the same rows, drawn again and again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sparknlp_ft.tasks.outcomes import Outcomes
from sparknlp_ft.tasks.task import Task, signed

#: Times that rows are drawn: many where the metric is a mean over rows, fewer where each draw is measured anew.
DRAWS, MEASURED_DRAWS = 2000, 100
#: Ends of the interval that is told.
ENDS = (0.05, 0.95)


@dataclass(frozen=True)
class Measured:
    """What one method came to on some rows.

    Attributes:
        row: A number for each row, the same for all methods; int64 [rows].
        outcomes: Of these rows, in the same order.
        labels: The label list they are measured with.
    """

    row: np.ndarray
    outcomes: Outcomes
    labels: tuple[str, ...]

    def of(self, rows: np.ndarray) -> Measured:
        """Return what it came to on these rows, in their order."""
        order = np.argsort(self.row, kind="stable")
        index = order[np.searchsorted(self.row[order], rows)]
        return Measured(rows, {name: values[index] for name, values in self.outcomes.items()}, self.labels)


@dataclass(frozen=True)
class Lead:
    """How far one method is ahead of another, by rows drawn with replacement (Efron and Tibshirani 1993, chapter 13).

    Attributes:
        low: The lead that 5 % of the draws stay below.
        high: The one that 5 % exceed.
        confidence: Share of the draws in which it is ahead; those in which both are equal count half.
    """

    low: float
    high: float
    confidence: float


def lead(task: Task, metric: str, ours: Measured, theirs: Measured, *, gain: float = 0.0, seed: int = 0) -> Lead | None:
    """Return how far ``ours`` is ahead of ``theirs`` on the rows that both were measured on; None if there are none.

    Args:
        task: Whose metric it is.
        metric: What is compared; of errors, less is ahead.
        ours: One method.
        theirs: The other.
        gain: What is taken off the lead first.
        seed: Of the draws.
    """
    rows = np.intersect1d(ours.row, theirs.row)
    if not len(rows):
        return None
    one, other = _drawn(task, metric, ours.of(rows), seed), _drawn(task, metric, theirs.of(rows), seed)
    draws = min(len(one), len(other))
    ahead = one[:draws] - other[:draws] - gain
    low, high = np.quantile(ahead, ENDS)
    return Lead(float(low), float(high), float((ahead > 0).mean() + (ahead == 0).mean() / 2))


def _drawn(task: Task, metric: str, found: Measured, seed: int) -> np.ndarray:
    """Return the metric of each draw of rows, more is better; the same draws for all methods on as many rows."""
    rng, rows = np.random.default_rng(seed), len(found.row)
    scores = task.row_scores(found.outcomes, metric)
    draws = (rng.integers(rows, size=rows) for _ in range(MEASURED_DRAWS if scores is None else DRAWS))
    measure = _mean(scores) if scores is not None else _measure(task, metric, found)
    return np.asarray([measure(draw) for draw in draws])


def _mean(scores: np.ndarray) -> Callable[[np.ndarray], float]:
    return lambda draw: float(scores[draw].mean())


def _measure(task: Task, metric: str, found: Measured) -> Callable[[np.ndarray], float]:
    def measure(draw: np.ndarray) -> float:
        drawn = {name: values[draw] for name, values in found.outcomes.items()}
        # A metric of answers that no drawn row has tells nothing of either method.
        return signed(metric, task.metrics(drawn, found.labels).get(metric, 0.0))

    return measure
