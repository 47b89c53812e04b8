"""Ranks that PyTorch's launcher has started are killed and stopped: the run ends by itself, with the weights of one left alone."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from safetensors.torch import load_file

from sparknlp_ft.errors import RankLost
from sparknlp_ft.training.job import TrainResult
from sparknlp_ft.training.launch import launch
from sparknlp_ft.training.run_folder import RunFolder
from tests.golden import with_launch
from tests.training_jobs import tiny_job

STEPS, EPOCHS = 13, 3


def run(folder: Path, spark: Any, *, fault: dict[str, Any] | None = None, **changes: Any) -> tuple[TrainResult, list[dict[str, Any]]]:
    events: list[dict[str, Any]] = []
    settings = {"backend": "torch", "restarts": 3, "checkpoint_seconds": 1e9, "checkpoint_steps": 5, **changes}
    env = {} if fault is None else {"SPARKNLP_FT_TEST_FAULT": json.dumps(fault)}
    job = with_launch(tiny_job(folder, epochs=EPOCHS), env=env, **settings)
    return launch(job, job.resolved.launch, spark, slots=lambda: 2, on_event=events.append), events


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    return run(tmp_path_factory.mktemp("undisturbed"), None, backend="solo", ranks=1)[0]


@pytest.fixture
def ranks(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[int]]:
    """Processes of ranks that a test has seen; none may be left."""
    monkeypatch.setattr(logging.getLogger("sparknlp_ft"), "propagate", True)
    seen: set[int] = set()
    started = RunFolder.started

    def noted(folder: RunFolder, rank: int) -> dict[str, Any] | None:
        found = started(folder, rank)
        seen.update([] if found is None else [found["process"]])
        return found

    monkeypatch.setattr(RunFolder, "started", noted)
    yield seen
    assert len(seen) >= 4, "two ranks, twice"
    left = [psutil.Process(process) for process in seen if psutil.pid_exists(process)]
    assert not psutil.wait_procs(left, timeout=20)[1], "processes are left"


def assert_same(result: TrainResult, other: TrainResult, events: list[dict[str, Any]]) -> None:
    steps = [event["step"] for event in events if event["event"] == "step"]
    assert set(steps) == set(range(1, EPOCHS * STEPS + 1))
    assert len(steps) - len(set(steps)) <= 5, "at most one interval between checkpoints was done again"
    assert (result.steps, result.rows, result.best_epoch) == (other.steps, other.rows, other.best_epoch)
    mine, theirs = (load_file(Path(one.best_dir) / "model.safetensors") for one in (result, other))
    for key, tensor in theirs.items():
        torch.testing.assert_close(mine[key], tensor, rtol=0, atol=2e-3)  # Two ranks against one: AdamW enlarges rounding.


def fault_at(folder: Path, action: str) -> dict[str, Any]:
    return {"point": "forward", "rank": 1, "epoch": 2, "step": 2, "action": action, "once": str(folder / "happened")}


def test_a_killed_rank_is_started_again(
    spark: Any, tmp_path: Path, undisturbed: TrainResult, ranks: set[int], caplog: pytest.LogCaptureFixture
) -> None:
    result, events = run(tmp_path, spark, fault=fault_at(tmp_path, "kill"))
    assert "rank 1 ended with exit code 137" in caplog.text
    assert "starting 2 rank(s) again from the last checkpoint, 2 restart(s) left" in caplog.text
    assert_same(result, undisturbed, events)


def test_a_rank_that_stops_answering_is_found_and_replaced(
    spark: Any, tmp_path: Path, undisturbed: TrainResult, ranks: set[int], caplog: pytest.LogCaptureFixture
) -> None:
    result, events = run(tmp_path, spark, fault=fault_at(tmp_path, "stop"), stall_seconds=8)
    assert "rank-1 gave no sign of life for 8 s; starting 2 rank(s) again" in caplog.text
    assert_same(result, undisturbed, events)


@pytest.mark.parametrize("action", ["kill", "stop"])
def test_a_lost_rank_without_spark(
    tmp_path: Path, undisturbed: TrainResult, ranks: set[int], caplog: pytest.LogCaptureFixture, action: str
) -> None:
    result, events = run(tmp_path, None, fault=fault_at(tmp_path, action), stall_seconds=8)
    assert "starting 2 rank(s) again from the last checkpoint, 2 restart(s) left" in caplog.text
    assert_same(result, undisturbed, events)


def test_a_rank_that_is_lost_again_and_again_ends_the_run_with_its_last_words(tmp_path: Path, ranks: set[int]) -> None:
    fault = {"point": "forward", "rank": 1, "epoch": 1, "step": 2, "action": "kill"}
    with pytest.raises(RankLost, match="left without a word: rank 1 ended with exit code 137"):
        run(tmp_path, None, fault=fault, restarts=1)
