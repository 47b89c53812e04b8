"""A registered tiny model and tables to score."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from sparknlp_ft.config import Config, TrackingConfig
from sparknlp_ft.tables.delta import TableRef, history, in_sql
from sparknlp_ft.tracking import store
from sparknlp_ft.tracking.logged import log_model
from tests.tiny import tiny_classifier_dir, tiny_texts

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

LABELS = ("bad", "good", "ugly")
SCHEMA = "id long, body string, label string, split string"


@dataclass(frozen=True)
class Lake:
    """A folder of tables, and the store with the model that scores them."""

    spark: SparkSession
    root: Path
    tracking: TrackingConfig

    def write(self, name: str, rows: list[tuple], schema: str = SCHEMA, *, mode: str = "error") -> str:
        path = str(self.root / name)
        self.spark.createDataFrame(rows, schema).coalesce(2).write.format("delta").mode(mode).save(path)
        return path

    def read(self, name: str) -> DataFrame:
        return self.spark.read.format("delta").load(str(self.root / name))

    def history(self, name: str) -> list[Any]:
        return history(self.spark, self.ref(name), 100).collect()

    def update(self, name: str, condition: str, **values: str) -> None:
        given = ", ".join(f"{column} = {value}" for column, value in values.items())
        self.spark.sql(f"UPDATE {in_sql(self.ref(name))} SET {given} WHERE {condition}")

    def delete(self, name: str, condition: str) -> None:
        self.spark.sql(f"DELETE FROM {in_sql(self.ref(name))} WHERE {condition}")

    def ref(self, name: str) -> TableRef:
        return TableRef("path", str(self.root / name))

    def config(self, table: str, *, score: dict[str, Any] | None = None, data: dict[str, Any] | None = None) -> Config:
        return Config.model_validate(
            {
                "data": {"root": str(self.root), "table": table, "columns": {"text": "body"}, **(data or {})},
                "tracking": self.tracking.model_dump(),
                "score": {"batch_tokens": 512, "precision": "float32", **(score or {})},
            }
        )


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> TrackingConfig:
    """A store with versions 1 (champion) and 2 of one model."""
    folder = tmp_path_factory.mktemp("store")
    tracking = TrackingConfig(uri=f"sqlite:///{folder}/mlflow.db", model_name="tiny")
    connected = store.connect(tracking)
    for seed in (0, 1):
        with store.start_run(connected, f"seed {seed}", system_metrics=False) as run:
            model = tiny_classifier_dir(folder / str(seed), LABELS, seed=seed)
            example = pd.DataFrame({"text": ["a text"]})
            version = store.register(connected, log_model(run, model, text_roles=("text",), example=example), "tiny")
        if seed == 0:
            store.set_alias(connected, version, "champion")
    return tracking


@pytest.fixture
def lake(spark: SparkSession, models: TrackingConfig, tmp_path: Path) -> Lake:
    return Lake(spark, tmp_path, models)


@pytest.fixture
def support(lake: Lake) -> Callable[[int], list[tuple]]:
    """Rows of the table 'support'."""

    def rows(count: int) -> list[tuple]:
        splits = ("train", "validation", "test")
        return [(i, text, LABELS[i % 3], splits[i % 3]) for i, text in enumerate(tiny_texts(count, longest=30))]

    return rows
