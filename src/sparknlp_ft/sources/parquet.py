"""Parquet files, read by Spark."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import functions as F

from sparknlp_ft.errors import DataError
from sparknlp_ft.sessions import spark_address
from sparknlp_ft.sources.listing import open_bytes
from sparknlp_ft.sources.shape import PLACE
from sparknlp_ft.tables.names import column

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def read_parquet(spark: SparkSession, files: list[tuple[str, int]]) -> tuple[DataFrame, list[tuple[str, int, int]]]:
    """Read files together: their rows, and how many each (file, part) has.

    Args:
        spark: The session.
        files: Path and bytes of each.

    Raises:
        DataError: One is no Parquet file, or they do not fit each other.
    """
    from py4j.protocol import Py4JJavaError
    from pyspark.errors import PySparkException

    for path, _ in files:
        _check_whole(path)
    try:
        frame = parquet_rows(spark, [_escaped(path) for path, _ in files])
        return frame, count_parts(frame)
    except (PySparkException, Py4JJavaError) as error:
        reason = str(error).splitlines()[0][:300]
        raise DataError(f"Parquet file(s) {files[0][0]!r} … cannot be read together: {reason}. Nothing was written.") from error


def parquet_rows(spark: SparkSession, paths: list[str]) -> DataFrame:
    """Read Parquet files, with the place of each row."""
    frame = spark.read.parquet(*(spark_address(spark, path) for path in paths))
    place = (F.col("_metadata.file_path"), F.lit(0), F.col("_metadata.row_index"), F.lit(None).cast("bigint"))
    return frame.select(*[one.alias(name) for one, name in zip(place, PLACE, strict=True)], *[column(name) for name in frame.columns])


def count_parts(frame: DataFrame) -> list[tuple[str, int, int]]:
    """Return the rows of each (file, part), sorted."""
    rows = frame.groupBy(*PLACE[:2]).count().collect()
    return sorted((row[0], row[1], row[2]) for row in rows)


def _escaped(path: str) -> str:
    """Return a path that Spark does not take for a glob."""
    return "".join(f"\\{c}" if c in "*?[]{}" else c for c in path)


def _check_whole(path: str) -> None:
    """Read what a Parquet file says of itself at its end: one that was cut short has none, and Spark would say so in pages."""
    with open_bytes(path) as stream:
        if stream.read(4) != b"PAR1":
            raise DataError(f"{path!r} is not a Parquet file: it does not begin with PAR1. Nothing was written.")
        stream.seek(0)
        try:
            pq.read_metadata(stream)
        except (pa.ArrowException, OSError) as error:
            raise DataError(
                f"{path!r} begins like a Parquet file and does not end like one: it was cut short, or its end is broken; copy it anew. "
                "Nothing was written."
            ) from error
