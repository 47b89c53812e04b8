"""Runs, the logged model, the registry and what is said when a model is not there: all against a SQLite store."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from sparknlp_ft.config import Config, TrackingConfig
from sparknlp_ft.errors import ModelError
from sparknlp_ft.tables.delta import Pinned, TableRef
from sparknlp_ft.tracking import store
from sparknlp_ft.tracking.downloaded import Trust, load_logged_engine, model_folder
from sparknlp_ft.tracking.logged import log_model
from sparknlp_ft.tracking.registry import resolve_model
from tests.tiny import tiny_classifier_dir, tiny_texts

TEXTS = pd.DataFrame({"text": tiny_texts(3), "other": [1, 2, 3]}, index=[7, 8, 9])


@pytest.fixture(scope="module")
def connected(tmp_path_factory: pytest.TempPathFactory) -> Iterator[store.Store]:
    yield store.connect(TrackingConfig(experiment="unit tests"), cwd=tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def logged(connected: store.Store, tmp_path_factory: pytest.TempPathFactory) -> store.ModelRef:
    folder = tiny_classifier_dir(tmp_path_factory.mktemp("model"))
    with store.start_run(connected, "a model", system_metrics=False) as run:
        return log_model(run, folder, text_roles=("text",), example=TEXTS)


@pytest.fixture(scope="module")
def registered(connected: store.Store, logged: store.ModelRef) -> store.ModelRef:
    return store.register(connected, logged, "intents", tags={"table": "support"})


def test_default_store_is_absolute_and_says_where_artifacts_go(connected: store.Store) -> None:
    folder = Path(connected.uri.removeprefix("sqlite:///")).parent
    assert folder.is_absolute() and folder.name == "mlflow"
    assert connected.artifacts == f"{folder}/artifacts/unit_tests"


def test_run_keeps_settings_metrics_and_table(connected: store.Store) -> None:
    config = Config.model_validate(
        {
            "data": {"table": "t", "columns": {"text": "x" * 600}},
            "launch": {"env": {"TOKEN": "hush"}},
            "tracking": {"uri": "http://me:hush@host"},
        }
    )
    with store.start_run(connected, "a run", tags={"task": "classification"}, system_metrics=False) as run:
        run.log_settings(config.flat(), config.model_dump(mode="json"))
        for step in range(2500):
            run.log_metrics({"train/loss": 1 / (step + 1), "train/bad": float("nan")}, step=step)
        run.log_metrics({"validation/accuracy": 0.5}, step=1)
        run.log_table(Pinned(TableRef("path", "/lake/t"), "0f1e2d3c-aaaa-bbbb-cccc-0123456789ab", 3))
        run.log_text("report", "report.txt")
    found = connected.client.get_run(run.run_id)
    assert found.info.status == "FINISHED" and found.data.tags["task"] == "classification"
    params = found.data.params
    assert set(params) == set(config.flat()) and len(params["data.columns.text"]) == 500
    whole = json.loads(Path(connected.client.download_artifacts(run.run_id, "config.json")).read_text())
    assert whole["data"]["columns"]["text"] == "x" * 600
    assert "hush" not in json.dumps(whole) + json.dumps(params)
    assert len(connected.client.get_metric_history(run.run_id, "train/loss")) == 2500
    assert found.data.metrics["validation/accuracy"] == 0.5
    (used,) = found.inputs.dataset_inputs
    source = json.loads(used.dataset.source)
    assert used.dataset.source_type == "delta_table" and source["delta_table_version"] == 3 and source["path"] == "/lake/t"


def test_run_that_raises_is_marked_failed_and_keeps_its_metrics(connected: store.Store) -> None:
    with pytest.raises(RuntimeError), store.start_run(connected, "broken", system_metrics=False) as run:
        run.log_metrics({"loss": 1.0})
        raise RuntimeError("no")
    found = connected.client.get_run(run.run_id)
    assert found.info.status == "FAILED" and found.data.metrics == {"loss": 1.0}


def test_logged_model_holds_what_it_needs_and_no_pickle(connected: store.Store, logged: store.ModelRef, tmp_path: Path) -> None:
    import yaml

    downloaded = store.download_model(connected, logged, tmp_path)
    files = {str(path.relative_to(downloaded)) for path in downloaded.rglob("*") if path.is_file()}
    assert not [name for name in files if name.endswith((".pkl", ".pickle", ".bin", ".pt", ".pyc"))]
    assert "code/sparknlp_ft/tracking/pyfunc.py" in files and "input_example.json" in files
    model = yaml.safe_load((downloaded / "MLmodel").read_text())
    assert model["flavors"]["python_function"]["loader_module"] == "sparknlp_ft.tracking.pyfunc"
    assert json.loads(model["signature"]["inputs"]) == [{"name": "text", "required": True, "type": "string"}]
    outputs = {column["name"]: column["type"] for column in json.loads(model["signature"]["outputs"])}
    assert outputs == {"label": "string", "score": "double", "scores": "map", "status": "string", "error": "string", "truncated": "boolean"}
    pinned = (downloaded / "requirements.txt").read_text().split()
    assert all("==" in line and "+" not in line for line in pinned) and any(line.startswith("torch==") for line in pinned)
    assert (model_folder(downloaded) / "sparknlp_ft.json").is_file()


def test_loaded_model_predicts_rows_in_order(connected: store.Store, logged: store.ModelRef, tmp_path: Path) -> None:
    import mlflow

    model = mlflow.pyfunc.load_model(str(store.download_model(connected, logged, tmp_path)))
    frame = pd.DataFrame({"n": [1, 2, 3, 4], "text": [TEXTS["text"][9], None, " ", TEXTS["text"][7]]}, index=list("abcd"))
    result = model.predict(frame)
    assert result.index.tolist() == list("abcd") and result["status"].tolist() == ["ok", "empty", "empty", "ok"]
    straight = model.predict(TEXTS)
    assert result["label"][["a", "d"]].tolist() == straight["label"][[9, 7]].tolist()
    assert set(straight["scores"][7]) == {"bad", "good", "ugly"}


def test_worker_loads_the_engine_with_the_jobs_settings(connected: store.Store, logged: store.ModelRef, tmp_path: Path) -> None:
    folder = store.download_model(connected, logged, tmp_path)
    engine = load_logged_engine("cpu", downloaded=str(folder), trust=Trust(), batch_tokens=77, precision="float32")
    assert engine.batch_tokens == 77 and engine.model.labels == ("bad", "good", "ugly")  # type: ignore[union-attr]


def test_model_loads_without_the_source_tree(connected: store.Store, logged: store.ModelRef, tmp_path: Path) -> None:
    """In a process that cannot import the package: the code beside the model is what runs."""
    downloaded = store.download_model(connected, logged, tmp_path)
    code = """
