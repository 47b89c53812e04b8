"""Event files for TensorBoard, on a storage that knows whole objects alone."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from sparknlp_ft.tracking.tensorboard import EventFiles


def steps(folder: Path) -> list[int]:
    return [one.step for one in EventAccumulator(str(folder)).Reload().Scalars("train/loss")]


def test_what_was_published_can_be_watched_while_more_is_written(tmp_path: Path) -> None:
    events = EventFiles(f"whole://{tmp_path}", model="m", task="classification", run_id="0123456789")
    events.log_metrics({"train/loss": 2.0}, step=1)
    events.publish()
    assert steps(tmp_path / "m" / "01234567") == [1]
    events.log_metrics({"train/loss": 1.0}, step=2)
    events.close()
    assert steps(tmp_path / "m" / "01234567") == [1, 2]
    assert [path.suffix for path in (tmp_path / "m" / "01234567").iterdir()] == [".classification"]


def test_a_folder_that_cannot_be_written_ends_no_training(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    events = EventFiles(tmp_path / "file", model="m", task="classification", run_id="0123456789")
    events.log_metrics({"train/loss": 2.0}, step=1)
    with caplog.at_level(logging.WARNING, logger="sparknlp_ft"):
        events.publish()
        events.close()
    [said] = [record.getMessage() for record in caplog.records]
    assert said.startswith("tracking.tensorboard: event files cannot be written to '") and said.endswith("; the job goes on")
