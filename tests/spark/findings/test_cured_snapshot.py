"""Cures reach the snapshot and the rows that are evaluated alike, and name a snapshot anew only where they are used."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparknlp_ft.config import Config
from sparknlp_ft.identity import fingerprint, of_measurement, of_snapshot
from sparknlp_ft.snapshot.build import build_snapshot
from sparknlp_ft.steps.evaluation import split_rows
from sparknlp_ft.steps.job import Job
from sparknlp_ft.tables.delta import TableRef, create, pin
from sparknlp_ft.tasks import get_task
from tests.tiny import tiny_model_dir, tiny_texts

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def config(root: Path, **data: Any) -> Config:
    return Config(data={"table": "t", "root": str(root), "validation_fraction": 0.2, **data}, launch={"ranks": 1})


def test_snapshot_and_evaluated_rows_are_mended_alike(spark: SparkSession, tmp_path: Path) -> None:
    spellings = ("card", "card\u200b", "CARD", "card", "cash", "cash ")
    rows = [(n, text, spellings[n % 6], "test" if n % 7 == 0 else "train") for n, text in enumerate(dict.fromkeys(tiny_texts(150)))]
    rows += [(1000, "of two minds", "card", "train"), (1001, " of two minds", "cash", "train"), (1002, "of two minds", "cash", "test")]
    ref = TableRef.parse("t", str(tmp_path))
    create(spark.createDataFrame(rows, "id int, text string, label string, split string"), ref, properties={}, mode="overwrite")
    pinned, base = pin(spark, ref), tiny_model_dir(tmp_path)
    made = config(tmp_path, clean={"labels": "fold"}, on_conflict="drop")
    as_it_is = build_snapshot(spark, pinned, config(tmp_path), get_task("classification"), base)
    mended = build_snapshot(spark, pinned, made, get_task("classification"), base)
    assert as_it_is.labels == ("CARD", "card", "card\u200b", "cash", "cash ")
    assert mended.labels == ("card", "cash")
    assert mended.name != as_it_is.name
    # The two rows at odds are gone from train, and the one of test stays.
    assert {split: part.rows for split, part in mended.splits.items() if split == "test"} == {"test": as_it_is.splits["test"].rows}
    assert sum(part.rows for part in mended.splits.values()) == len(rows) - 2
    job = Job(made, spark, store=None, source=pinned)  # type: ignore[arg-type]  # nothing is tracked
    counted = {row["_split"]: row["count"] for row in split_rows(job).groupBy("_split").count().collect()}
    assert counted == {split: part.rows for split, part in mended.splits.items()}
    assert {row["label"] for row in split_rows(job).select("label").distinct().collect()} == {"card", "cash"}


def test_what_was_made_before_there_were_cures_keeps_its_name(tmp_path: Path) -> None:
    plain = config(tmp_path)
    assert of_snapshot(plain, ("id", 3), form=1) == {
        "table": ("id", 3),
        "task": "classification",
        "splits": ("train", "validation", "test", 0.2),
        "lanes": 8,
        "form": 1,
    }
    data = next(part for part in of_measurement(plain, ("id", 3)) if isinstance(part, dict) and "table" in part)
    assert not {"clean", "on_conflict", "on_misplaced"} & data.keys()
    cured = [config(tmp_path, clean={"labels": "strip"}), config(tmp_path, on_conflict="majority"), config(tmp_path, on_misplaced="drop")]
    cured.append(config(tmp_path, on_misplaced="repair"))
    assert len({fingerprint(of_snapshot(one, ("id", 3))) for one in [plain, *cured]}) == 5
    assert len({fingerprint(of_measurement(one, ("id", 3))) for one in [plain, *cured]}) == 5
