"""Evaluating a registered model on a labelled table gives the metrics one counts by hand, and logs them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sparknlp_ft.errors import ConfigError, DataError, ModelError
from sparknlp_ft.pipelines.evaluate import run_evaluate
from sparknlp_ft.pipelines.score import run_score
from sparknlp_ft.tracking import store
from tests.spark.scoring.conftest import Lake

Rows = Callable[[int], list[tuple]]


def test_metrics_are_those_counted_by_hand_and_are_logged(lake: Lake, support: Rows) -> None:
    rows = [*support(90), (200, None, "good", "test"), (201, "my card", None, "test"), (202, "my pin", "never seen", "test")]
    lake.write("support", rows)
    config = lake.config("support")
    result = run_evaluate(config, lake.spark, split="test")
    run_score(config, lake.spark)
    predicted = {row["id"]: row["label"] for row in lake.read("support_predictions").collect()}
    tests = [row for row in rows if row[3] == "test" and row[2] is not None]
    assert (result.rows, result.unlabelled, result.unscored, result.unknown) == (32, 1, 1, ("never seen",))
    assert result.metrics["accuracy"] == pytest.approx(sum(predicted[row[0]] == row[2] for row in tests) / 32)
    assert result.matrix.to_numpy().sum() == 32
    assert {f"{name}_{mean}" for name in ("precision", "recall", "f1") for mean in ("macro", "micro", "weighted")} <= set(result.metrics)
    printed = str(result)
    assert "mcc" in printed and "most_taken_for" in printed and "tiny/1" in printed

    client = store.connect(lake.tracking).client
    run = client.get_run(result.model.run_id)
    assert run.data.metrics["evaluation/support/test/accuracy"] == pytest.approx(result.metrics["accuracy"])
    folder = Path(client.download_artifacts(result.model.run_id, "evaluation/support-test-version-0", str(lake.root)))
    assert sorted(path.name for path in folder.iterdir()) == ["confusion.png", "labels.csv", "report.html", "report.json", "report.txt"]


def test_the_most_wrong_rows_are_shown_only_if_asked(lake: Lake, support: Rows) -> None:
    lake.write("support", support(60))
    config = lake.config("support")
    plain, asked = (run_evaluate(config, lake.spark, split="all", wrong=wrong) for wrong in (0, 5))
    texts = [row[1] for row in support(60)]
    long = [text for text in texts if len(text) > 40]
    assert plain.wrong is None and long and not any(text in plain._repr_html_() for text in long)
    assert asked.wrong is not None and list(asked.wrong.columns) == ["id", "target", "prediction", "confidence", "text"]
    assert (
        asked.metrics["accuracy"] < 1 - 5 / asked.rows
        and len(asked.wrong.rows) == 5
        and all(row[1] != row[2] and row[4] in texts for row in asked.wrong.rows)
    )
    sure = [row[3] for row in asked.wrong.rows]
    assert sure == sorted(sure, reverse=True)


def test_splits_and_models_can_be_chosen(lake: Lake, support: Rows) -> None:
    lake.write("support", support(30))
    config = lake.config("support")
    everything = run_evaluate(config, lake.spark, split="all", model="tiny/2")
    assert everything.rows == 30 and everything.model.display == "tiny/2"
    reached = everything.metrics["accuracy"]
    assert run_evaluate(config, lake.spark, split="all", model="tiny/2", at_least=[f"accuracy={reached}"]).metrics["accuracy"] == reached
    with pytest.raises(ModelError, match=rf"reaches accuracy {reached:.4f} on .*asks for 1\.01.*artifacts evaluation/support-all"):
        run_evaluate(config, lake.spark, split="all", model="tiny/2", at_least=["accuracy=1.01"])


@pytest.mark.parametrize(
    ("split", "model", "error", "message"),
    [
        ("tset", None, ConfigError, r"Did you mean 'test'\?"),
        ("test", "tiny/7", ModelError, "no version 7"),
        ("test", None, DataError, "has no 'test' rows; it has: train, validation"),
    ],
)
def test_what_cannot_be_evaluated(lake: Lake, support: Rows, split: str, model: str | None, error: type[Exception], message: str) -> None:
    lake.write("support", [row for row in support(30) if row[3] != "test"])
    with pytest.raises(error, match=message):
        run_evaluate(lake.config("support"), lake.spark, split=split, model=model)
