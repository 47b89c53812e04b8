"""The per-label table counts what it says, and the picture is drawn without a display."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparknlp_ft.reports.confusion import NOTHING, confusion_matrix, draw, label_table

TARGETS = ["a", "a", "b", "b", "b", "x"]
PREDICTIONS = ["a", "b", "b", "c", None, "a"]
COUNTS = [8, 2, 5, 1, 4, 3]


def test_matrix_keeps_every_row() -> None:
    matrix = confusion_matrix(TARGETS, PREDICTIONS, COUNTS, ["a", "b", "c"])
    assert matrix.to_numpy().sum() == sum(COUNTS)
    assert matrix.index.tolist() == ["a", "b", "c", "x"] and matrix.columns.tolist() == ["a", "b", "c", NOTHING]
    assert matrix.loc["b"].tolist() == [0, 5, 1, 4]


def test_label_table() -> None:
    table = label_table(confusion_matrix(TARGETS, PREDICTIONS, COUNTS, ["a", "b", "c"])).set_index("label")
    assert table.index.tolist() == ["a", "b", "x", "c"]
    assert table.loc["a", "precision"] == pytest.approx(8 / 11) and table.loc["a", "recall"] == pytest.approx(0.8)
    assert table.loc["b", "precision"] == pytest.approx(5 / 7) and table.loc["b", "recall"] == pytest.approx(0.5)
    assert table.loc["x", ["precision", "recall", "f1"]].tolist() == [0, 0, 0]
    assert table.loc["a", "most_taken_for"] == "b (2)" and table.loc["b", "most_taken_for"] == f"{NOTHING} (4)"


@pytest.mark.parametrize("labels", [2, 50])
def test_picture(tmp_path: Path, labels: int) -> None:
    names = [f"label {i} with a rather long name that goes on and on" for i in range(labels)]
    draw(confusion_matrix(names, names[1:] + names[:1], [3] * labels, names), tmp_path / "m.png", title="t")
    assert (tmp_path / "m.png").read_bytes().startswith(b"\x89PNG")
