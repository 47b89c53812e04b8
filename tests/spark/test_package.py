"""An NER model that was not trained here: packaged, loaded where this project is not, and scored with like any other."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest
import yaml

from sparknlp_ft.cli import main
from sparknlp_ft.config import Config, TrackingConfig, load_config
from sparknlp_ft.errors import ConfigError, ModelError
from sparknlp_ft.pipelines.evaluate import run_evaluate
from sparknlp_ft.pipelines.package import Packaged, run_package
from sparknlp_ft.pipelines.score import run_score
from sparknlp_ft.tracking import store
from sparknlp_ft.tracking.downloaded import model_folder
from tests.tiny import tiny_foreign_dir, tiny_texts

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PROCESSING = """
import re

import pandas as pd


def preprocess(frame):
    if frame["content"].str.contains("boom").any():
        raise ValueError("no booms")
    return frame.assign(content=frame["content"].map(lambda text: re.sub(r"[A-Z]", lambda match: match[0].lower(), text)))


def postprocess(frame, predictions):
    assert not frame["content"].str.contains("[A-Z]").any()
    if frame["content"].str.contains("bang").any():
        raise RuntimeError("bang")
    return predictions.assign(n_entities=predictions["entities"].map(len))
"""

LONG = " ".join(tiny_texts(40, seed=3))
TEXTS = [*[text.title() for text in tiny_texts(20)], None, "", "The BOOM boom", "Card bang", LONG]


@dataclass(frozen=True)
class World:
    folder: Path
    tracking: TrackingConfig
    packaged: Packaged

    def config(self, *overrides: str) -> Config:
        return load_config(
            None,
            [
                f"data.root={self.folder}/lake",
                f"tracking.uri={self.tracking.uri}",
                "data.task=token_classification",
                "score.allow_code=true",
                *overrides,
            ],
        )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("package")
    model = tiny_foreign_dir(folder, "AutoModelForTokenClassification", ["I-PER", "B-PER", "O", "I-LOC", "B-LOC"])
    (folder / "mine.py").write_text(PROCESSING)
    settings = {
        "package": {"model": str(model), "task": "token_classification", "name": "ner", "processing": str(folder / "mine.py")},
        "tracking": {"uri": f"sqlite:///{folder}/mlflow.db"},
    }
    settings["package"] |= {"output": "*, n_entities int", "example": ["My Card", "please help"]}
    (folder / "package.yaml").write_text(yaml.safe_dump(settings))
    config = load_config(folder / "package.yaml", need_table=False)
    yield World(folder, config.tracking, run_package(config))


@pytest.fixture(scope="module")
def downloaded(world: World) -> Path:
    return store.download_model(store.connect(world.tracking), world.packaged.model, world.folder / "downloaded")


def test_what_is_registered(world: World, downloaded: Path) -> None:
    assert world.packaged.model.display == "ner/1"
    assert "score    sparknlp-ft score data.table=TABLE data.task=token_classification score.model=ner/1 score.allow_code=true" in str(
        world.packaged
    )
    connected = store.connect(world.tracking)
    run = connected.client.get_run(world.packaged.model.run_id)
    assert run.info.status == "FINISHED" and run.data.tags["packaged"] == "true" and run.data.tags["task"] == "token_classification"
    assert run.data.tags["source_folder"] == str(world.folder / "foreign-bert")
    assert dict(connected.client.get_registered_model("ner").aliases) == {}, "no alias was asked for"
    model = yaml.safe_load((downloaded / "MLmodel").read_text())
    assert json.loads(model["signature"]["inputs"]) == [{"name": "content", "required": True, "type": "string"}]
    outputs = [column["name"] for column in json.loads(model["signature"]["outputs"])]
    assert outputs == ["entities", "n_entities", "status", "error", "truncated"]
    assert json.loads((downloaded / "input_example.json").read_text())["columns"] == ["id", "content"]
    pinned = (downloaded / "requirements.txt").read_text().split()
    assert all("==" in line for line in pinned) and any(line.startswith("transformers==") for line in pinned)
    inside = {path.name for path in model_folder(downloaded).iterdir()}
    assert {"processing.py", "model.safetensors", "tokenizer.json", "sparknlp_ft.json"} <= inside
    assert not [path for path in downloaded.rglob("*") if path.suffix in {".pkl", ".bin", ".pt", ".pyc"}]


def test_it_predicts_without_the_source_tree_and_keeps_all_columns(world: World, downloaded: Path, tmp_path: Path) -> None:
    code = """
