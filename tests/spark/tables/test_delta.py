"""Delta tables: pinned once, read at that version, and clear words for whatever is not there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from sparknlp_ft.errors import DataError
from sparknlp_ft.tables.delta import Pinned, TableRef, create, delta_table, exists, files_present, pin, read

DELETION_VECTORS = {"delta.enableDeletionVectors": "true"}


def table(spark: SparkSession, root: Path, name: str = "messages", *, rows: int = 3) -> TableRef:
    ref = TableRef.parse(name, str(root))
    create(spark.range(rows).toDF("id"), ref, properties=DELETION_VECTORS)
    return ref


def ids(spark: SparkSession, pinned: Pinned) -> list[int]:
    return sorted(row.id for row in read(spark, pinned).collect())


def test_a_pinned_version_stays_what_it_was(spark: SparkSession, tmp_path: Path) -> None:
    ref = table(spark, tmp_path, "a name with spaces & 100%25")
    pinned = pin(spark, ref)
    assert (pinned.version, ids(spark, pinned)) == (0, [0, 1, 2])
    delta_table(spark, ref).delete(F.col("id") == 1)  # leaves the file, with a deletion vector beside it
    create(spark.range(7, 9).toDF("id"), ref, mode="overwrite")
    assert ids(spark, pinned) == [0, 1, 2]
    assert ids(spark, pin(spark, ref, 1)) == [0, 2]
    latest = pin(spark, ref)
    assert (latest.version, latest.table_id, ids(spark, latest)) == (2, pinned.table_id, [7, 8])


def test_a_table_made_anew_is_another_table(spark: SparkSession, tmp_path: Path) -> None:
    ref = table(spark, tmp_path)
    pinned = pin(spark, ref)
    shutil.rmtree(ref.value)
    table(spark, tmp_path)
    again = pin(spark, ref)
    assert again.version == pinned.version
    assert again.table_id != pinned.table_id
    with pytest.raises(DataError, match="made anew"):
        read(spark, pinned)


def test_a_vacuumed_version_is_found_when_pinned_or_read(spark: SparkSession, tmp_path: Path) -> None:
    ref = table(spark, tmp_path)
    before = pin(spark, ref)
    create(spark.range(5).toDF("id"), ref, mode="overwrite")
    check = "spark.databricks.delta.retentionDurationCheck.enabled"
    spark.conf.set(check, "false")
    try:
        delta_table(spark, ref).vacuum(0)
    finally:
        spark.conf.unset(check)
    with pytest.raises(DataError, match="VACUUM"):
        pin(spark, ref, 0)
    with pytest.raises(DataError, match="VACUUM"), files_present(before):
        read(spark, before).collect()
    assert ids(spark, pin(spark, ref)) == [0, 1, 2, 3, 4]


def test_what_is_not_there_is_said(spark: SparkSession, tmp_path: Path) -> None:
    table(spark, tmp_path, "messages")
    with pytest.raises(DataError, match=r"'.*mesages' is not there\. Did you mean 'messages'"):
        pin(spark, TableRef.parse("mesages", str(tmp_path)))
    with pytest.raises(DataError, match="no version 7; its versions go up to 0"):
        pin(spark, TableRef.parse("messages", str(tmp_path)), 7)
    with pytest.raises(DataError, match="sparknlp-ft ingest"):
        pin(spark, TableRef.parse("x", str(tmp_path / "no" / "folder")))


def test_what_is_not_delta_is_said(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.csv").write_text("x")
    for name in ("files", str(tmp_path / "files" / "a.csv")):
        with pytest.raises(DataError, match=r"not a Delta table \(it holds 'a\.csv'\)"):
            pin(spark, TableRef.parse(name, str(tmp_path)))
    assert not exists(spark, TableRef.parse("nothing", str(tmp_path)))


def test_what_a_write_left_that_was_killed_before_its_commit_is_no_table_yet(spark: SparkSession, tmp_path: Path) -> None:
    ref = TableRef.parse("messages", str(tmp_path))
    (tmp_path / "messages" / "_delta_log").mkdir(parents=True)
    (tmp_path / "messages" / "part-00000.parquet").write_text("half")
    assert not exists(spark, ref)
    create(spark.range(3), ref)
    assert exists(spark, ref) and spark.read.format("delta").load(ref.value).count() == 3


def test_a_name_needs_a_catalog_that_lasts(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="forgotten when the job ends"):
        pin(spark, TableRef.parse("sales.messages", str(tmp_path)))


def test_a_first_write_that_fails_leaves_nothing(spark: SparkSession, tmp_path: Path) -> None:
    ref = TableRef.parse("messages", str(tmp_path))
    failing = spark.range(3).select(F.raise_error(F.lit("no")).cast("int").alias("id"))
    with pytest.raises(Exception, match="no"):
        create(failing, ref)
    assert not Path(ref.value).exists()
    table(spark, tmp_path)
    with pytest.raises(Exception, match="no"):
        create(failing, ref, mode="overwrite")
    assert ids(spark, pin(spark, ref)) == [0, 1, 2]
