"""Train and score through spark-submit on a real standalone cluster with two workers."""

from __future__ import annotations

import csv
import json
import re
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import yaml

from sparknlp_ft.config import Config
from sparknlp_ft.pipelines.ingest import run_ingest
from sparknlp_ft.pipelines.score import run_score
from tests.distributed.standalone import spark_submit, standalone_cluster
from tests.tiny import tiny_model_dir

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SCRIPT = Path(__file__).parents[2] / "jobs" / "run.py"
ROWS = 203


def write_messages(path: Path) -> None:
    """Write texts in which one word decides the label, so that even a tiny random model learns them."""
    rng = np.random.default_rng(0)
    words = {"lost": "card", "charged": "fee", "transfer": "money"}
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text", "label", "split"])
        for i in range(ROWS):
            word = list(words)[i % 3]
            noise = " ".join(rng.choice(["my", "the", "please", "help", "with", "account"], size=rng.integers(1, 12)))
            writer.writerow([f"{noise} {word}", words[word], "test" if i % 10 == 0 else "train"])


@pytest.mark.timeout(1200)  # two Spark applications with executors of their own
def test_train_and_score_on_two_workers(spark: SparkSession, tmp_path: Path) -> None:
    write_messages(tmp_path / "messages.csv")
    settings = {
        "data": {
            "table": "messages",
            "root": str(tmp_path / "lake"),
            "validation_fraction": 0.15,
            "sources": [{"format": "csv", "path": str(tmp_path / "messages.csv")}],
        },
        "model": {"base": str(tiny_model_dir(tmp_path)), "dropout": 0.0},
        "text": {"max_length": 32},
        "train": {"epochs": 12, "batch_size": 16, "lanes": 4, "learning_rate": 0.002, "patience": None},
        "launch": {"ranks": 2, "run_dir": str(tmp_path / "runs")},
        "tracking": {"uri": f"sqlite:///{tmp_path}/mlflow.db", "artifacts": str(tmp_path / "artifacts"), "gate": "alias"},
    }
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(settings))
    config = Config.model_validate(settings)
    package = f"io.delta:delta-spark_4.2_2.13:{version('delta-spark')}"
    run_ingest(config, spark)

    with standalone_cluster(tmp_path) as master:
        outputs = {}
        for job in ("train", "score"):
            done = spark_submit(master, SCRIPT, job, "--config", str(tmp_path / "job.yaml"), packages=package, cwd=tmp_path)
            assert done.returncode == 0, f"{job} failed:\n{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
            outputs[job] = done.stdout

    assert "champion → classification-messages/1" in outputs["train"]
    assert re.search(rf"^scored +{ROWS} rows in", outputs["score"], re.MULTILINE)
    # What the cluster wrote is complete for any other session.
    again = run_score(config, spark)
    assert (again.scored, again.skipped, again.output_version) == (0, ROWS, 1)
    assert len(delta_commits(tmp_path / "lake" / "messages_predictions")) == 2  # created, merged; nothing by the second run


def delta_commits(table: Path) -> list[dict]:
    return [json.loads(path.read_text().splitlines()[0]) for path in sorted((table / "_delta_log").glob("*.json"))]
