"""Folders and small files where tables lie, through Spark's own file systems: what Spark can reach, these can."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def path_exists(spark: SparkSession, path: str) -> bool:
    """Whether a file or a folder is there."""
    files, where = _filesystem(spark, path)
    return bool(files.exists(where))


def listing(spark: SparkSession, path: str) -> list[str]:
    """Return the sorted names in a folder (the name itself for a file); empty if there is none."""
    files, where = _filesystem(spark, path)
    return sorted(status.getPath().getName() for status in files.listStatus(where)) if files.exists(where) else []


def delete_folder(spark: SparkSession, path: str) -> None:
    """Delete a folder and all that is in it, on whichever file system it lies."""
    files, where = _filesystem(spark, path)
    files.delete(where, True)


def write_json(spark: SparkSession, path: str, values: Mapping[str, Any]) -> None:
    """Write plain values as a whole file."""
    files, where = _filesystem(spark, path)
    stream = files.create(where, True)
    try:
        stream.write(bytearray(json.dumps(values).encode()))
    finally:
        stream.close()


def read_json(spark: SparkSession, path: str) -> dict[str, Any] | None:
    """Return what ``write_json`` wrote; None if it is not there, or not whole."""
    files, where = _filesystem(spark, path)
    if not files.exists(where):
        return None
    stream = files.open(where)
    try:
        text = bytes(stream.readAllBytes()).decode()
    finally:
        stream.close()
    try:
        return json.loads(text)
    except ValueError:
        return None


def modified(spark: SparkSession, path: str) -> float | None:
    """Return when a file was written, in seconds by the file system's own clock; None if it is not there."""
    files, where = _filesystem(spark, path)
    return files.getFileStatus(where).getModificationTime() / 1000 if files.exists(where) else None


def _filesystem(spark: SparkSession, path: str) -> tuple[Any, Any]:
    jvm = spark.sparkContext._jvm
    assert jvm is not None
    where = jvm.org.apache.hadoop.fs.Path(path)
    return where.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration()), where
