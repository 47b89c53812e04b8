"""What has one name here and several in Spark gives one result in each: run on all of them by ``make test-matrix``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from delta.tables import DeltaTable
from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparknlp_ft import versions
from sparknlp_ft.scoring.merge import is_conflict
from sparknlp_ft.sessions import beside, json_schema
from sparknlp_ft.tables.delta import TableRef, create
from sparknlp_ft.versions import is_valid_utf8, json_kinds, to_double, valid_utf8

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: Good text, bytes that never occur, sequences cut short at the end and in between, and one written too long.
BYTES = [b"plain", "hé 🙂".encode(), b"", b"a\xff\xfeb", b"cut \xf0\x9f\x99", b"\xe2\x82x", b"\xc0\x80", b"\x80\x80"]


def test_malformed_bytes_become_what_python_makes_of_them(spark: SparkSession) -> None:
    raw = spark.createDataFrame([(number, bytearray(one)) for number, one in enumerate(BYTES)], "id int, raw binary")
    text = F.col("raw").cast("string")
    # Cast back: a bad string would not survive the way to Python.
    found = raw.select("id", valid_utf8(text).cast("binary").alias("mended"), is_valid_utf8(text).alias("valid")).orderBy("id").collect()
    wanted = [one.decode("utf-8", errors="replace").encode() for one in BYTES]
    assert [bytes(row["mended"]) for row in found] == wanted
    assert [row["valid"] for row in found] == [mended == one for mended, one in zip(wanted, BYTES, strict=True)]
    none = F.lit(None).cast("string")
    assert list(spark.range(1).select(valid_utf8(none), is_valid_utf8(none)).collect()[0]) == [None, None]


@pytest.mark.parametrize("ansi", ["true", "false"])
def test_what_is_no_number_is_null_in_either_mode(spark: SparkSession, ansi: str) -> None:
    texts = ["1", " -2.5 ", "1e3", ".5", "7.", "Infinity", "x", "", "1,5", "0x1", None]
    before = spark.conf.get("spark.sql.ansi.enabled")
    spark.conf.set("spark.sql.ansi.enabled", ansi)
    try:
        rows = spark.createDataFrame(list(enumerate(texts)), "id int, text string").orderBy("id").select(to_double(F.col("text"))).collect()
    finally:
        spark.conf.set("spark.sql.ansi.enabled", str(before))
    assert [row[0] for row in rows] == [1.0, -2.5, 1000.0, 0.5, 7.0, float("inf"), None, None, None, None, None]


OBJECTS = ['{"a": "x", "b c": [1]}', '{"a": 1, "b c": {"d": true}}', '{"a": null}', "no JSON"]


@pytest.mark.parametrize("variants", [True, False])
def test_fields_of_json_have_types_with_and_without_variants(spark: SparkSession, monkeypatch: pytest.MonkeyPatch, variants: bool) -> None:
    if not variants:
        monkeypatch.delattr(F, "schema_of_variant", raising=False)
    frame = spark.createDataFrame(list(enumerate(OBJECTS)), "id int, text string").orderBy("id")
    a, b = json_kinds(F.col("text"), ["a", "b c"])
    found = [tuple(None if kind == "VOID" else kind for kind in row) for row in frame.select(a, b).collect()]
    assert found == [("STRING", "ARRAY<BIGINT>"), ("BIGINT", "OBJECT<d: BOOLEAN>"), (None, None), (None, None)]


def test_json_objects_have_one_schema_for_all(spark: SparkSession) -> None:
    texts = spark.createDataFrame([(one,) for one in ('{"a": 1}', '{"a": 2.5, "b": ["x"]}', '{"b": null}')], "text string")
    assert json_schema(spark, texts) == T.StructType([T.StructField("a", T.DoubleType()), T.StructField("b", T.ArrayType(T.StringType()))])


def test_a_thread_beside_works_in_the_same_session(spark: SparkSession) -> None:
    assert beside(spark, lambda: spark.range(3).count()).result() == 3


def test_a_race_that_is_lost_is_known_as_one(spark: SparkSession, tmp_path: Path) -> None:
    table, began, go = str(tmp_path / "t"), tmp_path / "began", tmp_path / "go"
    create(spark.range(4).withColumn("v", F.lit(0)), TableRef("path", table))

    def waits(value: int) -> int:
        """Hold a merge up, behind its first look at the table, until another writer has been there."""
        began.touch()
        for _ in range(1200):
            if go.exists():
                break
            time.sleep(0.05)  # polls from another process
        return value

    # One task: the other slot is for who is faster.
    source = spark.range(0, 4, 1, 1).withColumn("v", F.udf(waits, "int")(F.col("id").cast("int")))
    merge = DeltaTable.forPath(spark, table).alias("t").merge(source.alias("s"), "t.id = s.id").whenMatchedUpdateAll()
    slow = beside(spark, merge.execute)
    while not began.exists() and slow.thread.is_alive():
        time.sleep(0.05)  # polls as well
    DeltaTable.forPath(spark, table).delete("id = 1")
    go.touch()
    with pytest.raises(Exception) as lost:  # which kind is what differs
        slow.result()
    assert is_conflict(lost.value), f"{type(lost.value)}: {lost.value}"
    assert not is_conflict(ValueError("DELTA_TABLE_NOT_FOUND"))


def test_this_spark_has_its_delta(spark: SparkSession) -> None:
    versions.require_spark(spark.version)
    assert versions.version_of("delta-spark") == versions.DELTA[versions.minor(spark.version)]
