"""Whole jobs: a Delta table in, a Delta table of predictions out; this project beside what people write with Spark."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bench.score_ways.material import MAX_LENGTH

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

NAME = "bench"


class Lake:
    """A folder with tables, a store with a registered model, and the commands on them.

    Args:
        folder: An empty folder.
        model: Model folder to register.
    """

    def __init__(self, folder: Path, model: Path) -> None:
        self.folder, self.model = folder, model
        self.tracking = {"uri": f"sqlite:///{folder}/mlflow.db", "artifacts": str(folder / "artifacts"), "model_name": NAME}
        self._register()

    def _register(self) -> None:
        from sparknlp_ft.config import TrackingConfig
        from sparknlp_ft.tracking import store
        from sparknlp_ft.tracking.logged import log_model

        connected = store.connect(TrackingConfig(**self.tracking))
        with store.start_run(connected, NAME, system_metrics=False) as run:
            logged = log_model(run, self.model, text_roles=("text",), example=pd.DataFrame({"text": ["a text"]}))
            store.set_alias(connected, store.register(connected, logged, NAME), "champion")

    def write(self, spark: SparkSession, table: str, texts: Sequence[str]) -> None:
        """Write a table of texts with the column ``id`` as its key."""
        frame = pd.DataFrame({"id": range(len(texts)), "text": list(texts)})
        spark.createDataFrame(frame).write.format("delta").mode("overwrite").save(str(self.folder / table))

    def config(self, table: str, **score: Any) -> dict[str, Any]:
        return {"data": {"root": str(self.folder), "table": table}, "tracking": self.tracking, "score": score}

    def run(self, spark: SparkSession, table: str, **score: Any) -> dict[str, float]:
        """Score a table in this session; returns seconds of the whole and of its scoring stage."""
        from sparknlp_ft.config import Config
        from sparknlp_ft.pipelines.score import run_score

        started = time.perf_counter()
        result = run_score(Config.model_validate(self.config(table, **score)), spark)
        return {"seconds": time.perf_counter() - started, "stage_seconds": result.seconds, "rows": result.scored}

    def command(self, table: str, *settings: str) -> float:
        """Score a table by the command line, in a process of its own; returns its seconds."""
        given = [f"data.root={self.folder}", f"data.table={table}", *(f"tracking.{name}={value}" for name, value in self.tracking.items())]
        started = time.perf_counter()
        ended = subprocess.run([sys.executable, "-m", "sparknlp_ft.cli", "score", *given, *settings], capture_output=True, text=True)
        if ended.returncode:
            raise SystemExit(f"sparknlp-ft score ended with {ended.returncode}:\n{ended.stderr[-3000:]}")
        return time.perf_counter() - started

    def labels(self, spark: SparkSession, table: str) -> np.ndarray:
        """Return the predicted labels of a table, by id."""
        rows = spark.read.format("delta").load(str(self.folder / table)).select("id", "label").toPandas()
        return rows.sort_values("id")["label"].to_numpy()


def others(spark: SparkSession, lake: Lake) -> dict[str, Callable[[str, str], dict[str, float]]]:
    """Return the usual ways, by name: each takes the name of a table, and of the one to write."""

    def run(predict: Callable[[DataFrame], DataFrame], table: str, output: str) -> dict[str, float]:
        started = time.perf_counter()
        rows = spark.read.format("delta").load(str(lake.folder / table)).repartition(spark.sparkContext.defaultParallelism)
        predict(rows).write.format("delta").mode("overwrite").save(str(lake.folder / output))
        taken = time.perf_counter() - started
        return {"seconds": taken, "stage_seconds": taken, "rows": float("nan")}

    columns = {
        "pipeline_1": lambda: pipeline_udf(str(lake.model), 1)("text"),
        "pipeline_32": lambda: pipeline_udf(str(lake.model), 32)("text"),
        "spark_udf": lambda: mlflow_udf(spark, lake)("text"),
        "predict_batch_udf": lambda: batch_udf(str(lake.model))("text"),
    }
    return {name: partial(run, lambda rows, make=make: rows.select("id", make().alias("label"))) for name, make in columns.items()}


def pipeline_udf(model: str, batch_size: int) -> Callable:
    """Return the pandas_udf one writes first: a pipeline kept in the worker, batches in the order the rows come."""
    from pyspark.sql.functions import pandas_udf

    def score(batches: Iterator[pd.Series]) -> Iterator[pd.Series]:
        import transformers

        if not hasattr(transformers, "_kept"):
            transformers._kept = transformers.pipeline("text-classification", model=model, top_k=1)
        for batch in batches:
            found = transformers._kept(batch.to_list(), batch_size=batch_size, truncation=True, max_length=MAX_LENGTH)
            yield pd.Series([one[0]["label"] if isinstance(one, list) else one["label"] for one in found])

    return pandas_udf(score, "string").asNondeterministic()


def mlflow_udf(spark: SparkSession, lake: Lake) -> Callable:
    """Return ``mlflow.pyfunc.spark_udf`` of the model as ``mlflow.transformers`` logs it."""
    import mlflow
    from transformers import pipeline

    folder = lake.folder / "mlflow-model"
    if not folder.exists():
        pipe = pipeline("text-classification", model=str(lake.model))
        settings = {"truncation": True, "max_length": MAX_LENGTH}
        mlflow.transformers.save_model(pipe, str(folder), pip_requirements=[], inference_config=settings)
    return mlflow.pyfunc.spark_udf(spark, str(folder), result_type="string", env_manager="local")


def batch_udf(model: str) -> Callable:
    """Return ``predict_batch_udf`` as its documentation shows it: padded batches of 64."""
    from pyspark.ml.functions import predict_batch_udf
    from pyspark.sql.types import StringType

    def make() -> Callable:
        import torch
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        tokenizer, network = AutoTokenizer.from_pretrained(model), AutoModelForSequenceClassification.from_pretrained(model).eval()

        def predict(texts: np.ndarray) -> np.ndarray:
            given = tokenizer(texts.tolist(), truncation=True, max_length=MAX_LENGTH, padding=True, return_tensors="pt")
            with torch.inference_mode():
                best = network(**given).logits.argmax(dim=1).tolist()
            return np.asarray([network.config.id2label[i] for i in best])

        return predict

    return predict_batch_udf(make, return_type=StringType(), batch_size=64)
