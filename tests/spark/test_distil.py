"""A student of the aliased model: taught on rows without a label too, on the leaderboard with its agreement, scored with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import pandas as pd
import pytest

from sparknlp_ft.config import load_config
from sparknlp_ft.errors import ModelError
from sparknlp_ft.models.folder import load_model
from sparknlp_ft.pipelines.compare import run_compare
from sparknlp_ft.pipelines.score import run_score
from sparknlp_ft.steps.findings import find_all
from sparknlp_ft.steps.fine_tuning import prepare
from sparknlp_ft.steps.job import open_job
from sparknlp_ft.tracking import store
from sparknlp_ft.tracking.downloaded import model_folder
from sparknlp_ft.tracking.logged import log_model
from tests.tiny import tiny_classifier_dir

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LABELS = ("card", "fee", "money")
ROWS = 120


def test_a_student_is_taught_compared_and_scored_with(spark: SparkSession, tmp_path: Path) -> None:
    rows = [
        (i, f"please help {LABELS[i % 3]} my account {i % 7}", LABELS[i % 3] if i % 4 else None, "validation" if i % 6 == 1 else "train")
        for i in range(ROWS)
    ]
    rows.append((ROWS, " ", None, "train"))
    rows.append((ROWS + 1, "of no split", None, "later"))
    spark.createDataFrame(rows, "id int, text string, label string, split string").write.format("delta").save(str(tmp_path / "lake/texts"))
    settings = [
        "data.table=texts",
        f"data.root={tmp_path / 'lake'}",
        "model={tuning: distil, dropout: 0.0, distil: {layers: [0, 3]}}",
        "text.max_length=32",
        "train={epochs: 4, batch_size: 8, learning_rate: 0.001, patience: null, lanes: 2}",
        f"launch={{backend: solo, ranks: 1, run_dir: {tmp_path / 'runs'}}}",
        f"tracking={{uri: 'sqlite:///{tmp_path}/store/mlflow.db', gate: alias, min_confidence: 0}}",
        "compare.candidates=[{name: student}]",
    ]
    config = load_config(None, settings)
    connected = store.connect(config.tracking)
    teacher = tiny_classifier_dir(tmp_path, LABELS, layers=4)
    with store.start_run(connected, "teacher", system_metrics=False) as run:
        logged = log_model(run, teacher, text_roles=("text",), example=pd.DataFrame({"text": ["a text"]}))
        store.set_alias(connected, store.register(connected, logged, config.model_name), "champion")

    with mock.patch("sparknlp_ft.pipelines.compare.compared_baselines", return_value=[]):
        compared = run_compare(config, spark)
    [entry] = [entry for entry in compared.entries if entry.kind == "model"]
    assert entry.settings["model.distil.teacher"] == f"models:/{config.model_name}/1"
    assert 0 < entry.validation["student_agreement"] <= 1 and f"its teacher models:/{config.model_name}/1" in entry.note
    [row] = spark.read.format("delta").load(str(tmp_path / "lake/texts_leaderboard")).where("name = 'student'").collect()
    assert row["validation_metrics"]["student_agreement"] == entry.validation["student_agreement"]

    assert compared.winner is not None
    manifest = compared.winner.manifest
    train = [row for row in rows if row[3] == "train" and row[1].strip()]
    assert manifest.lessons == len(LABELS) and manifest.splits["train"].rows == len(train)
    assert manifest.statistics.rows == sum(row[2] is not None for row in train) < len(train)
    folder = model_folder(store.download_model(connected, compared.winner.model, tmp_path / "downloaded"))
    assert load_model(folder).network.config.num_hidden_layers == 2

    assert "rows without label" not in {one.kind for one in find_all(open_job(config, spark))}, "they are of use"

    score = config.score.model_copy(update={"model": f"runs:/{entry.run_id}/model"})
    assert run_score(config.model_copy(update={"score": score}), spark).scored == len(rows)

    distil = config.model.distil.model_copy(update={"teacher": str(tiny_classifier_dir(tmp_path / "few", LABELS[:2], layers=4))})
    ignorant = config.model_copy(update={"model": config.model.model_copy(update={"distil": distil})})
    with pytest.raises(ModelError, match=r"does not know the label\(s\) 'money' of train"):
        prepare(open_job(ignorant, spark))
