"""MLflow's server over HTTP, with a database, and artifacts that it hands on: the commands as a user types them."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sparknlp_ft.cli import main
from sparknlp_ft.config import TrackingConfig
from sparknlp_ft.pipelines import train
from sparknlp_ft.tracking import patience
from sparknlp_ft.tracking.store import connect, find_alias
from tests.servers import MlflowServer, S3Server
from tests.services.conftest import BUCKET, keys
from tests.tiny import tiny_model_dir

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROWS, NAME = 120, "classification-texts"
WORDS = {"lost": "card", "charged": "fee", "transfer": "money"}


@pytest.fixture(scope="module")
def folder(s3_spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of its own, and a base model beside it."""
    place, words = tmp_path_factory.mktemp("mlflow-job"), list(WORDS)
    with (place / "texts.csv").open("w", newline="") as stream:
        rows = [
            (i, f"please {words[i % 3]} my account {i % 7}", WORDS[words[i % 3]], "test" if i % 5 == 0 else "train") for i in range(ROWS)
        ]
        csv.writer(stream).writerows([("id", "text", "label", "split"), *rows])
    tiny_model_dir(place)
    assert main(["ingest", *settings(place), f"data.sources=[{{format: csv, path: {place / 'texts.csv'}}}]"]) == 0
    return place


def settings(folder: Path, *more: str) -> list[str]:
    return [
        "data.table=texts", f"data.root={folder / 'lake'}", f"model={{base: {folder / 'tiny-bert'}, dropout: 0.0}}", "text.max_length=32",
        "train={epochs: 8, batch_size: 16, learning_rate: 0.004, patience: null}",
        f"launch={{backend: solo, ranks: 1, run_dir: {folder / 'runs'}}}", "tracking.gate=alias", "score.precision=float32", *more,
    ]  # fmt: skip


@pytest.mark.parametrize("artifacts", [None, f"s3://{BUCKET}/direct"], ids=["by way of the server", "straight to S3"])
def test_train_register_score_evaluate(
    folder: Path, mlflow_server: MlflowServer, capsys: pytest.CaptureFixture[str], artifacts: str | None
) -> None:
    tracking = {
        "uri": mlflow_server.uri,
        "artifacts": artifacts,
        "gate": "alias",
        "experiment": "server" if artifacts is None else "direct",
    }
    given = settings(folder, f"tracking={json.dumps(tracking)}", f"tracking.model_name={NAME}-{tracking['experiment']}")
    for command in ("train", "score", "evaluate"):
        assert main([command, *given]) == 0, capsys.readouterr().err
    told = capsys.readouterr().out
    assert f"champion → {NAME}-{tracking['experiment']}/1" in told and "status       ok 120, empty 0, error 0" in told
    store = connect(TrackingConfig(**tracking))
    assert store.artifacts.startswith("mlflow-artifacts:" if artifacts is None else artifacts)
    model = find_alias(store, f"{NAME}-{tracking['experiment']}", "champion")
    assert model is not None and model.version == "1"
    run = store.client.get_run(model.run_id)
    assert run.info.status == "FINISHED" and run.data.metrics["test/accuracy"] > 0.9
    assert [key for key in keys("mlflow/" if artifacts is None else "direct/") if key.endswith("/model.safetensors")]


def test_artifacts_that_cannot_be_stored_lose_no_model(
    folder: Path, s3: S3Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server is there, and the storage behind it is gone when the model is to be logged."""
    monkeypatch.setattr(patience, "LAST_PATIENCE", 4.0)
    monkeypatch.setattr(patience, "PATIENCE", 4.0)
    storage = S3Server(tmp_path / "storage")
    server = MlflowServer(tmp_path / "server", f"s3://{BUCKET}/mlflow", {**storage.settings, "AWS_MAX_ATTEMPTS": "1"})
    given, log = settings(folder, f"tracking.uri={server.uri}", "train.seed=7"), train.log_result

    def storage_gone(*args: Any) -> Any:
        storage.kill()
        return log(*args)

    try:
        server.start()
        begin(storage)
        with monkeypatch.context() as patch:
            patch.setattr(train, "log_result", storage_gone)
            assert main(["train", *given]) == 2
        [line] = [line for line in capsys.readouterr().err.splitlines() if line.startswith("sparknlp-ft train: ")]
        [best] = [path.parent for path in folder.glob("runs/*/best-*/config.json") if not (path.parents[1] / "closed.json").exists()]
        assert f"its model is safe in '{best}': the same command registers it once the store answers, and does not train again" in line
        begin(storage)
        assert main(["train", *given]) == 0
        told = capsys.readouterr()
        assert "is finished already" in told.err and f"champion → {NAME}/1" in told.out
    finally:
        server.kill()
        storage.kill()


def begin(storage: S3Server) -> None:
    storage.start()
    storage.make_bucket(BUCKET)
