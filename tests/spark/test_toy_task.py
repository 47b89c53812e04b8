"""A task that another package brings in one file goes through all commands: nothing else knows of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pyspark.sql import functions as F

from sparknlp_ft.config import Config, load_config
from sparknlp_ft.pipelines.compare import run_compare
from sparknlp_ft.pipelines.evaluate import run_evaluate
from sparknlp_ft.pipelines.ingest import run_ingest
from sparknlp_ft.pipelines.package import run_package
from sparknlp_ft.pipelines.promote import run_promote
from sparknlp_ft.pipelines.score import run_score
from sparknlp_ft.pipelines.train import TrainOutcome, run_train
from sparknlp_ft.tasks import get_task
from tests.tiny import tiny_foreign_dir, tiny_model_dir, tiny_texts

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROWS, TEST_ROWS = 120, 30


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    folder = tmp_path_factory.mktemp("toy")
    texts = tiny_texts(ROWS + TEST_ROWS, longest=12)
    lines = [f"{text} !!!,loud" if i % 2 else f"{text},calm" for i, text in enumerate(texts)]
    for name, rows in (("train", lines[:ROWS]), ("test", lines[ROWS:])):
        (folder / f"{name}.csv").write_text("\n".join(["text,mood", *rows]) + "\n")
    sources = ", ".join(f"{{format: csv, path: {folder / name}.csv, split: {name}}}" for name in ("train", "test"))
    settings = [
        f"data={{task: loudness, table: texts, root: {folder / 'lake'}, validation_fraction: 0.2, sources: [{sources}]}}",
        f"model={{base: {tiny_model_dir(folder)}, dropout: 0.0}}",
        "text.max_length=24",
        "train={epochs: 6, batch_size: 16, lanes: 2, learning_rate: 0.01, patience: null}",
        f"launch={{backend: solo, ranks: 1, run_dir: {folder / 'runs'}}}",
        f"tracking.uri=sqlite:///{folder}/store/mlflow.db",
        "score={model: loudness-texts/1, precision: float32}",
    ]
    return load_config(None, settings)


@pytest.fixture(scope="module")
def trained(spark: SparkSession, config: Config) -> TrainOutcome:
    profile = run_ingest(config, spark)
    assert profile.labels == {"calm": (ROWS + TEST_ROWS) // 2, "loud": (ROWS + TEST_ROWS) // 2}
    return run_train(config, spark)


def test_it_is_trained_and_judged(trained: TrainOutcome) -> None:
    assert trained.model.display == "loudness-texts/1"
    assert trained.verdict.metric == "accuracy" and trained.verdict.moved
    assert trained.verdict.new == pytest.approx(trained.result.best_metrics["accuracy"])
    assert "majority" in trained.verdict.rival and trained.verdict.rival_value < trained.verdict.new


def test_it_is_scored_with_once(spark: SparkSession, config: Config, trained: TrainOutcome) -> None:
    first = run_score(config, spark)
    assert (first.scored, first.ok, first.errors) == (ROWS + TEST_ROWS, ROWS + TEST_ROWS, 0)
    assert run_score(config, spark).scored == 0
    predictions = spark.read.format("delta").load(f"{config.data.root}/texts_predictions")
    assert predictions.columns[1:3] == ["mood", "certainty"]
    assert predictions.where(F.col("mood").isin("calm", "loud") & F.col("certainty").between(0.5, 1.0)).count() == ROWS + TEST_ROWS


def test_it_is_evaluated_and_promoted(spark: SparkSession, config: Config, trained: TrainOutcome) -> None:
    report = run_evaluate(config, spark)
    assert (report.rows, report.matrix, report.table, report.unknown) == (TEST_ROWS, None, None, ())
    assert report.metrics == {"accuracy": pytest.approx(trained.verdict.test["accuracy"])}
    verdict = run_promote(config, spark).verdict
    assert not verdict.moved, "the alias points at this model already"
    assert verdict.new == verdict.rival_value == pytest.approx(trained.verdict.new)


def test_it_is_compared_without_a_baseline_of_its_own(spark: SparkSession, config: Config, trained: TrainOutcome) -> None:
    assert get_task("loudness").baselines() == ()
    [entry] = run_compare(config, spark).entries
    assert entry.kind == "model" and entry.validation["accuracy"] == pytest.approx(trained.verdict.new, abs=0.1)


def test_a_model_of_another_origin_is_packaged_for_it(spark: SparkSession, config: Config, trained: TrainOutcome) -> None:
    model = tiny_foreign_dir(Path(config.launch.run_dir).parent / "elsewhere", "AutoModelForSequenceClassification", ["loud"])
    package = config.package.model_copy(update={"model": str(model), "name": "heard", "text_columns": {"text": "text"}})
    packaged = run_package(config.model_copy(update={"package": package}))
    assert (packaged.model.display, packaged.meta.task, packaged.meta.labels) == ("heard/1", "loudness", ("calm", "loud"))
    score = config.score.model_copy(update={"model": "heard/1", "output": "heard"})
    assert run_score(config.model_copy(update={"score": score}), spark).ok == ROWS + TEST_ROWS
