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
    from delta.tables import DeltaTable
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


def texts(keys: range, word: str = "text") -> dict[int, str]:
    return {key: f"{word} {key}" for key in keys}


class Shelf:
    """A folder with a source table and its predictions."""

    def __init__(self, spark: SparkSession, root: Path) -> None:
        self.spark, self.root = spark, root

    def write(self, name: str, texts: dict[int, str], *, mode: str = "error", files: int = 2, **options: str) -> None:
        rows = self.spark.createDataFrame(sorted(texts.items()), "id long, body string").repartition(files)
        rows.write.format("delta").options(**options).mode(mode).save(str(self.root / name))

    def table(self, name: str) -> DeltaTable:
        from delta.tables import DeltaTable

        return DeltaTable.forPath(self.spark, str(self.root / name))

    def rows(self, name: str, *columns: str) -> list[tuple]:
        return sorted(tuple(row) for row in self.table(name).toDF().select(*columns).collect())

    def append_elsewhere(self, name: str, condition: str, key: str) -> None:
        """Append copies of rows under other keys, as another program would: in a session of its own, with settings of its own."""
        path = str(self.root / name)
        rows = self.spark.newSession().read.format("delta").load(path).where(condition)
        rows.selectExpr("* EXCEPT (id)", f"{key} AS id").write.format("delta").mode("append").save(path)

    def version(self, name: str) -> int:
        return self.table(name).history(1).collect()[0]["version"]

    def stages(self) -> list[str]:
        return sorted(path.name for path in self.root.iterdir() if "__scoring_" in path.name)

    def config(self, table: str = "texts", **score: Any) -> Any:
        return config(self.root, table, score=score)

    def run(self, table: str = "texts", **score: Any) -> Any:
        return run(self.spark, self.config(table, **score))

    def right(self, table: str = "texts", output: str = "texts_predictions") -> bool:
        """Whether each row of the source has one prediction, by its text as it is now."""
        source = dict(self.rows(table, "id", "body"))
        found = self.rows(output, "id", "label")
        return len(found) == len(dict(found)) and {key: dict(found).get(key) for key in source} == {
            key: label_of(text) for key, text in source.items()
        }