import sys
sys.path = [p for p in sys.path if not p.rstrip("/").endswith("/src") and "__editable__" not in p]
sys.meta_path = [f for f in sys.meta_path if "editable" not in getattr(f, "__module__", "") + getattr(f, "__name__", "").lower()]
import mlflow, pandas as pd
print(mlflow.pyfunc.load_model(sys.argv[1]).predict(pd.DataFrame({"text": ["my card"]}))["status"][0], sys.modules["sparknlp_ft"].__file__)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(downloaded)],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin"},
    )
    status, where = done.stdout.split()
    assert status == "ok" and where.startswith(str(downloaded))


def test_alias_is_resolved_to_one_version(connected: store.Store, registered: store.ModelRef) -> None:
    assert store.find_alias(connected, "intents", "champion") is None
    store.set_alias(connected, registered, "champion")
    resolved = resolve_model(connected, "intents@champion")
    assert resolved == registered and resolved.display == "intents/1" and resolved.uri == "models:/intents/1"
    for spec in ("models:/intents@champion", "intents/1", "models:/intents/1"):
        assert resolve_model(connected, spec) == registered
    assert resolve_model(connected, f"runs:/{registered.run_id}/model").run_id == registered.run_id


def test_what_was_logged_and_registered_before_is_taken(connected: store.Store, logged: store.ModelRef, registered: store.ModelRef) -> None:
    """As when a job is started again that was cut off before it could judge its model."""
    run = store.open_run(connected, logged.run_id)
    assert log_model(run, "not read again", text_roles=("text",), example=TEXTS) == logged
    assert store.register(connected, logged, "intents") == registered
    assert len(connected.client.search_model_versions("name='intents'")) == 1


def test_a_run_that_goes_on_keeps_its_settings(connected: store.Store) -> None:
    with pytest.raises(RuntimeError), store.start_run(connected, "cut off", system_metrics=False) as run:
        run.log_settings({"launch.ranks": 2})
        raise RuntimeError("killed")
    with store.start_run(connected, "again", system_metrics=False, earlier=run.run_id) as again:
        again.log_settings({"launch.ranks": 1, "train.seed": 3})
    found = connected.client.get_run(run.run_id)
    assert again.run_id == run.run_id and found.data.params == {"launch.ranks": "2", "train.seed": "3"}
    assert found.info.status == "FINISHED"


def test_a_run_whose_store_is_gone_at_the_end_is_told_and_fails_nothing(
    connected: store.Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import mlflow

    def gone(status: str) -> None:
        raise ConnectionRefusedError(111, "Connection refused")

    end = mlflow.end_run
    with caplog.at_level("WARNING", logger="sparknlp_ft"), store.start_run(connected, "a run") as run:
        monkeypatch.setattr(mlflow, "end_run", gone)
    assert f"MLflow run {run.run_id} could not be ended as FINISHED (Connection refused)" in caplog.text
    end()


def test_registered_version_downloads(connected: store.Store, registered: store.ModelRef, tmp_path: Path) -> None:
    assert (model_folder(store.download_model(connected, registered, tmp_path)) / "model.safetensors").is_file()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("intent@champion", r"no registered model 'intent'.*Did you mean 'intents'\?"),
        ("intents@challenger", r"'intents' has no alias 'challenger'. Versions: 1"),
        ("intents/9", r"'intents' has no version 9"),
        ("runs:/0123456789abcdef0123456789abcdef/model", "there is no run"),
        ("intents", "does not name a model"),
        ("a/b/c", "does not name a model"),
    ],
)
def test_a_model_that_is_not_there(connected: store.Store, registered: store.ModelRef, spec: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        resolve_model(connected, spec)


def test_find_alias_of_a_model_that_is_not_there(connected: store.Store) -> None:
    assert store.find_alias(connected, "nothing", "champion") is None
