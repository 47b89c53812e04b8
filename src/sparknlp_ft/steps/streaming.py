"""Scoring that follows its source: a stream says when there is something new, and each time the usual run finds what.

What is scored never depends on the stream: a checkpoint that is lost, or a change that is told twice, costs a look and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sparknlp_ft.errors import ConfigError
from sparknlp_ft.tables.delta import TableRef, properties_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
    from pyspark.sql.streaming.readwriter import DataStreamReader

#: All that is new is one batch: its files are not read, only counted as seen.
_ONE_BATCH = "1000000000"

#: In place of an interval: all that is new now, and the end.
NOW = "now"


def check_interval(every: str | None) -> None:
    """Refuse what is no interval.

    Raises:
        ConfigError: It is no number with a unit of time.
    """
    if every is None:
        return
    number, _, unit = str(every).partition(" ")
    if not number.isdigit() or int(number) < 1 or unit.rstrip("s") not in ("second", "minute", "hour"):
        raise ConfigError(f"--every: {every!r} is not an interval; give one such as '30 seconds' or '5 minutes'")


def follow(spark: SparkSession, source: TableRef, checkpoint: str, every: str, act: Callable[[], None]) -> None:
    """Act once, and then whenever the source has changed.

    Args:
        spark: The session.
        source: The table.
        checkpoint: Folder in which Spark keeps how far it is.
        every: Interval between two looks, or ``NOW``: act on what is there, and return.
        act: What to do. What it raises ends the stream, and is raised here.
    """
    raised: list[Exception] = []

    def on_change(batch: object, number: int) -> None:
        try:
            act()
        except Exception as error:
            raised.append(error)
            raise

    act()
    changes = _reader(spark, source)
    frame = changes.load(source.value) if source.kind == "path" else changes.table(source.value)
    writer = frame.writeStream.foreachBatch(on_change).option("checkpointLocation", checkpoint)
    query = (writer.trigger(availableNow=True) if every == NOW else writer.trigger(processingTime=every)).start()
    try:
        query.awaitTermination()
    except Exception as error:
        raise (raised[0] if raised else error) from error
    finally:
        query.stop()


def _reader(spark: SparkSession, source: TableRef) -> DataStreamReader:
    """Return a reader that tells of every change: by the change feed where the table has one, by its files where not."""
    reader = spark.readStream.format("delta").option("maxFilesPerTrigger", _ONE_BATCH)
    properties = properties_of(spark, source)
    if properties.get("delta.enableChangeDataFeed", "false").lower() == "true":
        return reader.option("readChangeFeed", "true")
    return reader.option("ignoreChanges", "true").option("ignoreDeletes", "true")
