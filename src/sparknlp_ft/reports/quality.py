"""How good a model is, as blocks of a report: metrics with intervals beside baselines, labels, what is confused, coverage."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from sparknlp_ft.reports.blocks import Bars, Block, Cell, Chart, Line, Table, as_cell
from sparknlp_ft.tasks.outcomes import Outcomes

Metrics = Mapping[str, float]
Interval = tuple[float, float]

#: Times that rows are drawn anew for an interval, and groups of equal outcomes above which that would take too long.
DRAWS, MOST_GROUPS = 200, 20_000

#: What an interval holds: the middle 95 % of what the drawn rows give.
TAILS = (2.5, 97.5)

#: Confusions that are listed.
WORST = 40


@dataclass(frozen=True)
class Quality:
    """What was measured of a model on some rows.

    Attributes:
        title: Which rows.
        shown: Metrics that come first.
        metrics: All metrics of the model.
        spread: Their intervals.
        rivals: Metrics of what it is held against, by name.
        table: Per label, as ``Task.label_table`` makes it.
        matrix: As ``Task.confusion`` makes it.
        surest: As ``coverage`` makes it.
    """

    title: str
    shown: Sequence[str]
    metrics: Metrics
    spread: Mapping[str, Interval] = field(default_factory=dict)
    rivals: Mapping[str, Metrics] = field(default_factory=dict)
    table: pd.DataFrame | None = None
    matrix: pd.DataFrame | None = None
    surest: Sequence[tuple[float, float, float]] = ()


def quality_blocks(quality: Quality) -> list[Block]:
    """Return all that a report says of them; what the task does not have is left out."""
    title = quality.title
    blocks: list[Block] = [metrics_table(f"Quality, {title}", quality.shown, {"model": quality.metrics, **quality.rivals}, quality.spread)]
    if quality.surest:
        blocks.append(coverage_chart(quality.surest))
    if quality.matrix is not None and (worst := confusions(quality.matrix)).rows:
        blocks.append(worst)
    if quality.table is not None:
        blocks.append(label_block(quality.table, f"Labels, {title}"))
    return blocks


def with_interval(quality: Quality, metric: str) -> str:
    """Return a metric with its interval, as it stands in a sentence."""
    low, high = quality.spread.get(metric, (None, None))
    between = "" if low is None or high is None else f" (95 % interval {low:.3f} to {high:.3f})"
    return f"{metric} {quality.metrics[metric]:.4f}{between}"


def intervals(measure: Callable[[Outcomes], Metrics], outcomes: Outcomes, *, seed: int = 0) -> dict[str, Interval]:
    """Return an interval for each metric, by drawing as many rows again from those there are (bootstrap).

    Args:
        measure: Computes metrics of outcomes.
        outcomes: Arrays with ``weight``: how many rows each entry stands for.
        seed: Of the drawing.

    Returns:
        (low, high) by metric; nothing where there are too many different outcomes.
    """
    weight = outcomes["weight"].astype(np.float64)
    rows = int(weight.sum())
    if not rows or len(weight) > MOST_GROUPS:
        return {}
    rng = np.random.default_rng(seed)
    drawn: dict[str, list[float]] = {}
    for counts in rng.multinomial(rows, weight / rows, size=DRAWS):
        kept = counts > 0
        some = {name: values[kept] for name, values in outcomes.items()} | {"weight": counts[kept]}
        for name, value in measure(some).items():
            drawn.setdefault(name, []).append(value)
    return {name: (float(low), float(high)) for name, values in drawn.items() for low, high in [np.percentile(values, TAILS)]}


def metrics_table(title: str, shown: Sequence[str], measured: Mapping[str, Metrics], spread: Mapping[str, Interval]) -> Table:
    """Return metrics side by side.

    Args:
        title: Of the table.
        shown: Metrics that come first; the others follow by name.
        measured: Metrics of the model, which comes first, and of what it is held against, by their names.
        spread: Intervals of the model's metrics.
    """
    first = next(iter(measured.values()))
    names = [name for name in shown if name in first] + sorted(name for name in first if name not in shown)
    model, *others = measured
    rows: list[list[Cell]] = []
    for name in names:
        low, high = spread.get(name, (None, None))
        rows.append([name, first[name], low, high, *[measured[other].get(name) for other in others]])
    note = f"Intervals: the middle 95 % of {DRAWS} drawings of as many rows, with replacement." if spread else ""
    return Table(title, ["metric", model, "95 % from", "to", *others], rows, note)


def label_block(table: pd.DataFrame, title: str = "Labels") -> Table:
    """Return the per-label table."""
    rows = [[as_cell(value.item() if isinstance(value, np.generic) else value) for value in row] for row in table.itertuples(index=False)]
    return Table(title, [str(name).replace("_", " ") for name in table.columns], rows).shortened("labels.csv")


def confusions(matrix: pd.DataFrame) -> Table:
    """Return the worst confusions: target, what it was taken for, rows, and their share of the target's."""
    values = matrix.to_numpy()
    totals = values.sum(axis=1)
    wrong = [
        (int(values[i, j]), str(matrix.index[i]), str(matrix.columns[j]), values[i, j] / totals[i])
        for i, j in zip(*np.nonzero(values), strict=True)
        if matrix.index[i] != matrix.columns[j]
    ]
    wrong.sort(key=lambda one: (-one[0], one[1], one[2]))
    rows: list[list[Cell]] = [[target, taken, count, float(share)] for count, target, taken, share in wrong[:WORST]]
    note = f"The {len(rows)} largest of {len(wrong):,}." if len(wrong) > WORST else ""
    return Table("What is taken for what", ["target", "taken for", "rows", "share of target"], rows, note)


def coverage_chart(points: Sequence[tuple[float, float, float]]) -> Chart:
    """Return how right the surest rows are.

    Args:
        points: (least confidence, share of rows at least so sure, share of those that are right).
    """
    lines = [Line("right, of the rows that are answered", [(share, right) for _, share, right in points])]
    note = " ".join(
        f"At a confidence of {least:.2f} or more: {share:.0%} of the rows, {right:.1%} of them right."
        for least, share, right in points
        if round(least * 10) in (5, 9) and abs(least * 10 - round(least * 10)) < 1e-9
    )
    return Chart("Confidence and coverage", "share of rows answered, the surest first", "share right", lines, note)


def coverage(bins: pd.DataFrame, width: float) -> list[tuple[float, float, float]]:
    """Return the points of ``coverage_chart`` from counts, the surest rows first.

    Args:
        bins: ``confidence`` (number of a bin, each ``width`` wide), ``right`` and ``rows``.
        width: Of a bin.
    """
    total = bins["rows"].sum()
    if not total:
        return []
    each = bins.assign(hits=bins["rows"].where(bins["right"], 0)).groupby("confidence")[["rows", "hits"]].sum().sort_index(ascending=False)
    summed = each.cumsum()
    numbers, rows, hits = summed.index.to_numpy(), summed["rows"].to_numpy(), summed["hits"].to_numpy()
    return [(float(n * width), float(some / total), float(right / some)) for n, some, right in zip(numbers, rows, hits, strict=True)]


def length_bars(histogram: Mapping[str, int], title: str) -> Bars:
    """Return rows by length: of each power of two, those that are at most as long and longer than half of it."""
    rows = [(f"≤ {int(size):,}", float(count)) for size, count in sorted(histogram.items(), key=lambda pair: int(pair[0])) if count]
    return Bars(title, rows, "Tokens of a row, special ones not counted, up to the next power of two.")
