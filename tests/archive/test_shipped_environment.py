"""An environment shipped as an archive to workers that have nothing but a Python of the same version, as docs/SERVICES.md says.

The archive is what ``pip`` makes of the wheel's needs and ``venv-pack`` of that: with PyPI's torch, which carries CUDA, 6 GB, so that
this is no test of every change (``make test-archive``; 45 GB of disk). ``SPARKNLP_FT_TEST_ARCHIVE`` names an archive to try instead.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sparknlp_ft.config import load_config
from sparknlp_ft.pipelines.train import run_train
from tests.distributed.standalone import spark_submit, standalone_cluster
from tests.tiny import tiny_model_dir

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROOT = Path(__file__).parents[2]
ROWS = 120
WORDS = {"lost": "card", "charged": "fee", "transfer": "money"}


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    if (given := os.environ.get("SPARKNLP_FT_TEST_ARCHIVE")) is not None:
        return Path(given)
    bin_ = tmp_path / "env" / "bin"
    run(sys.executable, "-m", "venv", str(tmp_path / "env"))
    run(str(bin_ / "pip"), "--disable-pip-version-check", "--quiet", "install", str(ROOT), "venv-pack")
    run(str(bin_ / "venv-pack"), "--quiet", "--compress-level", "0", "--prefix", str(tmp_path / "env"), "-o", str(tmp_path / "env.tar.gz"))
    return tmp_path / "env.tar.gz"


def run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


@pytest.mark.timeout(3600)  # gigabytes are packed, sent and unpacked
def test_workers_score_with_what_was_shipped(spark: SparkSession, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = list(WORDS)
    rows = [(i, f"please {words[i % 3]} my account {i % 7}", WORDS[words[i % 3]], "train") for i in range(ROWS)]
    frame = spark.createDataFrame(rows, "id int, text string, label string, split string")
    frame.write.format("delta").save(str(tmp_path / "lake" / "texts"))
    settings = [
        "data.table=texts", f"data.root={tmp_path / 'lake'}", f"model={{base: {tiny_model_dir(tmp_path)}, dropout: 0.0}}",
        "text.max_length=32", "train={epochs: 8, batch_size: 16, learning_rate: 0.004, patience: null}",
        f"launch={{backend: solo, ranks: 1, run_dir: {tmp_path / 'runs'}}}", "tracking.gate=alias",
        f"tracking.uri=sqlite:///{tmp_path}/store/mlflow.db",
    ]  # fmt: skip
    assert run_train(load_config(None, settings), spark).verdict.moved
    monkeypatch.delenv("PYTHONPATH", raising=False)
    package = f"io.delta:delta-spark_4.2_2.13:{version('delta-spark')}"
    with standalone_cluster(tmp_path, workers=1) as master:
        done = spark_submit(
            master, ROOT / "jobs" / "run.py", "score", *settings, packages=package, cwd=tmp_path, timeout=3000,
            archives=f"{archive}#env", worker_python="./env/bin/python",
        )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    assert re.search(rf"^status +ok {ROWS}, empty 0, error 0", done.stdout, re.MULTILINE), done.stdout[-2000:]
