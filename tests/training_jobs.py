"""Small training jobs for tests: a tiny model, a snapshot it can learn, and the job that joins them."""

from pathlib import Path
from typing import Any

from sparknlp_ft.config import Config
from sparknlp_ft.training.job import TrainJob
from tests.snapshots import random_lanes, write_snapshot
from tests.tiny import tiny_classifier_dir


def tiny_job(
    tmp_path: Path, *, train_rows: tuple[int, ...] = (40, 37, 0, 23), validation_rows: tuple[int, ...] = (9, 1, 8, 5), **train: Any
) -> TrainJob:
    """A job of two labels that the tiny model learns in a few epochs; no dropout, so that ranks change nothing.

    Args:
        tmp_path: Folder for snapshot, base model and run.
        train_rows: Rows of each lane of train.
        validation_rows: Rows of each lane of validation.
        train: Settings of the section of this name.
    """
    lanes = len(train_rows)
    rows = {"train": random_lanes(train_rows, seed=1, vocabulary=60), "validation": random_lanes(validation_rows, seed=2, vocabulary=60)}
    manifest = write_snapshot(tmp_path / "snapshot", rows)
    config = Config.model_validate(
        {
            "data": {"table": "test"},
            "model": {"dropout": 0.0},
            "text": {"max_length": 32},
            "train": {
                "batch_size": 2 * lanes,
                "lanes": lanes,
                "epochs": 3,
                "learning_rate": 0.01,
                "patience": None,
                "precision": "float32",
                **train,
            },
            "launch": {"backend": "horovod", "ranks": 2, "threads": 1},
        }
    )
    # A base with a head: ranks that are threads share torch's generator, and so could not draw the same one.
    base = tiny_classifier_dir(tmp_path, manifest.labels)
    return TrainJob(str(tmp_path / "run"), manifest.path, str(base), config.model_dump(mode="json"))
