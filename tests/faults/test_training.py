"""Ranks are killed, stopped and starved at named points of a real Horovod run: it ends by itself, with the weights of a run left alone."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from safetensors.torch import load_file

from sparknlp_ft.errors import LaunchError, RankLost
from sparknlp_ft.training.job import TrainJob, TrainResult
from sparknlp_ft.training.launch import launch
from tests.training_jobs import tiny_job

STEPS, EPOCHS = 13, 3


def job_of(tmp_path: Path, **changes: Any) -> TrainJob:
    job = tiny_job(tmp_path, epochs=EPOCHS)
    return replace(
        job, config={**job.config, "launch": {**job.config["launch"], "checkpoint_seconds": 1e9, "checkpoint_steps": 5, **changes}}
    )


def run(job: TrainJob, spark: Any, *, fault: dict[str, Any] | None = None, **changes: Any) -> tuple[TrainResult, list[dict[str, Any]]]:
    events: list[dict[str, Any]] = []
    env = {} if fault is None else {"SPARKNLP_FT_TEST_FAULT": json.dumps(fault)}
    config = job.resolved.launch.model_copy(update={"env": env, **changes})
    return launch(replace(job, resume=True), config, spark, slots=lambda: 2, on_event=events.append), events


@pytest.fixture(scope="module")
def undisturbed(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    return run(job_of(tmp_path_factory.mktemp("undisturbed")), spark)[0]


def ranks_alive() -> list[int]:
    """Processes of this test's ranks; Spark's own workers are none."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if "gloo_exec_fn" in " ".join(process.cmdline()):
                found.append(process.pid)
        except psutil.NoSuchProcess:
            continue
    return found


POINTS = {
    "forward, rank 0": {"point": "forward", "rank": 0, "epoch": 2, "step": 4},
    "forward, rank 1": {"point": "forward", "rank": 1, "epoch": 1, "step": 7},
    "before the sum": {"point": "sum", "rank": 1, "step": 17},
    "first step": {"point": "forward", "rank": 1, "epoch": 1, "step": 1},
    "half a checkpoint": {"point": "checkpoint", "call": 3},
    "a checkpoint without its marker": {"point": "marker", "call": 3},
    "evaluation": {"point": "evaluation", "rank": 1, "call": 2},
    "after the result": {"point": "result"},
}


@pytest.mark.parametrize("name", POINTS)
def test_a_rank_that_is_killed_is_started_again(
    spark: Any, tmp_path: Path, undisturbed: TrainResult, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    monkeypatch.setattr(logging.getLogger("sparknlp_ft"), "propagate", True)
    fault = {**POINTS[name], "action": "kill", "once": str(tmp_path / "happened")}
    result, events = run(job_of(tmp_path / "job"), spark, fault=fault)
    assert (tmp_path / "happened").exists()
    # What is finished is not trained again, whoever dies then.
    assert ("restart(s) left" in caplog.text) == (name != "after the result")
    assert not ranks_alive()
    steps = [event["step"] for event in events if event["event"] == "step"]
    assert set(steps) == set(range(1, EPOCHS * STEPS + 1))
    assert len(steps) - len(set(steps)) <= 5, "at most one interval between checkpoints was done again"
    assert (result.steps, result.rows, result.best_epoch) == (undisturbed.steps, undisturbed.rows, undisturbed.best_epoch)
    assert [entry["metrics"] for entry in result.epochs] == [pytest.approx(entry["metrics"], abs=1e-6) for entry in undisturbed.epochs]
    mine, theirs = (load_file(Path(one.best_dir) / "model.safetensors") for one in (result, undisturbed))
    for key, tensor in theirs.items():
        torch.testing.assert_close(mine[key], tensor, rtol=0, atol=1e-6)


def test_a_rank_that_stops_answering_is_found_and_replaced(
    spark: Any, tmp_path: Path, undisturbed: TrainResult, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(logging.getLogger("sparknlp_ft"), "propagate", True)
    fault = {"point": "forward", "rank": 1, "epoch": 2, "step": 2, "action": "stop", "once": str(tmp_path / "happened")}
    result, _ = run(job_of(tmp_path / "job", stall_seconds=8), spark, fault=fault)
    assert "rank-1 gave no sign of life for 8 s; starting 2 rank(s) again" in caplog.text
    assert result.epochs[-1]["metrics"] == pytest.approx(undisturbed.epochs[-1]["metrics"], abs=1e-6)
    assert not ranks_alive()


def test_a_rank_that_is_lost_again_and_again_ends_the_run_with_its_last_words(spark: Any, tmp_path: Path) -> None:
    fault = {"point": "forward", "rank": 1, "epoch": 1, "step": 2, "action": "kill"}
    with pytest.raises(RankLost, match="rank 1 left without a word"):
        run(job_of(tmp_path), spark, fault=fault, restarts=1)


def test_a_full_disk_is_said_in_one_line(spark: Any, tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match=r"no checkpoint can be written to .*No space left on device"):
        run(job_of(tmp_path), spark, fault={"point": "checkpoint", "action": "full"})


def test_fewer_ranks_go_on_where_the_cluster_has_become_smaller(spark: Any, tmp_path: Path, undisturbed: TrainResult) -> None:
    slots = iter([2, 1])
    env = {"SPARKNLP_FT_TEST_FAULT": json.dumps({**POINTS["forward, rank 1"], "action": "kill", "once": str(tmp_path / "happened")})}
    job = replace(job_of(tmp_path / "job"), resume=True)
    config = job.resolved.launch.model_copy(update={"env": env})
    result = launch(job, config, spark, slots=lambda: next(slots), on_event=lambda event: None)
    assert result.ranks == 1 and (result.steps, result.rows) == (undisturbed.steps, undisturbed.rows)
    assert result.best_metrics == pytest.approx(undisturbed.best_metrics, abs=1e-2)
