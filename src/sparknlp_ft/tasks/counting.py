"""Counts of right and wrong answers by label: precision, recall and F1 of them, their tables, the confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

#: Column of the confusion matrix for rows without prediction.
NOTHING = "(no prediction)"


def precision_recall_f1(hits: np.ndarray, predicted: np.ndarray, actual: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return precision, recall and F1 of counts, each 0 where it has no denominator."""
    hits, predicted, actual = (np.asarray(values, dtype=np.float64) for values in (hits, predicted, actual))

    def share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
        return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)

    precision, recall = share(hits, predicted), share(hits, actual)
    return precision, recall, share(2 * precision * recall, precision + recall)


def averaged(hits: np.ndarray, predicted: np.ndarray, actual: np.ndarray) -> dict[str, float]:
    """Return micro, macro and weighted precision, recall and F1 over labels (those that occur) from their counts."""
    present = actual > 0
    each = precision_recall_f1(hits, predicted, actual)
    micro = precision_recall_f1(hits.sum(keepdims=True), predicted.sum(keepdims=True), actual.sum(keepdims=True))
    result: dict[str, float] = {}
    for name, values, whole in zip(("precision", "recall", "f1"), each, micro, strict=True):
        result[f"{name}_micro"] = float(whole[0])
        result[f"{name}_macro"] = float(values[present].mean()) if present.any() else 0.0
        result[f"{name}_weighted"] = float(np.average(values[present], weights=actual[present])) if present.any() else 0.0
    return result


def counts_table(
    labels: Sequence[str], hits: np.ndarray, predicted: np.ndarray, actual: np.ndarray, **more: Sequence[object]
) -> pd.DataFrame:
    """Return the per-label table of counts, most rows first; ``more`` are further columns.

    Precision of a label that is never predicted, and recall of one that has no rows, are 0.
    """
    precision, recall, f1 = precision_recall_f1(hits, predicted, actual)
    columns = {"label": list(labels), "rows": actual, "predicted": predicted, "precision": precision, "recall": recall, "f1": f1, **more}
    return pd.DataFrame(columns).sort_values(["rows", "label"], ascending=[False, True], ignore_index=True)


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


def confusion_table(matrix: pd.DataFrame) -> pd.DataFrame:
    """Return the per-label table of a confusion matrix, with the most frequent mistake of each label."""
    labels = list(matrix.index)
    hits = np.asarray([matrix.at[label, label] if label in matrix.columns else 0 for label in labels])
    predicted = matrix.sum(axis=0).reindex(labels, fill_value=0).to_numpy()
    mistakes = [_mistake(matrix, label) for label in labels]
    return counts_table(labels, hits, predicted, matrix.sum(axis=1).to_numpy(), most_taken_for=mistakes)


def _mistake(matrix: pd.DataFrame, label: str) -> str:
    others = matrix.loc[label].drop(label, errors="ignore")
    return "" if others.empty or not others.max() else f"{others.idxmax()} ({others.max()})"
