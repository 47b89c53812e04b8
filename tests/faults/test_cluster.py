"""A whole machine of a real cluster is lost in the middle of a training: the job goes on by itself on what is left."""

from __future__ import annotations

import json
import re
import subprocess
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
import yaml

from tests.distributed.standalone import standalone_cluster, submitted
from tests.tiny import tiny_model_dir

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SCRIPT = Path(__file__).parents[2] / "jobs" / "run.py"
WORDS = {"lost": "card", "charged": "fee", "transfer": "money"}
ROWS, BATCH, EPOCHS = 160, 16, 3
#: Seconds for a cluster, an application and ranks to come up on a busy machine.
START_SECONDS = 300


def settings(folder: Path) -> dict[str, Any]:
    slow = json.dumps({"point": "forward", "action": "slow", "seconds": 0.3})
    return {
        "data": {"table": "texts", "root": str(folder / "lake"), "validation_fraction": 0.2},
        "model": {"base": str(tiny_model_dir(folder)), "dropout": 0.0},
        "text": {"max_length": 32},
        "train": {"epochs": EPOCHS, "batch_size": BATCH, "lanes": 4, "learning_rate": 0.002, "patience": None},
        "launch": {"ranks": 2, "run_dir": str(folder / "runs"), "checkpoint_steps": 4, "env": {"SPARKNLP_FT_TEST_FAULT": slow}},
        "tracking": {"uri": f"sqlite:///{folder}/mlflow.db", "artifacts": str(folder / "artifacts")},
    }


def events(folder: Path) -> list[dict[str, Any]]:
    found = sorted((folder / "runs").glob("classification-*/events/*.json"))
    return [json.loads(path.read_text() or "{}") for path in found]


def lose_machine(folder: Path, number: int) -> None:
    """Kill a worker with all that runs on it, as a machine that loses its power does."""
    [worker] = [one for one in psutil.Process().children() if any(f"work-{number}" in word for word in one.cmdline())]
    for process in [worker, *worker.children(recursive=True)]:
        process.kill()


@pytest.mark.timeout(900)  # a Spark application with executors of its own
def test_a_training_goes_on_when_a_worker_is_lost(spark: SparkSession, tmp_path: Path) -> None:
    words = list(WORDS)
    rows = [(i, f"please help {words[i % 3]} my account {i % 7}", WORDS[words[i % 3]], "train") for i in range(ROWS)]
    frame = spark.createDataFrame(rows, "id int, text string, label string, split string")
    frame.write.format("delta").save(str(tmp_path / "lake" / "texts"))
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(settings(tmp_path)))
    package = f"io.delta:delta-spark_4.2_2.13:{version('delta-spark')}"
    with standalone_cluster(tmp_path) as master:
        job = submitted(master, SCRIPT, "train", "--config", str(tmp_path / "job.yaml"), packages=package, cwd=tmp_path)
        # Spark's launcher puts what the job says on standard output, its log lines as well.
        with (tmp_path / "out").open("w") as out, job(stdout=out, stderr=subprocess.STDOUT) as process:
            end = time.monotonic() + START_SECONDS
            while max((event.get("step", 0) for event in events(tmp_path)), default=0) < 6:
                assert process.poll() is None and time.monotonic() < end, (tmp_path / "out").read_text()[-3000:]
                time.sleep(0.1)  # polls the run folder: there is nothing else to wait on
            lose_machine(tmp_path, 1)
            assert process.wait(timeout=START_SECONDS) == 0, (tmp_path / "out").read_text()[-3000:]
    said = (tmp_path / "out").read_text()
    assert re.search(r"rank \d.*; starting 1 rank\(s\) again from the last checkpoint", said), said[-3000:]
    assert re.search(r"^training +1 rank\(s\)", said, re.MULTILINE)
    steps = [event["step"] for event in events(tmp_path) if event["event"] == "step"]
    assert set(steps) == set(range(1, max(steps) + 1)) and max(steps) % EPOCHS == 0
    assert len(steps) - len(set(steps)) <= 4, "at most one interval between checkpoints was done again"
