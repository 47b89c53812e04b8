"""What a classifier confuses: the confusion matrix as a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

#: Above so many labels the picture names them in small print; above twice as many it numbers no cell.
NAMED_LABELS = 40


def draw(matrix: pd.DataFrame, path: str | Path, *, title: str) -> None:
    """Draw the matrix as a PNG file: each row's shares in colour, counts in the cells where there is room."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    values = matrix.to_numpy(dtype=float)
    shares = values / np.maximum(values.sum(axis=1, keepdims=True), 1)
    size = max(4.5, 0.28 * len(matrix) + 2.5)
    figure = Figure(figsize=(size + 1, size), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    print_size = 8 if len(matrix) <= NAMED_LABELS else 6
    axes.set_xticks(range(len(matrix.columns)), [_short(name) for name in matrix.columns], rotation=90, fontsize=print_size)
    axes.set_yticks(range(len(matrix.index)), [_short(name) for name in matrix.index], fontsize=print_size)
    axes.set(xlabel="predicted", ylabel="target", title=title)
    figure.colorbar(image, ax=axes, label="share of the target's rows", fraction=0.04)
    if len(matrix) <= 2 * NAMED_LABELS:
        for i, j in zip(*np.nonzero(values), strict=True):
            colour = "white" if shares[i, j] > 0.5 else "black"
            axes.text(j, i, f"{values[i, j]:.0f}", ha="center", va="center", fontsize=print_size - 2, color=colour)
    figure.savefig(str(path))


def _short(name: str) -> str:
    return name if len(name) <= 32 else name[:31] + "…"
