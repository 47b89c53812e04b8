"""The whole job with everything on S3: sources, tables, snapshot, run folder and, by way of MLflow's server, models."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sparknlp_ft.cli import main
from sparknlp_ft.config import Config, ModelConfig, SourceConfig, load_config
from sparknlp_ft.models.origin import check_folder, resolve_base
from sparknlp_ft.pipelines.evaluate import run_evaluate
from sparknlp_ft.pipelines.ingest import run_ingest
from sparknlp_ft.pipelines.score import run_score
from sparknlp_ft.pipelines.train import TrainOutcome, run_train
from sparknlp_ft.sources.listing import list_files
from sparknlp_ft.sources.parquet import read_parquet
from sparknlp_ft.storage import Folder
from sparknlp_ft.tracking.store import connect
from tests.servers import MlflowServer, S3Server
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


@pytest.mark.parametrize(
    ("root", "told"),
    [
        (f"s3://{BUCKET}/lake", 'No FileSystem for scheme "s3". Outside Databricks and EMR, Spark calls S3 s3a://: write the address so'),
        ("s3a://absent/lake", "Correct the address, or what Spark is told of the storage: its endpoint, its credentials"),
    ],
)
def test_tables_that_spark_cannot_reach_are_told(
    s3_spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str], root: str, told: str
) -> None:
    (tmp_path / "texts.csv").write_text("id,text,label\n1,a,b\n")
    sources = f"data.sources=[{{format: csv, path: {tmp_path / 'texts.csv'}}}]"
    assert main(["ingest", "data.table=texts", f"data.root={root}", sources]) == 2
    [line] = [line for line in capsys.readouterr().err.splitlines() if line.startswith("sparknlp-ft ingest: ")]
    assert line.startswith(f"sparknlp-ft ingest: '{root}/texts' cannot be reached by Spark: ") and told in line


def test_a_run_folder_that_cannot_be_written_is_told_before_spark_starts(
    s3: S3Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["data.table=texts", f"data.root={tmp_path}", f"model.base={tiny_model_dir(tmp_path)}", "launch.run_dir=s3://absent/runs"]
    assert main(["train", *given]) == 2
    assert "launch.run_dir: 's3://absent/runs' cannot be written: The specified bucket does not exist" in capsys.readouterr().err


def test_what_another_process_writes_is_seen(s3: S3Server) -> None:
    folder = Folder(f"s3://{BUCKET}/shared")
    folder.write_json("a.json", {"count": 1})
    assert folder.names() == ["a.json"] and folder.read_json("a.json") == {"count": 1}
    put("shared/a.json", b'{"count": 1234567}')
    put("shared/b.json", b"{}")
    assert folder.read_json("a.json") == {"count": 1234567} and folder.read_json("b.json") == {}
    assert folder.has("b.json") and folder.names() == ["a.json", "b.json"]
    folder.delete("a.json")
    folder.delete("absent.json")
    assert folder.names() == ["b.json"] and folder.read_json("a.json") is None


def test_a_base_model_on_s3(s3: S3Server, tmp_path: Path) -> None:
    for path in tiny_model_dir(tmp_path).iterdir():
        put(f"models/tiny/{path.name}", path.read_bytes())
    assert check_folder(resolve_base(ModelConfig(base=f"s3://{BUCKET}/models/tiny"))).name == "tiny"


@pytest.mark.parametrize("scheme", ["s3", "s3a"])
def test_parquet_sources(s3_spark: SparkSession, scheme: str) -> None:
    stream = io.BytesIO()
    pq.write_table(pa.table({"text": ["a", "b", "c"]}), stream)
    put("parquet/part.parquet", stream.getvalue())
    files = list_files(SourceConfig(format="parquet", path=f"{scheme}://{BUCKET}/parquet"))
    frame, counts = read_parquet(s3_spark, files)
    assert [rows for *_, rows in counts] == [3] and sorted(row.text for row in frame.select("text").collect()) == ["a", "b", "c"]
