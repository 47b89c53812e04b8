"""From files and Hub data sets to rows in Spark, read once, checked whole, each with its place in its file.

The place (source, file, part, row) is what made keys are counted from: the same files always give the same keys.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pyarrow as pa
from pyspark import StorageLevel
from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparknlp_ft.config import SourceConfig
from sparknlp_ft.errors import DataError, shown
from sparknlp_ft.progress import log
from sparknlp_ft.sessions import json_schema
from sparknlp_ft.sources.files import BadRecord, Part, Record, check_encoding, line_of, located, parts_of
from sparknlp_ft.sources.formats import ARROW, JSON, Reader, reader_of
from sparknlp_ft.sources.hub import read_hub
from sparknlp_ft.sources.json_values import mend, mend_json
from sparknlp_ft.sources.listing import list_files
from sparknlp_ft.sources.parquet import count_parts, read_parquet
from sparknlp_ft.sources.shape import PLACE, kept_values, shaped
from sparknlp_ft.storage import Folder
from sparknlp_ft.tables.watch import spark_step
from sparknlp_ft.versions import json_kinds

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

_ERROR, _MENDED = "__error", "__mended"
#: Formats whose strings may hold half a character.
_JSON_FORMATS = ("json", "jsonl", "squad", "snips")

#: JSON types that a message names.
_SHOWN_TYPES = 5
_BATCH_ROWS, _BATCH_CHARS = 5_000, 16 * 2**20


@dataclass
class Loaded:
    """The rows of one source with their place, and the rows of each (file, part) in order.

    ``counts`` are of all rows, also where ``keep`` leaves some out: keys made from them do not depend on what is kept.
    """

    frame: DataFrame
    counts: list[tuple[str, int, int]] = field(default_factory=list)
    kept: int | None = None  #: Rows of ``frame``, if they are fewer.

    @property
    def rows(self) -> int:
        return sum(rows for _, _, rows in self.counts) if self.kept is None else self.kept


@contextmanager
def read_sources(spark: SparkSession, sources: list[SourceConfig], *, scratch: Folder, split_column: str | None) -> Iterator[list[Loaded]]:
    """Read every source, and forget what was kept in memory at the end.

    Args:
        spark: The session.
        sources: Files or Hub data sets.
        scratch: Folder that the workers see too, for Hub data sets; removed at the end.
        split_column: Column for the split that a source's configuration (or a Hub data set's own name) gives.

    Raises:
        DataError: A source is not there or malformed; names file, line and reason where they can be had.
    """
    kept: list[DataFrame] = []
    try:
        with spark_step(f"reading {len(sources)} source(s)", spark):
            loaded = [
                read_source(spark, source, kept=kept, scratch=scratch / str(number), split_column=split_column)
                for number, source in enumerate(sources)
            ]
        yield loaded
    finally:
        for frame in kept:
            frame.unpersist()
        scratch.delete()


def read_source(spark: SparkSession, source: SourceConfig, *, kept: list[DataFrame], scratch: Folder, split_column: str | None) -> Loaded:
    """Read one source; what is kept in memory for a second look is added to ``kept``."""
    if source.format == "hub":
        named = None if source.hash_split else split_column
        frame = read_hub(spark, source, scratch=scratch, split_column=named)
        return _shaped(Loaded(frame, count_parts(frame)), source)
    files = list_files(source)
    loaded = Loaded(*read_parquet(spark, files)) if source.format == "parquet" else _text(spark, source, files, kept)
    loaded = _shaped(loaded, source)
    if source.split is None or source.hash_split:
        return loaded
    if split_column is None:
        raise DataError(f"source {source.path!r} names split {source.split!r}, but data.split_column is null: name a column for it")
    return replace(loaded, frame=loaded.frame.withColumn(split_column, F.lit(source.split)))


def _shaped(loaded: Loaded, source: SourceConfig) -> Loaded:
    frame = shaped(loaded.frame, source)
    if source.keep is None:
        return replace(loaded, frame=frame)
    kept = frame.count()
    if loaded.rows and not kept:
        values = shown(kept_values(source))
        raise DataError(f"source {source.path!r}: no row has one of keep's values in column {source.keep.column!r} ({values})")
    return replace(loaded, frame=frame, kept=kept)


def _text(spark: SparkSession, source: SourceConfig, files: list[tuple[str, int]], kept: list[DataFrame]) -> Loaded:
    check_encoding(source)
    reader = reader_of(source, files[0][0])
    raw = _records(spark, parts_of(files, source), reader).persist(StorageLevel.MEMORY_AND_DISK)
    kept.append(raw)
    bad = raw.where(F.col(_ERROR).isNotNull()).orderBy(*PLACE[:2]).select(PLACE[0], PLACE[3], _ERROR).first()
    if bad is not None:
        raise located(bad[0], BadRecord(bad[1], bad[2]))
    if source.format in _JSON_FORMATS:
        _tell_mended(raw, source)
    frame = raw.drop(_ERROR, _MENDED)
    return Loaded(_parsed(spark, frame) if JSON in reader.columns else frame, count_parts(frame))


def _tell_mended(raw: DataFrame, source: SourceConfig) -> None:
    """Say how many records had half a character, and where the first stands."""
    mended = raw.where(_MENDED)
    found = mended.agg(F.count("*").alias("rows"), F.min(F.struct(PLACE[0], PLACE[1], PLACE[2], PLACE[3])).alias("first")).first()
    if found is None or not found["rows"]:
        return
    path, _, row, at = found["first"]
    line = line_of(path, source, at)
    log.warning(
        "source %r: %d row(s) hold half a character (a lone surrogate such as \\ud83d), written as U+FFFD; first in %r, %s",
        source.path,
        found["rows"],
        path,
        f"line {line}" if line else f"row {row + 1}",
    )


def _records(spark: SparkSession, parts: list[Part], reader: Reader) -> DataFrame:
    """One task per part; a bad record ends its part as a row that says where and why, so that the driver can."""
    place = f"{PLACE[0]} string, {PLACE[1]} int, {PLACE[2]} bigint, {PLACE[3]} bigint, {_ERROR} string, {_MENDED} boolean"
    fields = [*T._parse_datatype_string(place).fields]  # type: ignore[attr-defined]
    fields += [T.StructField(name, T._parse_datatype_string(kind)) for name, kind in reader.columns.items()]

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number in batch.column(0).to_pylist():
                yield from _batches(parts[number], reader)

    return spark.range(0, len(parts), 1, len(parts)).mapInArrow(run, T.StructType(fields))


def _batches(part: Part, reader: Reader) -> Iterator[pa.RecordBatch]:
    records: list[Record] = []
    begun, chars = 0, 0
    try:
        for record in reader.read(part):
            records.append(record)
            chars += sum(len(one) for one in record[1] if one)
            if len(records) == _BATCH_ROWS or chars > _BATCH_CHARS:
                yield _batch(part, records, reader, begun=begun)
                begun, chars, records = begun + len(records), 0, []
    except BadRecord as error:
        yield _batch(part, [(error.line, [None] * len(reader.columns))], reader, begun=begun, error=error.reason)
    except OSError as error:
        reason = f"cannot be read on the worker ({error}); put it where all machines see it"
        yield _batch(part, [(0, [None] * len(reader.columns))], reader, begun=begun, error=reason)
    else:
        if records:
            yield _batch(part, records, reader, begun=begun)


def _batch(part: Part, records: list[Record], reader: Reader, *, begun: int, error: str | None = None) -> pa.RecordBatch:
    size = len(records)
    kept = [[mend_json(one) for one in row] if JSON in reader.columns and error is None else mend(row) for _, row in records]
    columns = {
        PLACE[0]: pa.array([part.path] * size, pa.string()),
        PLACE[1]: pa.array([part.number] * size, pa.int32()),
        PLACE[2]: pa.array(range(begun, begun + size), pa.int64()),
        PLACE[3]: pa.array([at for at, _ in records], pa.int64()),
        _ERROR: pa.array([error] * size, pa.string()),
        _MENDED: pa.array([row != before for row, (_, before) in zip(kept, records, strict=True)], pa.bool_()),
    }
    values = [pa.array([row[at] for row in kept], ARROW[kind]) for at, kind in enumerate(reader.columns.values())]
    return pa.RecordBatch.from_arrays([*columns.values(), *values], [*columns, *reader.columns])


def _parsed(spark: SparkSession, frame: DataFrame) -> DataFrame:
    """JSON texts to columns, with the types that all rows together ask for.

    Raises:
        DataError: There is no field, or one is written in upper and in lower case.
    """
    schema = json_schema(spark, frame.select(JSON))
    # Where objects differ in the case of a key alone, Spark infers one spelling, and reads NULL from the other.
    keys = frame.select(F.explode(F.json_object_keys(JSON)).alias("key")).distinct().collect()
    if twice := _same_but_for_case(sorted(row["key"] for row in keys)) or _written_twice(schema):
        raise DataError(
            f"the JSON objects of this source write one key as {' and as '.join(map(repr, twice))}, which are one column of a table; "
            "write it one way throughout. Nothing was written."
        )
    if not schema.fields:
        raise DataError("the JSON objects of this source have no fields. Nothing was written.")
    _tell_types(frame, schema)
    parsed = frame.withColumn(JSON, F.from_json(JSON, schema))
    return parsed.select(*PLACE, *[_field(name) for name in schema.names])


def _tell_types(frame: DataFrame, schema: T.StructType) -> None:
    """Say which columns are strings only because their JSON values are of several types."""
    names = [field.name for field in schema.fields if isinstance(field.dataType, T.StringType) and "'" not in field.name]
    if not names:
        return
    kinds = json_kinds(F.col(JSON), names)
    other = [F.when(~kind.isin("STRING", "VOID"), kind) for kind in kinds]
    counted = frame.agg(*[one for kind in other for one in (F.count(kind), F.array_sort(F.collect_set(F.substring(kind, 1, 40))))]).first()
    assert counted is not None
    for number, name in enumerate(names):
        rows, found = counted[2 * number], counted[2 * number + 1]
        if rows:
            log.warning(
                "column %r holds JSON values of several types: %d are no strings (%s), and are written as their JSON text",
                name,
                rows,
                ", ".join(found[:_SHOWN_TYPES]) + (", …" if len(found) > _SHOWN_TYPES else ""),
            )


def _written_twice(kind: T.DataType) -> list[str]:
    """Return the names of the first fields, here or further in, that differ by case alone."""
    if isinstance(kind, T.ArrayType):
        return _written_twice(kind.elementType)
    if not isinstance(kind, T.StructType):
        return []
    return _same_but_for_case(kind.names) or next((found for field in kind.fields if (found := _written_twice(field.dataType))), [])


def _same_but_for_case(names: Sequence[str]) -> list[str]:
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(name.lower(), []).append(name)
    return next((same for same in groups.values() if len(same) > 1), [])


def _field(name: str) -> Column:
    return F.col(JSON).getField(name).alias(name)
