"""Every task family through the whole way on one session: Delta table → train → register → score twice → evaluate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
from pyspark.sql import functions as F

from sparknlp_ft.config import Config
from sparknlp_ft.pipelines.evaluate import run_evaluate
from sparknlp_ft.pipelines.score import run_score
from sparknlp_ft.pipelines.train import run_train
from sparknlp_ft.steps import pairs
from sparknlp_ft.tasks import get_task
from tests.families import rows_of
from tests.tiny import tiny_model_dir

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: Columns of each family's table, as a user would have them.
TABLES = {
    "multi_label": "id bigint, split string, text string, labels array<string>",
    "regression": "id bigint, split string, text string, target double",
    "token_classification": "id bigint, split string, text string, entities array<struct<start:int,end:int,label:string>>",
    "question_answering": "id bigint, split string, question string, context string, answers array<struct<text:string,start:int>>",
    "summarization": "id bigint, split string, text string, summary array<string>",
}
ROWS = 120


def record(family: str, number: int, row: tuple[str, str | None, str]) -> tuple[Any, ...]:
    target = json.loads(row[2])
    if family == "token_classification":
        target = [(one["start"], one["end"], one["label"]) for one in target]
    if family == "question_answering":
        target = [(one["text"], one["start"]) for one in target]
    split = "test" if number % 5 == 0 else "train"
    texts = row[:2] if row[1] is not None else row[:1]
    return (number, split, *texts, target)


@pytest.mark.parametrize("family", TABLES)
def test_whole_way(spark: SparkSession, tmp_path: Path, family: str) -> None:
    task = get_task(family)
    records = [record(family, number, row) for number, row in enumerate(rows_of(family, ROWS))]
    records.append((ROWS, "test", *[None] * (len(records[0]) - 3), None))  # a row without text: marked, not lost
    frame = spark.createDataFrame(records, TABLES[family])
    frame.write.format("delta").save(str(tmp_path / "lake" / "rows"))
    base = tiny_model_dir(tmp_path, "t5" if family == "summarization" else "bert")
    config = Config.model_validate(
        {
            "data": {"task": family, "table": "rows", "root": str(tmp_path / "lake"), "validation_fraction": 0.2},
            "model": {"base": str(base), "dropout": 0.0},
            "text": {"max_length": 24},
            "train": {"epochs": 3, "batch_size": 16, "lanes": 2, "learning_rate": 0.01, "patience": None, "precision": "float32"},
            "generate": {"max_new_tokens": 5},
            "launch": {"backend": "solo", "ranks": 1, "run_dir": str(tmp_path / "runs")},
            "tracking": {"uri": f"sqlite:///{tmp_path}/mlflow.db", "artifacts": str(tmp_path / "artifacts")},
            "score": {"model": f"{family}-rows/1", "precision": "float32"},
        }
    )
    outcome = run_train(config, spark)
    assert outcome.model.display == f"{family}-rows/1"
    # The gate evaluates the registered model through the UDF on the rows that training evaluated in its ranks.
    assert outcome.verdict.validation[task.default_metric] == pytest.approx(outcome.result.best_metrics[task.default_metric], abs=1e-5)

    first = run_score(config, spark)
    assert (first.scored, first.ok, first.empty, first.errors) == (ROWS + 1, ROWS, 1, 0)
    assert run_score(config, spark).scored == 0
    predictions = spark.read.format("delta").load(str(tmp_path / "lake" / "rows_predictions"))
    name = task.prediction_fields.split()[0]
    assert predictions.where(F.col("status") == "ok").select(name).dropna().count() == ROWS
    if family == "token_classification":
        joined = predictions.select("id", F.explode("entities").alias("e")).join(frame, "id")
        assert joined.where(F.expr("substring(text, e.start + 1, e.end - e.start) != e.text")).count() == 0

    report = run_evaluate(config, spark)
    assert report.metrics[task.default_metric] == pytest.approx(outcome.verdict.test[task.default_metric])
    assert (report.rows, report.unlabelled) == (ROWS // 5, 1)
    # As of a table with more rows than are kept one by one: sums come to the driver, and say the same.
    with mock.patch.object(pairs, "MOST_EACH", 0), mock.patch.object(pairs, "MOST_GROUPS", 0):
        summed = run_evaluate(config, spark)
    assert summed.metrics == pytest.approx(report.metrics, rel=1e-9) and (summed.rows, summed.unlabelled) == (ROWS // 5, 1)
    assert not summed.spread and report.spread
    assert task.keys is None or len(summed.outcomes["weight"]) <= 2
