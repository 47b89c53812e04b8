"""The whole job with everything on S3: sources, tables, snapshot, run folder and, by way of MLflow's server, models."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from sparknlp_ft.config import Config, load_config
from sparknlp_ft.pipelines.evaluate import run_evaluate
from sparknlp_ft.pipelines.ingest import run_ingest
from sparknlp_ft.pipelines.score import run_score
from sparknlp_ft.pipelines.train import TrainOutcome, run_train
from sparknlp_ft.tracking.store import connect
from tests.servers import MlflowServer
from tests.services.conftest import BUCKET, keys, put
from tests.tiny import tiny_model_dir

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROWS = 200
WORDS = {"lost": "card", "charged": "fee", "transfer": "money"}


@pytest.fixture(scope="module")
def trained(s3_spark: SparkSession, mlflow_server: MlflowServer, tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, TrainOutcome]:
    folder, words = tmp_path_factory.mktemp("s3-job"), list(WORDS)
    for split, numbers in (("train", range(ROWS - 40)), ("test", range(ROWS - 40, ROWS))):
        lines = [json.dumps({"id": i, "text": f"please {words[i % 3]} my account {i % 7}", "label": WORDS[words[i % 3]]}) for i in numbers]
        put(f"sources/{split}/messages.jsonl", "\n".join(lines).encode())
    sources = [{"format": "jsonl", "path": f"s3a://{BUCKET}/sources/{split}", "split": split} for split in ("train", "test")]
    settings = [
        f"data={{table: messages, root: 's3a://{BUCKET}/lake', validation_fraction: 0.2, sources: {json.dumps(sources)}}}",
        f"model={{base: {tiny_model_dir(folder)}, dropout: 0.0}}", "text.max_length=32",
        "train={epochs: 8, batch_size: 16, learning_rate: 0.004, patience: null}",
        f"launch={{ranks: 2, checkpoint_steps: 4, run_dir: 's3://{BUCKET}/runs'}}",
        f"tracking={{uri: '{mlflow_server.uri}', gate: alias}}", "score.precision=float32",
    ]  # fmt: skip
    config = load_config(None, settings)
    run_ingest(config, s3_spark)
    return config, run_train(config, s3_spark)


def test_all_of_it_lies_on_s3(trained: tuple[Config, TrainOutcome]) -> None:
    config, outcome = trained
    assert outcome.verdict.moved and outcome.model.display == "classification-messages/1"
    assert outcome.manifest.path.startswith(f"s3://{BUCKET}/runs/_snapshots/") and outcome.result.best_dir.startswith(
        f"s3://{BUCKET}/runs/"
    )
    assert keys("lake/messages/_delta_log/0") and keys("runs/_snapshots/") and keys("mlflow/")
    store = connect(config.tracking)
    assert store.artifacts.startswith("mlflow-artifacts:"), "by way of the server"


def test_each_row_is_scored_once(s3_spark: SparkSession, trained: tuple[Config, TrainOutcome]) -> None:
    config, _ = trained
    first, again = run_score(config, s3_spark), run_score(config, s3_spark)
    assert (first.scored, first.ok, again.scored, again.output_version) == (ROWS, ROWS, 0, first.output_version)
    predictions = s3_spark.read.format("delta").load(f"s3a://{BUCKET}/lake/messages_predictions")
    assert sorted(row.id for row in predictions.select("id").collect()) == list(range(ROWS))


def test_it_is_evaluated(s3_spark: SparkSession, trained: tuple[Config, TrainOutcome]) -> None:
    result: Any = run_evaluate(trained[0], s3_spark)
    assert result.rows == 40
