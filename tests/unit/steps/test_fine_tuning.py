"""A store that falls silent behind a training: the message says where the model is, and what the same command will do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sparknlp_ft.steps import fine_tuning
from sparknlp_ft.tracking.patience import StoreSilent
from sparknlp_ft.training.run_folder import RunFolder


class _Job:
    store, source = None, None


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (None, r"start it\. The same command goes on from the last checkpoint in '.*/run'\."),
        ({"best_epoch": 3}, r"start it\. The training is finished and its model is safe in '.*/run/best-3': the same command registers it"),
    ],
)
def test_what_is_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, result: dict[str, Any] | None, message: str) -> None:
    folder = RunFolder.at(str(tmp_path / "run"))
    if result is not None:
        folder.write_result(result)

    @contextmanager
    def start_run(*_: object, **__: object) -> Iterator[Any]:
        yield type("Run", (), {"run_id": "0a"})()

    monkeypatch.setattr(fine_tuning, "run_folder", lambda *_: folder)
    monkeypatch.setattr(fine_tuning, "lineage", lambda *_: {})
    monkeypatch.setattr(fine_tuning, "start_run", start_run)
    with pytest.raises(StoreSilent, match=message), fine_tuning.training_run(_Job(), None, "train t"):  # type: ignore[arg-type]
        raise StoreSilent("tracking.uri: 'http://host' does not answer (Connection refused); start it")
    assert folder.tracked() == "0a"
