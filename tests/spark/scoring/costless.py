"""Scoring whose model costs nothing: all of a run but MLflow and Python workers, so that many runs can be made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pyspark.sql import functions as F

from sparknlp_ft.config import Config
from sparknlp_ft.pipelines.score import ScoreResult, result_of, unchanged
from sparknlp_ft.steps.deployment import Deployment
from sparknlp_ft.steps.job import Job
from sparknlp_ft.steps.prediction import find_target, plan_scoring
from sparknlp_ft.steps.staging import score_and_merge
from sparknlp_ft.steps.staleness import find_stale, nothing_to_do
from sparknlp_ft.tables.delta import TableRef, pin
from sparknlp_ft.tasks import get_task
from sparknlp_ft.tracking.store import ModelRef, Store

if TYPE_CHECKING:
    from pyspark.sql import Column, SparkSession

FIELDS = "label string, score double"


def config(root: str | Path, table: str, *, score: dict[str, Any] | None = None, data: dict[str, Any] | None = None) -> Config:
    columns = {"root": str(root), "table": table, "columns": {"text": "body"}}
    return Config.model_validate({"data": columns | (data or {}), "score": {"partitions": 2, **(score or {})}})


def label_of(text: str) -> str:
    return text[::-1]


def _score(row: Column, mended: Column, *texts: Column) -> Column:
    fails = texts[0].startswith("fail")
    return F.struct(
        F.when(~fails, F.reverse(texts[0])).alias("label"),
        F.when(~fails, F.length(texts[0]).cast("double")).alias("score"),
        F.when(fails, "error").otherwise("ok").alias("status"),
        F.when(texts[0] == "fail: cuda", "RuntimeError: CUDA error: an illegal memory access").when(fails, "ValueError: no").alias("error"),
        F.lit(False).alias("truncated"),
    )


def run(spark: SparkSession, settings: Config, *, version: str = "1") -> ScoreResult:
    """What ``run_score`` does, with a model that turns a text round."""
    ref = TableRef.parse(settings.score.table or settings.data.table, settings.data.root)
    job = Job(settings, spark, cast(Store, None), pin(spark, ref, settings.data.version))
    model, target = ModelRef("tiny", version, f"run {version}", f"models:/tiny/{version}"), find_target(job)
    if (note := nothing_to_do(job, target, model)) is not None:
        return unchanged(job, target, model, note)
    deployment = Deployment(model, get_task("classification"), (), ("text",), {}, FIELDS, _score)
    scoring = plan_scoring(job, target, deployment)
    with find_stale(scoring) as stale:
        written = score_and_merge(scoring, stale)
    return result_of(scoring, stale.total, written)
