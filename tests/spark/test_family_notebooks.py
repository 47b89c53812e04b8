"""Notebooks of the task families as their readers run them: a table of the notebook's own, train, evaluate, score; on tiny models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.notebooks import FOLDER, run_notebook
from tests.tiny import tiny_model_dir

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

QUICK = {"train.epochs": 1, "train.learning_rate": 0.005, "text.max_length": 32, "data.validation_fraction": 0.2}


@pytest.mark.parametrize(("family", "arch", "metric"), [("token_classification", "bert", "f1_micro"), ("summarization", "t5", "rougeL")])
def test_a_notebook_of_a_family_runs_from_its_table_to_scored_rows(
    family: str, arch: str, metric: str, spark: SparkSession, tmp_path: Path
) -> None:
    own = {"FOLDER": str(tmp_path), "TICKETS": str(FOLDER.parent / "examples" / "tickets.csv"), "BASE": str(tiny_model_dir(tmp_path, arch))}
    names, shown, printed = run_notebook(family, {**own, "settings": QUICK})
    assert [type(one).__name__ for one in shown] == ["TrainOutcome", "Evaluation", "ScoreResult"]
    assert names["scored"].scored == names["scored"].ok == 240
    assert names["evaluation"].rows == names["trained"].manifest.splits["test"].rows and metric in names["evaluation"].metrics
    assert "ticket_id" in printed and all("<script" not in one._repr_html_() for one in shown)
