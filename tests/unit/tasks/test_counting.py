"""The confusion matrix keeps every row, and the table of labels counts what it says."""

from __future__ import annotations

import pytest

from sparknlp_ft.tasks import get_task
from sparknlp_ft.tasks.counting import NOTHING, confusion_table

TARGETS = ["a", "a", "b", "b", "b", "x"]
PREDICTIONS = ["a", "b", "b", "c", None, "a"]
COUNTS = [8, 2, 5, 1, 4, 3]
LABELS = ["a", "b", "c"]
task = get_task("classification")


def test_matrix_keeps_every_row() -> None:
    matrix = task.confusion(TARGETS, PREDICTIONS, COUNTS, LABELS)
    assert matrix is not None and matrix.to_numpy().sum() == sum(COUNTS)
    assert matrix.index.tolist() == ["a", "b", "c", "x"] and matrix.columns.tolist() == ["a", "b", "c", NOTHING]
    assert matrix.loc["b"].tolist() == [0, 5, 1, 4]


def test_label_table() -> None:
    matrix = task.confusion(TARGETS, PREDICTIONS, COUNTS, LABELS)
    assert matrix is not None
    table = confusion_table(matrix).set_index("label")
    assert table.index.tolist() == ["a", "b", "x", "c"]
    assert table.columns.tolist() == ["rows", "predicted", "precision", "recall", "f1", "most_taken_for"]
    assert table.loc["a", "precision"] == pytest.approx(8 / 11) and table.loc["a", "recall"] == pytest.approx(0.8)
    assert table.loc["b", "precision"] == pytest.approx(5 / 7) and table.loc["b", "recall"] == pytest.approx(0.5)
    assert table.loc["x", ["precision", "recall", "f1"]].tolist() == [0, 0, 0]
    assert table.loc["a", "most_taken_for"] == "b (2)" and table.loc["b", "most_taken_for"] == f"{NOTHING} (4)"
