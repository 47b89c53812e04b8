"""The stage is the UDF's only consumer; it is checked, and merged exactly once, or not at all."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from sparknlp_ft.errors import DataError
from sparknlp_ft.scoring.columns import Output
from sparknlp_ft.scoring.engine import Scored
from sparknlp_ft.scoring.incremental import SCORED, partitions_for, with_scores
from sparknlp_ft.scoring.merge import Merging, check_stage, create_empty, merge_stage, refuse_many_errors, write_stage
from sparknlp_ft.scoring.stages import Stage, stage_beside
from sparknlp_ft.scoring.udf import scoring_udf
from sparknlp_ft.tables.contracts import Roles
from sparknlp_ft.tables.delta import TableRef, exists, latest_version
from sparknlp_ft.tasks import Setup, Task, get_task
from tests.spark.scoring.conftest import Lake

SCHEMA = "id long, status string, error string, truncated boolean"
ROLES = Roles(texts=(("text", "body"),), target=None, key=("id",), split=None)


class Recorder:
    """An engine that writes down every load and every row it is given, and fails on texts that say so."""

    labels = ("no", "yes")

    def __init__(self, folder: str) -> None:
        self.folder = folder
        (Path(folder) / f"load-{os.getpid()}-{id(self)}").touch()

    @property
    def setup(self) -> Setup:
        return Setup(self.labels)

    @property
    def task(self) -> Task:
        return get_task("classification")

    def predict(self, texts: Sequence[str], pairs: Sequence[str] | None = None, *, rows: Sequence[int] | None = None) -> Scored:
        if any(text.startswith("fail") for text in texts):
            raise ValueError("this text fails")
        with (Path(self.folder) / f"rows-{os.getpid()}").open("a") as out:
            out.writelines(f"{text}\n" for text in texts)
        return Scored(np.tile(np.float32([0, 1]), (len(texts), 1)), np.zeros(len(texts), bool), np.ones(len(texts), np.int64))


def load_recorder(device: str | None, *, folder: str) -> Recorder:
    return Recorder(folder)


def scored_with_recorder(lake: Lake, texts: list[str | None], partitions: int) -> tuple[DataFrame, Path]:
    notes = lake.root / "notes"
    notes.mkdir()
    udf = scoring_udf(partial(load_recorder, folder=str(notes)), f"recorder {notes}", Output(get_task("classification").prediction_fields))
    rows = lake.spark.createDataFrame(list(enumerate(texts)), "id long, body string")
    return with_scores(rows, ROLES, udf, partitions=partitions), notes


def test_each_row_is_scored_once_by_one_engine_per_worker(lake: Lake) -> None:
    texts: list[str | None] = [f"text {i}" for i in range(200)]
    scored, notes = scored_with_recorder(lake, texts, partitions=8)
    with stage_beside(lake.spark, TableRef.parse("out", str(lake.root)), str(lake.root), {}) as stage:
        write_stage(scored.select("id", F.col(SCORED)["status"].alias("status"), F.col(SCORED)["truncated"].alias("truncated")), stage)
        seen = sorted(line for file in notes.glob("rows-*") for line in file.read_text().splitlines())
        assert seen == sorted(str(text) for text in texts)
        assert len(list(notes.glob("load-*"))) <= 2
        assert check_stage(lake.spark.read.format("delta").load(stage.path), ["id"], expected=200).ok == 200
    assert not exists(lake.spark, TableRef("path", stage.path))


def test_failing_rows_alone_are_in_error_and_too_many_stop_the_job(lake: Lake) -> None:
    texts = [f"fail {i}" if i % 10 == 0 else f"text {i}" for i in range(100)]
    scored, _ = scored_with_recorder(lake, [*texts, None], partitions=2)
    stage = Stage("r", str(lake.root / "stage"))
    fields = [F.col(SCORED)[name].alias(name) for name in ("label", "status", "error", "truncated")]
    write_stage(scored.select("id", *fields), stage)
    staged = lake.spark.read.format("delta").load(stage.path)
    counts = check_stage(staged, ["id"], expected=101)
    assert (counts.ok, counts.error, counts.empty) == (90, 10, 1)
    assert {row["id"] for row in staged.where("status = 'error'").collect()} == set(range(0, 100, 10))
    refuse_many_errors(staged, counts, 0.1)
    with pytest.raises(DataError, match=r"10 of 101 rows .*score.max_error_fraction=0.05.*10 × ValueError: this text fails"):
        refuse_many_errors(staged, counts, 0.05)


@pytest.mark.parametrize("rows", [[(1,), (2,)], [(1,), (2,), (2,)], [(1,), (2,), (None,)]])
def test_a_stage_that_lacks_or_doubles_rows_is_refused(lake: Lake, rows: list[tuple]) -> None:
    staged = lake.spark.createDataFrame([(row[0], "ok", None, False) for row in rows], SCHEMA)
    with pytest.raises(RuntimeError, match="nothing was merged"):
        check_stage(staged, ["id"], expected=3)


def stage_of(lake: Lake, run: str, ids: range, error: str | None = None) -> Stage:
    stage = Stage(run, str(lake.root / f"stage-{run}"))
    write_stage(lake.spark.createDataFrame([(i, "ok", error, False) for i in ids], SCHEMA), stage)
    return stage


def test_merge_adds_and_updates_by_key_once(lake: Lake) -> None:
    output = TableRef.parse("out", str(lake.root))
    first, second = stage_of(lake, "one", range(10)), stage_of(lake, "two", range(5, 15), "new")
    create_empty(lake.spark, output, lake.spark.read.format("delta").load(first.path))
    assert merge_stage(lake.spark, output, first, Merging(("id",), 10)) == 1
    assert merge_stage(lake.spark, output, second, Merging(("id",), 10)) == 2
    assert lake.read("out").where("error = 'new'").count() == 10 and lake.read("out").count() == 15
    # The same stage again: Delta skips it, and the commit that is found is the first.
    assert merge_stage(lake.spark, output, second, Merging(("id",), 10)) == 2
    assert latest_version(lake.spark, output) == 2


def test_an_empty_stage_never_reaches_the_merge(lake: Lake) -> None:
    output, stage = TableRef.parse("out", str(lake.root)), stage_of(lake, "none", range(0))
    create_empty(lake.spark, output, lake.spark.read.format("delta").load(stage.path))
    with pytest.raises(ValueError, match="empty stage"):
        merge_stage(lake.spark, output, stage, Merging(("id",), 0))
    assert latest_version(lake.spark, output) == 0


def test_a_merge_that_does_not_add_up_is_an_error(lake: Lake) -> None:
    output, stage = TableRef.parse("out", str(lake.root)), stage_of(lake, "few", range(3))
    create_empty(lake.spark, output, lake.spark.read.format("delta").load(stage.path))
    with pytest.raises(RuntimeError, match="4 rows were staged, and 3 merged"):
        merge_stage(lake.spark, output, stage, Merging(("id",), 4))


def test_a_stage_is_deleted_when_the_job_fails(lake: Lake) -> None:
    with pytest.raises(KeyError), stage_beside(lake.spark, TableRef.parse("out", str(lake.root)), str(lake.root), {}) as stage:
        write_stage(lake.spark.createDataFrame([(1, "ok", None, False)], SCHEMA), stage)
        raise KeyError("no")
    assert not Path(stage.path).exists()


@pytest.mark.parametrize(("rows", "slots", "tasks"), [(1, 2, 1), (5, 8, 1), (300, 8, 2), (2000, 2, 2), (13_083, 2, 4), (10**9, 16, 800)])
def test_number_of_tasks(rows: int, slots: int, tasks: int) -> None:
    assert partitions_for(rows, slots) == tasks
