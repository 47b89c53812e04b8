"""Training on a folder that neither appends nor writes in the middle, as a mounted Volume is: all but tables and MLflow's own store."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sparknlp_ft.config import load_config
from sparknlp_ft.pipelines.score import run_score
from sparknlp_ft.pipelines.train import run_train
from tests.tiny import tiny_model_dir

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROWS = 120
WORDS = {"lost": "card", "charged": "fee", "transfer": "money"}


def appended(path: Path) -> None:
    with path.open("a") as stream:
        stream.write("more")


def changed(path: Path) -> None:
    with path.open("r+b") as stream:
        stream.write(b"more")


def appended_below(path: Path) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_APPEND))


def written_in_the_middle(path: Path) -> None:
    with (path.parent / "new").open("wb") as stream:
        stream.write(b"0123456789")
        stream.seek(3)
        stream.write(b"x")


def cut(path: Path) -> None:
    os.truncate(path, 1)


@pytest.mark.parametrize("act", [appended, changed, appended_below, written_in_the_middle, cut])
def test_the_stand_in_refuses_what_a_volume_refuses(volume: Path, act: Any) -> None:
    file = volume / "there.txt"
    file.write_text("once")
    with pytest.raises(OSError, match="Operation not supported"):
        act(file)
    assert file.read_text() == "once"


def test_ranks_train_on_it(s3_spark: SparkSession, volume: Path, tmp_path: Path) -> None:
    words = list(WORDS)
    rows = [(i, f"please {words[i % 3]} my account {i % 7}", WORDS[words[i % 3]], "test" if i % 5 == 0 else "train") for i in range(ROWS)]
    frame = s3_spark.createDataFrame(rows, "id int, text string, label string, split string")
    frame.write.format("delta").save(str(tmp_path / "lake" / "texts"))
    settings = [
        # Tables are Spark's, which reaches Volumes past the mount; snapshots are written by Python on the workers.
        f"data={{table: {tmp_path / 'lake' / 'texts'}, root: {volume / 'data'}, validation_fraction: 0.2}}",
        f"model={{base: {tiny_model_dir(volume / 'models')}, dropout: 0.0}}", "text.max_length=32",
        "train={epochs: 3, batch_size: 16, learning_rate: 0.004, patience: null}",
        f"launch={{ranks: 2, checkpoint_steps: 3, run_dir: {volume / 'runs'}}}",
        f"tracking={{uri: 'sqlite:///{tmp_path}/mlflow.db', tensorboard: {volume / 'events'}}}",
        "tracking.model_name=on-volume", "tracking.gate=alias", "score.precision=float32",
    ]  # fmt: skip
    config = load_config(None, settings)
    outcome = run_train(config, s3_spark)
    assert outcome.result.ranks == 2 and outcome.result.steps == 3 * -(-outcome.manifest.splits["train"].rows // 16)
    assert outcome.manifest.path.startswith(f"{volume}/data/_snapshots/") and list(volume.glob("runs/*/events/*.json"))
    assert list(volume.glob("events/on-volume/*/events.*")) and list(volume.glob("runs/reports/*.html"))
    scoring = config.model_copy(update={"score": config.score.model_copy(update={"model": outcome.model.display})})
    assert run_score(scoring, s3_spark).ok == ROWS
