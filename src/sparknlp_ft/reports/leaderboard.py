"""The leaderboard: what each method reached, at what size and speed; as rows, as a table to print, as a picture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sparknlp_ft.tasks.task import signed

BASELINE, MODEL = "baseline", "model"

#: Area in points² of the largest model's marker, and of the smallest marker there is.
_LARGEST, _SMALLEST = 900.0, 30.0


@dataclass(frozen=True)
class Entry:
    """One method on the leaderboard. What does not apply to it is None.

    Attributes:
        name: What it is called.
        kind: ``BASELINE`` or ``MODEL``.
        validation: Metrics on validation rows, by name; empty if it failed.
        test: Metrics on test rows; empty if there are none.
        parameters: Weights, or entries of a dictionary.
        trained_share: Share of them that was trained.
        size_mb: Megabytes of the weights.
        training_seconds: From the ranks' start to their end; for a baseline the fit.
        training_rows_per_second: Rows over the seconds spent in steps.
        scoring_rows_per_second: Rows over the seconds of the scoring job; for a baseline of its predictions on the driver.
        settings: What it was made with.
        run_id: Its MLflow run.
        note: What to know about the numbers.
        error: Why there are none.
    """

    name: str
    kind: str
    validation: Mapping[str, float] = field(default_factory=dict)
    test: Mapping[str, float] = field(default_factory=dict)
    parameters: int | None = None
    trained_share: float | None = None
    size_mb: float | None = None
    training_seconds: float | None = None
    training_rows_per_second: float | None = None
    scoring_rows_per_second: float | None = None
    settings: Mapping[str, object] = field(default_factory=dict)
    run_id: str = ""
    note: str = ""
    error: str | None = None


def ranked(entries: Sequence[Entry], measure: str) -> list[Entry]:
    """Return the entries, the best on validation first and those without result last."""

    def place(entry: Entry) -> tuple[bool, float]:
        value = entry.validation.get(measure)
        return entry.error is not None, math.inf if value is None else -signed(measure, value)

    return sorted(entries, key=place)


def as_text(entries: Sequence[Entry], measure: str) -> str:
    """Return the aligned table of all entries that have a result, best first, and a line for each that failed."""
    done = [entry for entry in ranked(entries, measure) if entry.error is None]
    header = (
        "candidate",
        "kind",
        f"validation {measure}",
        f"test {measure}",
        "parameters",
        "MB",
        "train s",
        "train rows/s",
        "score rows/s",
    )
    rows = [header, *[_cells(entry, measure) for entry in done]]
    widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
    lines = [
        "  ".join(f"{cell:<{w}}" if i < 2 else f"{cell:>{w}}" for i, (cell, w) in enumerate(zip(row, widths, strict=True))) for row in rows
    ]
    notes = [f"{entry.name}: {entry.note}" for entry in done if entry.note]
    failed = [f"{entry.name} failed: {entry.error}" for entry in entries if entry.error is not None]
    return "\n".join(line.rstrip() for line in [*lines, *notes, *failed])


def _cells(entry: Entry, measure: str) -> tuple[str, ...]:
    share = "" if entry.trained_share in (None, 1) else f" ({entry.trained_share:.1%})"
    return (
        entry.name,
        entry.kind,
        _number(entry.validation.get(measure), 4),
        _number(entry.test.get(measure), 4),
        _large(entry.parameters) + share,
        _number(entry.size_mb, 1),
        _number(entry.training_seconds, 1),
        _number(entry.training_rows_per_second, 0),
        _number(entry.scoring_rows_per_second, 0),
    )


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _large(count: int | None) -> str:
    if count is None:
        return "-"
    return f"{count / 1e6:,.1f} M" if count >= 1e5 else f"{count:,}"


def draw(entries: Sequence[Entry], measure: str, path: str | Path, *, title: str) -> None:
    """Draw quality over scoring speed as a PNG file, the area of a marker by size; what needs no scoring is a line."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.set(xlabel="scored rows per second", ylabel=f"{measure} on validation", title=title, xscale="log")
    axes.grid(visible=True, which="major", alpha=0.3)
    done = [entry for entry in ranked(entries, measure) if entry.error is None and measure in entry.validation]
    largest = max((entry.size_mb or 0.0 for entry in done), default=0.0) or 1.0
    for entry in done:
        quality, speed = entry.validation[measure], entry.scoring_rows_per_second
        colour = "tab:blue" if entry.kind == MODEL else "tab:gray"
        if not speed:
            axes.axhline(quality, color=colour, linestyle="--", linewidth=1)
            axes.annotate(
                entry.name, (0.01, quality), xycoords=("axes fraction", "data"), xytext=(0, 3), textcoords="offset points", fontsize=8
            )
            continue
        area = max(_SMALLEST, _LARGEST * (entry.size_mb or 0.0) / largest)
        axes.scatter([speed], [quality], s=area, color=colour, alpha=0.6)
        axes.annotate(entry.name, (speed, quality), xytext=(6, 6), textcoords="offset points", fontsize=8)
    axes.margins(x=0.25, y=0.15)
    figure.text(0.99, 0.01, f"area of a marker: size, up to {largest:,.1f} MB; gray: baselines", ha="right", fontsize=7)
    figure.savefig(str(path))