import sys
sys.path = [p for p in sys.path if not p.rstrip("/").endswith("/src") and "__editable__" not in p]
sys.meta_path = [f for f in sys.meta_path if "editable" not in getattr(f, "__module__", "") + getattr(f, "__name__", "").lower()]
import json, mlflow, pandas as pd
frame = pd.DataFrame(
    {"id": [1, 2, 3, 4], "content": ["MY Card", None, "The boom", "please help"], "extra": [[1], None, "x", 2.5]}, index=[9, 7, 8, 7]
)
before = frame.copy(deep=True)
result = mlflow.pyfunc.load_model(sys.argv[1]).predict(frame)
pd.testing.assert_frame_equal(frame, before)
pd.testing.assert_frame_equal(result[["id", "content", "extra"]], before)
print(json.dumps({"where": sys.modules["sparknlp_ft"].__file__, "index": result.index.tolist(), "rows": result.to_dict("records")}))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(downloaded)], capture_output=True, text=True, cwd=tmp_path, env={"PATH": "/usr/bin:/bin"}
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["where"].startswith(str(downloaded)) and said["index"] == [9, 7, 8, 7]
    rows = said["rows"]
    assert list(rows[0]) == ["id", "content", "extra", "entities", "n_entities", "status", "error", "truncated"]
    assert [row["status"] for row in rows] == ["ok", "empty", "error", "ok"]
    assert rows[2]["error"] == "preprocess raised ValueError: no booms"
    for row in (rows[0], rows[3]):
        assert row["n_entities"] == len(row["entities"])
        assert all(row["content"].lower()[one["start"] : one["end"]] == one["text"] for one in row["entities"])
        assert {one["label"] for one in row["entities"]} <= {"PER", "LOC"}
    assert rows[1]["entities"] is None and rows[2]["entities"] is None


def test_a_column_called_like_a_prediction_is_kept_too(downloaded: Path) -> None:
    import mlflow

    model = mlflow.pyfunc.load_model(str(downloaded))
    result = model.predict(pd.DataFrame({"content": ["my card"], "status": ["mine"]}))
    assert result["status"].tolist() == ["mine"] and result["prediction_status"].tolist() == ["ok"]
    served = model.predict([{"id": 1, "content": "my card"}])  # as MLflow's server hands on {"inputs": […]}
    assert served["id"].tolist() == [1] and served["status"].tolist() == ["ok"]
    with pytest.raises(Exception, match="column 'content' is not in the input"):
        model.predict(pd.DataFrame({"text": ["my card"]}))


def test_a_table_is_scored_with_it_once(spark: SparkSession, world: World) -> None:
    rows = [(i, text, f"title {i}") for i, text in enumerate(TEXTS)]
    frame = spark.createDataFrame(rows, "id long, content string, text string")
    frame.write.format("delta").save(str(world.folder / "lake" / "articles"))
    config = world.config("data.table=articles", "score.model=ner/1", "score.max_error_fraction=0.2")
    with pytest.raises(ModelError, match=r"model ner/1 is not used: .* processing.py \(sha256 \w+\), .* set score.allow_code=true"):
        run_score(world.config("data.table=articles", "score.model=ner/1", "score.allow_code=false"), spark)
    first = run_score(config, spark)
    assert (first.rows_in, first.scored, first.ok, first.empty, first.errors, first.truncated) == (25, 25, 21, 2, 2, 0)
    table = spark.read.format("delta").load(str(world.folder / "lake" / "articles_predictions"))
    assert table.columns[:6] == ["id", "entities", "n_entities", "status", "error", "truncated"]
    assert dict(table.dtypes)["n_entities"] == "int"
    found = {row["id"]: row for row in table.collect()}
    assert all(row["n_entities"] == len(row["entities"]) for row in found.values() if row["status"] == "ok")
    texts = [TEXTS[i].lower()[one["start"] : one["end"]] for i, row in found.items() for one in row["entities"] or ()]
    assert texts == [one["text"] for row in found.values() for one in row["entities"] or ()] and texts, (
        "of the column content, in lower case"
    )
    assert found[22]["error"] == "preprocess raised ValueError: no booms" and found[23]["error"] == "postprocess raised RuntimeError: bang"
    assert max(one["end"] for one in found[24]["entities"]) > len(LONG) / 2, "a long text is not cut"
    again = run_score(config, spark)
    assert (again.scored, again.skipped) == (0, 25) and again.output_version == first.output_version


