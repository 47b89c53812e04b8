"""Other writers, and what runs that died have left: every key once, both writers' rows, and no stage for ever."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from sparknlp_ft.errors import DataError
from sparknlp_ft.scoring import merge, stages
from sparknlp_ft.steps import staging
from sparknlp_ft.tables.delta import TableRef
from tests.spark.scoring.costless import Shelf, run, texts

KEYS = range(40)


@pytest.fixture
def shelf(spark: SparkSession, tmp_path: Path) -> Shelf:
    return Shelf(spark, tmp_path)


def once_before_merge(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None], times: int = 1) -> None:
    """Do something between the moment a merge has read the table and its commit."""
    clauses, left = merge._clauses, [times]

    def with_another(table: Any, staged: Any, merging: Any) -> Any:
        builder = clauses(table, staged, merging)
        if left[0]:
            left[0] -= 1
            return Beaten(builder, act)
        return builder

    monkeypatch.setattr(merge, "_clauses", with_another)
    monkeypatch.setattr(merge, "WAITS", (0.0, 0.0, 0.0))


class Beaten:
    """A merge that another writer beats."""

    def __init__(self, builder: Any, act: Callable[[], None]) -> None:
        self.builder, self.act = builder, act

    def execute(self) -> None:
        from delta.exceptions import ConcurrentAppendException

        self.act()
        raise ConcurrentAppendException(message="[DELTA_CONCURRENT_APPEND] another was faster")


def test_a_merge_that_lost_is_tried_again_with_the_same_scores(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf.write("texts", texts(KEYS))
    shelf.run()
    shelf.table("texts").update("id < 4", {"body": "'changed'"})
    scored: list[int] = []
    writing = staging.write_stage
    monkeypatch.setattr(staging, "write_stage", lambda *args: (scored.append(1), writing(*args))[1])

    def other() -> None:
        shelf.append_elsewhere("texts_predictions", "id = 30", "id + 1000")

    once_before_merge(monkeypatch, other)
    assert shelf.run().scored == 4 and scored == [1]
    assert shelf.right() and (1030,) in shelf.rows("texts_predictions", "id"), "rows of both writers"


def test_rows_that_another_wrote_under_a_staged_key_are_found_before_the_merge(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf.write("texts", texts(KEYS))
    shelf.run()
    shelf.table("texts").update("id < 4", {"body": "'changed'"})
    once_before_merge(monkeypatch, lambda: shelf.append_elsewhere("texts_predictions", "id = 2", "id"))
    with pytest.raises(DataError, match="another writer has added rows to .* under keys that were there already, for example 2"):
        shelf.run()
    assert "changed"[::-1] not in {row[0] for row in shelf.rows("texts_predictions", "label")}
    assert len(shelf.stages()) == 1


def test_scores_are_kept_where_all_tries_are_lost_and_the_next_run_merges_them(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf.write("texts", texts(KEYS))
    with monkeypatch.context() as patched:
        once_before_merge(patched, lambda: None, times=9)
        with pytest.raises(DataError, match=r"in each of 4 tries to merge \(DELTA_CONCURRENT_APPEND\); the scores are kept in"):
            shelf.run()
    assert len(shelf.stages()) == 1
    # One row has changed since, and one is new: these alone are scored.
    shelf.table("texts").update("id = 3", {"body": "'changed'"})
    shelf.write("texts", {77: "new"}, mode="append", files=1)
    given: list[int] = []
    with_scores = staging.with_scores
    monkeypatch.setattr(
        staging, "with_scores", lambda rows, *args, **settings: (given.append(rows.count()), with_scores(rows, *args, **settings))[1]
    )
    assert shelf.run().scored == 41 and given == [2]
    assert shelf.right() and shelf.stages() == []
    assert {row[0] for row in shelf.rows("texts_predictions", "source_version")} == {2}


def test_what_dead_runs_left_goes_and_what_lives_stays(shelf: Shelf) -> None:
    shelf.write("texts", texts(range(5)))
    shelf.run()
    output = TableRef("path", str(shelf.root / "texts_predictions"))
    (shelf.root / "texts_predictions__scoring_half" / "scores").mkdir(parents=True)
    with stages.stage_beside(shelf.spark, output, str(shelf.root), {}) as alive:
        assert shelf.run().scored == 0
        assert shelf.stages() == [Path(alive.folder).name]
    assert shelf.stages() == []


def test_two_jobs_at_once_end_with_every_key_once(shelf: Shelf) -> None:
    shelf.write("texts", texts(KEYS))
    errors: list[BaseException] = []

    def job() -> None:
        try:
            # A session of its own: the settings of a merge are its session's.
            run(shelf.spark.newSession(), shelf.config())
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=job) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors and shelf.right() and shelf.stages() == []
    assert shelf.run().scored == 0
