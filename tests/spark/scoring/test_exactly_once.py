"""Every key once, whatever was done to either table, and only what is new is looked at where that can be told."""

from __future__ import annotations

from pathlib import Path

import pytest
from delta.tables import DeltaTable
from pyspark.sql import SparkSession

from sparknlp_ft.errors import ConfigError, DataError
from sparknlp_ft.steps import staleness
from tests.spark.scoring.costless import Shelf, config, run, texts

KEYS = range(40)


@pytest.fixture
def shelf(spark: SparkSession, tmp_path: Path) -> Shelf:
    return Shelf(spark, tmp_path)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which looks at the rows a run took: 'all' where it looked at every row."""
    taken: list[str] = []
    among_all = staleness._among_all
    monkeypatch.setattr(staleness, "_among_all", lambda *args: (taken.append("all"), among_all(*args))[1])
    return taken


VECTORS = {"delta.enableDeletionVectors": "true"}


def test_what_did_not_change_is_not_looked_at_and_what_changed_is_found_by_its_files(shelf: Shelf, looks: list[str]) -> None:
    shelf.write("texts", texts(KEYS), files=8, **VECTORS)
    assert shelf.run().scored == 40 and looks == ["all"]
    version = shelf.version("texts_predictions")
    assert (shelf.run().scored, shelf.run().rows_in) == (0, 40) and looks == ["all"]
    assert shelf.version("texts_predictions") == version

    shelf.write("texts", texts(range(100, 103)), mode="append", files=1)
    shelf.table("texts").update("id IN (3, 4)", {"body": "'other'"})
    shelf.table("texts").delete("id = 5")
    result = shelf.run()
    assert (result.scored, result.rows_in) == (5, 42) and looks == ["all"], "the new files hold what is new"
    assert shelf.right()
    shelf.table("texts").optimize().executeCompaction()
    shelf.table("texts_predictions").optimize().executeCompaction()
    assert shelf.run().scored == 0 and looks == ["all"], "both tables hold the same rows"

    # A key that comes twice now is refused, and so it is where only one of the two is new.
    shelf.write("texts", {7: "twice"}, mode="append", files=1)
    with pytest.raises(DataError, match="not unique: 1 value.*7"):
        shelf.run()
    assert looks == ["all"] * 2


def test_the_change_feed_tells_what_changed_where_files_are_written_anew(shelf: Shelf, looks: list[str]) -> None:
    shelf.write("texts", texts(KEYS), files=1, **{"delta.enableChangeDataFeed": "true", "delta.enableDeletionVectors": "false"})
    shelf.run()
    shelf.table("texts").update("id < 3", {"body": "concat(body, ' once')"})
    shelf.table("texts").update("id < 2", {"body": "concat(body, ' more')"})
    shelf.table("texts").delete("id = 1")
    shelf.write("texts", {1: "again", 90: "new"}, mode="append", files=1)
    assert shelf.run().scored == 4 and looks == ["all"] and shelf.right()


def test_what_is_in_doubt_is_looked_up_in_every_row(shelf: Shelf, looks: list[str]) -> None:
    import shutil

    shelf.write("texts", texts(KEYS), **VECTORS)
    shelf.run()
    shelf.table("texts_predictions").delete("id < 3")
    assert shelf.run().scored == 3 and shelf.right(), "predictions deleted"
    shelf.table("texts").update("id = 1", {"body": "'changed'"})
    shelf.run()
    shelf.table("texts_predictions").restoreToVersion(shelf.version("texts_predictions") - 1)
    assert shelf.run().scored == 1 and shelf.right(), "predictions restored"
    shelf.table("texts").restoreToVersion(0)
    assert shelf.run().scored == 1 and shelf.right(), "source restored"
    shelf.write("texts", texts(range(20, 60), "new"), mode="overwrite")
    assert shelf.run().scored == 40 and shelf.right(), "source overwritten"
    shutil.rmtree(shelf.root / "texts")
    shelf.write("texts", texts(range(30, 50), "anew"))
    assert shelf.run().scored == 20 and shelf.right(), "source made anew"
    version = shelf.version("texts_predictions")
    assert shelf.run().scored == 0 and shelf.version("texts_predictions") == version


def test_rows_in_error_by_the_machine_are_scored_again_and_others_are_not(shelf: Shelf) -> None:
    shelf.write("texts", texts(KEYS) | {50: "fail: cuda", 51: "fail"})
    assert shelf.run().errors == 2
    again = shelf.run()
    assert (again.scored, again.errors) == (1, 1)
    assert shelf.run(retry_errors=True).scored == 2
    shelf.table("texts").update("id = 50", {"body": "'well'"})
    assert shelf.run().ok == 1 and shelf.run().scored == 0


def test_a_key_may_be_called_anything(shelf: Shelf) -> None:
    key = ["count", "status", "key", "error", "a.b", "a`b", 'a"b', "a b", "label", "rows"]
    rows = shelf.spark.createDataFrame([(*[i] * len(key), f"text {i}") for i in range(5)], ["x", *map(str, range(len(key)))])
    rows.toDF(*key, "body").write.format("delta").option("delta.columnMapping.mode", "name").save(str(shelf.root / "odd"))
    settings = config(shelf.root, "odd", data={"key": key})
    assert run(shelf.spark, settings).ok == 5
    DeltaTable.forPath(shelf.spark, str(shelf.root / "odd")).update("body = 'text 3'", {"body": "'x'"})
    assert run(shelf.spark, settings).scored == 1
    assert shelf.table("odd_predictions").toDF().count() == 5


def test_a_second_table_is_refused_or_its_name_is_part_of_the_key(shelf: Shelf) -> None:
    shelf.write("texts", texts(range(5)))
    shelf.write("others", texts(range(3, 8), "other"))
    shelf.run(output="shared", by_source=True)
    with pytest.raises(DataError, match="holds predictions of '.*texts', and '.*others' is to be scored into it"):
        shelf.run("others", output="shared")
    assert shelf.run("others", output="shared", by_source=True).scored == 5
    assert shelf.run(output="shared", by_source=True).scored == 0
    rows = shelf.rows("shared", "source_table", "id")
    assert len(rows) == len(set(rows)) == 10


@pytest.mark.parametrize("wish", ["mark", "delete"])
def test_predictions_of_rows_that_left_are_marked_or_deleted(shelf: Shelf, wish: str) -> None:
    shelf.write("texts", texts(range(10)))
    shelf.run(on_deleted=wish)
    shelf.table("texts").delete("id IN (2, 3)")
    result = shelf.run(on_deleted=wish)
    assert (result.scored, result.deleted) == (0, 2)
    status = dict(shelf.rows("texts_predictions", "id", "status"))
    assert (status.get(2), status.get(3)) == (("deleted",) * 2 if wish == "mark" else (None,) * 2) and status[4] == "ok"
    version = shelf.version("texts_predictions")
    assert shelf.run(on_deleted=wish).deleted == 0 and shelf.version("texts_predictions") == version
    shelf.write("texts", {2: "text 2"}, mode="append", files=1)
    assert shelf.run(on_deleted=wish).scored == 1 and shelf.right()


def test_a_table_that_takes_new_rows_alone_is_refused_before_it_is_scored(shelf: Shelf) -> None:
    shelf.write("texts", texts(range(3)), **{"delta.appendOnly": "true"})
    with pytest.raises(ConfigError, match="takes new rows alone"):
        shelf.run(output="texts")
    assert shelf.version("texts") == 0


@pytest.mark.parametrize("feed", ["true", "false"])
def test_a_stream_scores_what_is_new_and_no_more(shelf: Shelf, feed: str) -> None:
    from sparknlp_ft.steps.streaming import NOW, follow
    from sparknlp_ft.tables.delta import TableRef

    shelf.write("texts", texts(range(10)), **{"delta.enableChangeDataFeed": feed})
    source, scored = TableRef("path", str(shelf.root / "texts")), []

    def go_on() -> int:
        scored.clear()
        follow(shelf.spark, source, str(shelf.root / "texts_predictions__stream"), NOW, lambda: scored.append(shelf.run().scored))
        return sum(scored)

    assert go_on() == 10 and shelf.right()
    shelf.table("texts").update("id < 2", {"body": "'changed'"})
    shelf.table("texts").delete("id = 5")
    shelf.write("texts", texts(range(20, 23)), mode="append", files=1)
    assert go_on() == 5 and shelf.right()
    with pytest.raises(DataError, match="not unique"):
        shelf.write("texts", {8: "twice"}, mode="append", files=1)
        go_on()
