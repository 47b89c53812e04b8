"""Workers of a real cluster whose Python has nothing: the job says which package they lack, and how to ship an environment."""

from __future__ import annotations

import csv
import venv
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.distributed.standalone import spark_submit, standalone_cluster

SCRIPT = Path(__file__).parents[2] / "jobs" / "run.py"


@pytest.mark.timeout(600)  # a Spark application with an executor of its own
def test_workers_without_the_package_are_told_with_the_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    venv.create(tmp_path / "bare", symlinks=True)
    python = str(tmp_path / "bare" / "bin" / "python")
    with (tmp_path / "texts.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("id", "text", "label"), *((i, f"text {i}", "yn"[i % 2]) for i in range(10))])
    settings = ["data.table=texts", f"data.root={tmp_path / 'lake'}", f"data.sources=[{{format: csv, path: {tmp_path / 'texts.csv'}}}]"]
    package = f"io.delta:delta-spark_4.2_2.13:{version('delta-spark')}"
    with standalone_cluster(tmp_path, workers=1) as master:
        done = spark_submit(master, SCRIPT, "ingest", *settings, packages=package, cwd=tmp_path, worker_python=python)
    assert done.returncode == 2, done.stdout[-2000:] + done.stderr[-4000:]
    [line] = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("sparknlp-ft ingest: ")]
    assert line.startswith("sparknlp-ft ingest: the Python of Spark's workers has no package '")
    assert "spark-submit --archives env.tar.gz#env with PYSPARK_PYTHON=./env/bin/python" in line
    assert not (tmp_path / "lake" / "texts").exists()
