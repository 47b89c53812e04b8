"""The picture of a confusion matrix is drawn without a display."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparknlp_ft.reports.confusion import draw
from sparknlp_ft.tasks.counting import confusion_matrix


@pytest.mark.parametrize("labels", [2, 50])
def test_picture(tmp_path: Path, labels: int) -> None:
    names = [f"label {i} with a rather long name that goes on and on" for i in range(labels)]
    draw(confusion_matrix(names, names[1:] + names[:1], [3] * labels, names), tmp_path / "m.png", title="t")
    assert (tmp_path / "m.png").read_bytes().startswith(b"\x89PNG")
