"""The command itself is interrupted, killed, or started twice: one line, the right exit code, nothing left running, and it goes on."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from sparknlp_ft.config import TrackingConfig
from sparknlp_ft.tracking.store import connect

if TYPE_CHECKING:
    pass

#: Seconds that a slow training takes for each pass more than it needs.
SLOW, SLOWER = 0.3, 1.0
#: Seconds for a JVM, a snapshot and ranks to come up on a busy machine.
START_SECONDS = 180


def command(folder: Path, name: str, *settings: str, slow: float = 0.0) -> subprocess.Popen[str]:
    """Start ``sparknlp-ft train`` in a run folder and a store of its own; by default the driver is the rank."""
    arguments = [
        "data.table=texts", f"data.root={folder / 'lake'}", "data.validation_fraction=0.2", f"model.base={folder / 'tiny-bert'}",
        "model.dropout=0.0", "text.max_length=32", "train={epochs: 3, batch_size: 8, learning_rate: 0.002, patience: null}",
        f"launch.run_dir={folder / name / 'runs'}", f"tracking.uri=sqlite:///{folder / name}/store/mlflow.db", "tracking.gate=alias",
        *settings,
    ]  # fmt: skip
    fault = json.dumps({"point": "forward", "action": "slow", "seconds": slow})
    environment = {"SPARKNLP_FT_TEST_FAULT": fault} if slow else {}
    environment |= {name: value for name, value in os.environ.items() if not name.startswith(("PYSPARK_GATEWAY", "SPARK_"))}
    return subprocess.Popen(
        [sys.executable, "-m", "sparknlp_ft.cli", "train", *arguments], env={**environment, "SPARKNLP_FT_MASTER": "local[2,4]"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder,
    )  # fmt: skip


def run_folder(folder: Path, name: str) -> Path:
    [found] = (folder / name / "runs").glob("classification-*")
    return found


def wait_for(condition: Callable[[], Any], process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + START_SECONDS
    while not condition():
        assert process.poll() is None, process.communicate()[1][-3000:]
        assert time.monotonic() < end, "it did not come so far in time"
        time.sleep(0.1)


def steps(folder: Path, name: str) -> int:
    events = [json.loads(path.read_text() or "{}") for path in (folder / name / "runs").glob("classification-*/events/*.json")]
    return max((event.get("step", 0) for event in events), default=0)


@pytest.mark.parametrize("backend", ["auto", "horovod"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"])
def test_an_interrupted_training_takes_a_checkpoint_and_goes_on(table: Path, number: signal.Signals, code: int, backend: str) -> None:
    name, settings = f"{number.name}-{backend}", f"launch.backend={backend}"
    process = command(table, name, settings, slow=SLOW)
    wait_for(lambda: steps(table, name) >= 5, process)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(number)
    began = time.monotonic()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors[-3000:]
    assert time.monotonic() - began < 30
    assert f"sparknlp-ft train: stopped by {number.name}; the same command goes on from the checkpoint in" in errors.splitlines()[-1]
    assert "Traceback" not in errors
    assert not psutil.wait_procs(children, timeout=20)[1], "processes are left"
    done = steps(table, name)
    [checkpoint] = (run_folder(table, name) / "checkpoints").glob("*.whole.json")
    at = json.loads(checkpoint.read_text())["progress"]
    store = connect(TrackingConfig(uri=f"sqlite:///{table / name}/store/mlflow.db"))
    [before] = store.client.search_runs([store.experiment_id])
    assert before.info.status == "KILLED"

    process = command(table, name, settings)
    output, errors = process.communicate(timeout=START_SECONDS)
    assert process.returncode == 0, errors[-3000:]
    assert "champion → classification-texts/1" in output
    [after] = store.client.search_runs([store.experiment_id])
    assert (after.info.run_id, after.info.status) == (before.info.run_id, "FINISHED")
    logged = [metric.step for metric in store.client.get_metric_history(after.info.run_id, "train/loss")]
    assert sorted(set(logged)) == list(range(1, max(logged) + 1)), "the run holds the whole history"
    assert at["epochs"] * 16 + at["step"] >= done - 1


def test_a_second_start_in_the_same_folder_is_refused_and_the_first_goes_on(table: Path) -> None:
    first = command(table, "twice", slow=SLOWER)  # The second has time to come up.
    wait_for(lambda: steps(table, "twice") >= 2, first)
    second = command(table, "twice")
    _, errors = second.communicate(timeout=START_SECONDS)
    assert second.returncode == 2, errors[-3000:]
    assert re.search(rf"launch.run_dir: run .* is in the hands of process {first.pid} on ", errors.splitlines()[-1])
    output, errors = first.communicate(timeout=START_SECONDS)
    assert first.returncode == 0 and "champion → classification-texts/1" in output, errors[-3000:]


def test_a_killed_driver_leaves_nothing_running_and_the_next_start_goes_on(table: Path) -> None:
    process = command(table, "killed", "launch.checkpoint_steps=4", "launch.backend=horovod", slow=SLOW)
    wait_for(lambda: len(list((table / "killed" / "runs").glob("*/checkpoints/*.whole.json"))) >= 2, process)
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate(timeout=30)
    assert not psutil.wait_procs(children, timeout=60)[1], "processes are left"
    number = len(list(run_folder(table, "killed").glob("events/*")))
    process = command(table, "killed", "launch.checkpoint_steps=4", "launch.backend=horovod")
    _, errors = process.communicate(timeout=START_SECONDS)
    assert process.returncode == 0, errors[-3000:]
    again = [json.loads(path.read_text()) for path in sorted(run_folder(table, "killed").glob("events/*"))[number:]]
    assert next(event["step"] for event in again if event["event"] == "step") > 4, "it did not begin anew"
