"""What a classifier confuses: the table of its labels, and the confusion matrix as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

#: Above so many labels the picture names them in small print; above twice as many it numbers no cell.
NAMED_LABELS = 40

NOTHING = "(no prediction)"


def confusion_matrix(
    targets: Sequence[str], predictions: Sequence[str | None], counts: Sequence[int], labels: Sequence[str]
) -> pd.DataFrame:
    """Count rows by target (index) and prediction (columns).

    Args:
        targets: Target of each group of rows.
        predictions: Prediction of each group; None where there is none.
        counts: Rows in each group.
        labels: The model's labels; targets it does not know follow them, then a column for rows without prediction.
    """
    rows = [*labels, *sorted(set(targets) - set(labels))]
    columns = [*labels, *([NOTHING] if None in predictions else [])]
    row_of, column_of = ({name: i for i, name in enumerate(names)} for names in (rows, columns))
    matrix = np.zeros((len(rows), len(columns)), dtype=np.int64)
    for target, prediction, count in zip(targets, predictions, counts, strict=True):
        matrix[row_of[target], column_of[NOTHING if prediction is None else prediction]] += count
    return pd.DataFrame(matrix, index=rows, columns=columns)


def label_table(matrix: pd.DataFrame) -> pd.DataFrame:
    """Return rows, precision, recall, F1 and the most frequent mistake of each label, most rows first.

    Precision of a label that is never predicted, and recall of one that has no rows, are 0.
    """
    rows, hits = matrix.sum(axis=1), pd.Series({label: matrix.at[label, label] if label in matrix.columns else 0 for label in matrix.index})
    predicted = matrix.sum(axis=0).reindex(matrix.index, fill_value=0)
    precision, recall = _share(hits, predicted), _share(hits, rows)
    table = pd.DataFrame(
        {
            "label": matrix.index,
            "rows": rows.to_numpy(),
            "predicted": predicted.to_numpy(),
            "precision": precision,
            "recall": recall,
            "f1": _share(2 * precision * recall, precision + recall),
            "most_taken_for": [_mistake(matrix, label) for label in matrix.index],
        }
    )
    return table.sort_values(["rows", "label"], ascending=[False, True], ignore_index=True)


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


def _share(part: pd.Series | np.ndarray, whole: pd.Series | np.ndarray) -> np.ndarray:
    above, below = np.asarray(part, dtype=float), np.asarray(whole, dtype=float)
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def _mistake(matrix: pd.DataFrame, label: str) -> str:
    others = matrix.loc[label].drop(label, errors="ignore")
    return "" if others.empty or not others.max() else f"{others.idxmax()} ({others.max()})"


def _short(name: str) -> str:
    return name if len(name) <= 32 else name[:31] + "…"
