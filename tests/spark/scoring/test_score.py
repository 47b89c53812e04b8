"""Scoring a table: exactly what is new or changed, once, by key; nothing half, nothing twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pyspark.sql import functions as F

from sparknlp_ft import tasks
from sparknlp_ft.errors import ConfigError, DataError, ModelError
from sparknlp_ft.pipelines.score import run_score
from sparknlp_ft.scoring.engine import load_engine
from sparknlp_ft.tracking import store
from sparknlp_ft.tracking.downloaded import model_folder
from sparknlp_ft.tracking.registry import resolve_model
from tests.spark.scoring.conftest import Lake

Rows = Callable[[int], list[tuple]]
ODD = [None, "", " \t\n ", "🙂🙃", "שלום עולם", "a\0b card", "x" * 100_000, "card " * 20_000]


def test_rerun_scores_nothing_and_five_changes_score_five(lake: Lake, support: Rows) -> None:
    lake.write("support", support(120))
    config = lake.config("support")
    first = run_score(config, lake.spark)
    assert (first.rows_in, first.scored, first.skipped, first.ok) == (120, 120, 0, 120)
    table = lake.read("support_predictions")
    assert table.count() == 120 and table.select("id").distinct().count() == 120
    assert lake.history("support_predictions")[0]["version"] == first.output_version

    again = run_score(config, lake.spark)
    assert (again.rows_in, again.scored, again.skipped, again.rows_per_second) == (120, 0, 120, 0.0)
    assert again.output_version == first.output_version == len(lake.history("support_predictions")) - 1

    lake.update("support", "id < 5", body="concat(body, ' please')")
    third = run_score(config, lake.spark)
    assert (third.scored, third.skipped) == (5, 115)
    metrics = lake.history("support_predictions")[0]["operationMetrics"]
    assert metrics["numTargetRowsUpdated"] == "5" and metrics["numTargetRowsCopied"] == "0", "deletion vectors spare the other rows"
    versions = lake.read("support_predictions").groupBy("source_version").count().collect()
    assert {row["source_version"]: row["count"] for row in versions} == {0: 115, 1: 5}
    assert not [path.name for path in lake.root.iterdir() if "scoring" in path.name], "no stage is left"
    assert "5 rows" not in str(again) and "scored       5 rows" in str(third)


def test_every_prediction_says_where_it_comes_from(lake: Lake, support: Rows) -> None:
    path = lake.write("support", support(30))
    run_score(lake.config("support"), lake.spark)
    model = resolve_model(store.connect(lake.tracking), "tiny@champion")
    table = lake.read("support_predictions")
    assert table.columns == [
        "id", "label", "score", "scores", "status", "error", "truncated", "model_name", "model_version", "run_id", "source_table",
        "source_version", "input_hash", "scored_at",
    ]  # fmt: skip
    origin = table.select("model_name", "model_version", "run_id", "source_table", "source_version").distinct().collect()
    assert [tuple(row) for row in origin] == [("tiny", "1", model.run_id, path, 0)]


def test_predictions_are_those_of_the_engine(lake: Lake, support: Rows, tmp_path: object) -> None:
    rows = support(40)
    lake.write("support", rows)
    run_score(lake.config("support"), lake.spark)
    connected = store.connect(lake.tracking)
    folder = model_folder(store.download_model(connected, resolve_model(connected, "tiny/1"), lake.root / "model"))
    engine = load_engine(folder, precision="float32", device="cpu")
    expected = engine.task.decode(engine.predict([row[1] for row in rows]).results, tasks.Rows([]), engine.setup)
    found = {row["id"]: row for row in lake.read("support_predictions").collect()}
    for i, row in expected.iterrows():
        assert found[i]["label"] == row["label"]
        assert found[i]["score"] == pytest.approx(row["score"], abs=1e-5)
        assert found[i]["scores"] == pytest.approx(row["scores"], abs=1e-5)


def test_odd_texts_are_scored_or_marked_and_no_other_row_changes(lake: Lake, support: Rows) -> None:
    usual = support(30)
    lake.write("usual", usual)
    lake.write("odd", [*usual, *[(100 + i, text, "bad", "train") for i, text in enumerate(ODD)]])
    run_score(lake.config("usual"), lake.spark)
    result = run_score(lake.config("odd"), lake.spark)
    assert (result.rows_in, result.ok, result.empty, result.errors, result.truncated) == (38, 35, 3, 0, 1)
    one, other = lake.read("usual_predictions"), lake.read("odd_predictions")
    pairs = one.alias("a").join(other.alias("b"), "id").select("a.label", "b.label", "a.score", "b.score").collect()
    assert len(pairs) == 30 and all(a == b and c == pytest.approx(d, abs=1e-5) for a, b, c, d in pairs)
    marked = other.where("id >= 100").orderBy("id").collect()
    assert [row["status"] for row in marked] == ["empty"] * 3 + ["ok"] * 5
    assert marked[0]["label"] is None and marked[0]["scores"] is None and marked[7]["truncated"]
    assert run_score(lake.config("odd"), lake.spark).scored == 0, "a NULL text has a hash too"


def test_invalid_utf8_is_mended_and_noted(lake: Lake) -> None:
    frame = lake.spark.createDataFrame([(1, bytearray(b"my card \xff\xfe")), (2, bytearray(b"my pin"))], "id long, raw binary")
    frame.select("id", F.col("raw").cast("string").alias("body")).write.format("delta").save(str(lake.root / "bytes"))
    assert run_score(lake.config("bytes"), lake.spark).ok == 2
    notes = {row["id"]: row["error"] for row in lake.read("bytes_predictions").collect()}
    assert "UTF-8" in notes[1] and notes[2] is None


def test_another_model_version_scores_all_again(lake: Lake, support: Rows) -> None:
    lake.write("support", support(30))
    run_score(lake.config("support"), lake.spark)
    result = run_score(lake.config("support", score={"model": "tiny/2"}), lake.spark)
    assert (result.scored, result.model_version) == (30, "2")
    table = lake.read("support_predictions")
    assert table.count() == 30 and table.select("model_version").distinct().collect()[0][0] == "2"


def test_composite_keys_conditions_and_a_named_output(lake: Lake, support: Rows) -> None:
    rows = [(row[0] % 5, f"part {row[0] // 5}", row[1]) for row in support(25)]
    frame = lake.spark.createDataFrame(rows, "`group id` long, part string, body string")
    frame.write.format("delta").option("delta.columnMapping.mode", "name").save(str(lake.root / "parts"))
    data = {"key": ["group id", "part"]}
    some = run_score(lake.config("parts", data=data, score={"where": "`group id` < 2", "output": "here"}), lake.spark)
    assert (some.rows_in, some.scored) == (10, 10)
    everything = run_score(lake.config("parts", data=data, score={"output": "here"}), lake.spark)
    assert (everything.rows_in, everything.scored) == (25, 15)
    assert lake.read("here").select("group id", "part").distinct().count() == 25
    assert run_score(lake.config("parts", data=data, score={"where": "part = 'none'", "output": "here"}), lake.spark).rows_in == 0


def test_columns_of_the_source_itself(lake: Lake, support: Rows) -> None:
    lake.write("support", support(30))
    config = lake.config("support", score={"output": "support"})
    first = run_score(config, lake.spark)
    table = lake.read("support")
    assert first.scored == 30 and table.count() == 30
    assert table.columns[:4] == ["id", "body", "label", "split"] and "prediction_label" in table.columns
    assert {row["label"] for row in table.select("label").distinct().collect()} == {"bad", "good", "ugly"}
    versions = len(lake.history("support"))
    assert run_score(config, lake.spark).scored == 0
    assert len(lake.history("support")) == versions
    lake.update("support", "id IN (3, 4)", body="concat(body, ' help')")
    assert run_score(config, lake.spark).scored == 2
    lake.spark.createDataFrame([(99, "my card", "bad", "train")], "id long, body string, label string, split string").write.format(
        "delta"
    ).mode("append").save(str(lake.root / "support"))
    assert run_score(config, lake.spark).scored == 1
    with pytest.raises(ConfigError, match="not the latest version"):
        run_score(lake.config("support", score={"output": "support"}, data={"version": 0}), lake.spark)


def test_vanished_rows_keep_their_predictions(lake: Lake, support: Rows) -> None:
    lake.write("support", support(20))
    run_score(lake.config("support"), lake.spark)
    lake.delete("support", "id < 4")
    result = run_score(lake.config("support"), lake.spark)
    assert (result.rows_in, result.scored) == (16, 0) and lake.read("support_predictions").count() == 20


def test_an_old_version_can_be_scored(lake: Lake, support: Rows) -> None:
    lake.write("support", support(20))
    lake.write("support", [(99, "my card", "bad", "train")], mode="append")
    result = run_score(lake.config("support", data={"version": 0}), lake.spark)
    assert (result.rows_in, result.source_version) == (20, 0)


def test_the_session_is_left_as_it_was(lake: Lake, support: Rows) -> None:
    """A transaction id left in the session would make Delta skip whoever writes next, silently."""
    lake.spark.conf.set("spark.databricks.delta.commitInfo.userMetadata", "theirs")
    try:
        lake.write("support", support(10))
        run_score(lake.config("support"), lake.spark)
        assert lake.spark.conf.get("spark.databricks.delta.commitInfo.userMetadata") == "theirs"
        assert lake.spark.conf.get("spark.databricks.delta.write.txnAppId", None) is None
        assert lake.spark.conf.get("spark.databricks.delta.write.txnVersion", None) is None
        lake.write("support", [(99, "my card", "bad", "train")], mode="append")
        assert lake.read("support").count() == 11
    finally:
        lake.spark.conf.unset("spark.databricks.delta.commitInfo.userMetadata")


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"score": {"where": "body ="}}, ConfigError, "score.where: 'body ='"),
        ({"score": {"where": "bdy = 'x'"}}, ConfigError, "score.where: .*bdy"),
        ({"score": {"model": "tny@champion"}}, ModelError, r"Did you mean 'tiny'\?"),
        ({"score": {"model": "tiny@best"}}, ModelError, "champion → 1"),
        ({"score": {"table": "suport"}}, DataError, r"Did you mean 'support'\?"),
        ({"score": {"output": "other"}}, DataError, "not a predictions table"),
        ({"data": {"key": "split"}}, DataError, "not unique"),
    ],
)
def test_what_does_not_fit_is_said_and_nothing_is_written(
    lake: Lake, support: Rows, settings: dict, error: type[Exception], message: str
) -> None:
    lake.write("support", support(12))
    if settings.get("score", {}).get("output"):
        lake.write("other", support(3))
    before = sorted(path.name for path in lake.root.iterdir())
    with pytest.raises(error, match=message):
        run_score(lake.config("support", **settings), lake.spark)
    assert sorted(path.name for path in lake.root.iterdir()) == before