def test_a_table_may_call_its_text_otherwise(spark: SparkSession, world: World) -> None:
    frame = spark.createDataFrame([(1, "My Card", "no"), (2, "please help", "no")], "id long, body string, note string")
    frame.write.format("delta").save(str(world.folder / "lake" / "mapped"))
    assert run_score(world.config("data.table=mapped", "score.model=ner/1", "data.columns={text: body}"), spark).ok == 2
    with pytest.raises(Exception, match="column 'content' for role 'text' is not in the table"):
        run_score(world.config("data.table=mapped", "score.model=ner/1"), spark)
    frame.withColumnRenamed("body", "text").write.format("delta").save(str(world.folder / "lake" / "plain"))
    assert run_score(world.config("data.table=plain", "score.model=ner/1"), spark).ok == 2


def test_it_can_be_evaluated_as_long_as_it_says_what_the_task_asks(spark: SparkSession, world: World) -> None:
    rows = [(i, text, [], "test") for i, text in enumerate(tiny_texts(6))] + [(9, "my card", [(0, 2, "PER")], "test")]
    schema = "id long, content string, entities array<struct<start:int,end:int,label:string>>, split string"
    spark.createDataFrame(rows, schema).write.format("delta").save(str(world.folder / "lake" / "labelled"))
    config = world.config("data.table=labelled", "score.model=ner/1", "data.columns={text: content}")
    assert run_evaluate(config, spark).rows == 7
    (world.folder / "other.py").write_text("def postprocess(frame, predictions):\n    return predictions[[]].assign(n=1)\n")
    own = [
        f"package.{key}={value}" for key, value in {"name": "counter", "processing": world.folder / "other.py", "output": "n int"}.items()
    ]
    packaged = run_package(load_config(world.folder / "package.yaml", [*own, "package.alias=live"], need_table=False))
    assert "alias    live → counter/1" in str(packaged)
    with pytest.raises(ConfigError, match="cannot be evaluated: its own postprocess writes 'n int'"):
        run_evaluate(world.config("data.table=labelled", "score.model=counter@live", "data.columns={text: content}"), spark)


def test_a_classifier_needs_no_functions(spark: SparkSession, world: World, capsys: pytest.CaptureFixture[str]) -> None:
    model = tiny_foreign_dir(world.folder / "more", "AutoModelForSequenceClassification", ["positive", "negative"], arch="distilbert")
    assert main(["package", f"package.model={model}", "package.name=mood", f"tracking.uri={world.tracking.uri}"]) == 0
    assert "score    sparknlp-ft score data.table=TABLE data.task=classification score.model=mood/1" in capsys.readouterr().out
    frame = spark.createDataFrame([(i, text) for i, text in enumerate(tiny_texts(5))], "id long, content string")
    frame.write.format("delta").save(str(world.folder / "lake" / "moods"))
    result = run_score(world.config("data.table=moods", "data.task=classification", "score.model=mood/1"), spark)
    assert result.ok == 5
    table = spark.read.format("delta").load(str(world.folder / "lake" / "moods_predictions"))
    assert {row["label"] for row in table.collect()} <= {"positive", "negative"}
