"""Delta tables by path or name: parsed here alone, pinned to one version, then read at that version.

No name is put into SQL text but by ``in_sql``, for Spark Connect; a Delta folder is never globbed (old files and deletion vectors make
that wrong).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sparknlp_ft.errors import DataError, nearest
from sparknlp_ft.sessions import delta_snapshot, is_connect
from sparknlp_ft.storage import is_url
from sparknlp_ft.tables.files import delete_folder, listing, path_exists
from sparknlp_ft.tables.names import quoted
from sparknlp_ft.versions import condition, lost_file, message

if TYPE_CHECKING:
    from delta.tables import DeltaTable
    from pyspark.sql import DataFrame, Row, SparkSession

#: Rows of one file that ``create`` writes: a huge single source file must not become one huge table file.
FILE_ROWS = 1_000_000

_PART = re.compile(r"`((?:[^`]|``)+)`|([^`.\s/\\]+)")
#: Parts of a name that Spark takes unquoted.
_PLAIN = re.compile(r"\w*[^\W\d]\w*", re.ASCII)


@dataclass(frozen=True)
class TableRef:
    """A table by path (absolute, or an address with a scheme) or by the parts of its catalog name."""

    kind: Literal["path", "name"]
    value: str  #: The path, or the quoted catalog name.
    root: str | None = None  #: Folder that a bare name was looked for in: where to look for the nearest name.

    @classmethod
    def parse(cls, text: str, root: str) -> TableRef:
        """Read a table given as bare name (under ``root``), path, address, or catalog name ``schema.table``.

        Raises:
            DataError: ``text`` is none of these.
        """
        text = text.strip()
        if text.startswith("/") or is_url(text):
            return cls("path", text.rstrip("/"))
        if "/" not in text and (parts := _name_parts(text)) and len(parts) > 1:
            return cls("name", ".".join(map(quoted, parts)))
        segments = text.split("/")
        if not all(segments) or set(segments) & {".", ".."} or any(c in text for c in "`;\n\0"):
            raise DataError(
                f"{text!r} is not a table: give a bare name (kept under data.root), an absolute path, or a catalog name 'schema.table'"
            )
        return cls("path", f"{root.rstrip('/')}/{text}", root)

    @property
    def path(self) -> str | None:
        """The path, or None for a table given by name."""
        return self.value if self.kind == "path" else None

    @property
    def display(self) -> str:
        return self.value

    @property
    def readable(self) -> str:
        """What people are shown: of a catalog name the parts, quoted only where they must be."""
        if self.kind == "path":
            return self.value
        return ".".join(part if _PLAIN.fullmatch(part) else quoted(part) for part in _name_parts(self.value))

    def beside(self, suffix: str) -> TableRef:
        """Return the table of this name with a suffix, in the same place."""
        return TableRef(self.kind, f"{self.value[:-1]}{suffix}`" if self.kind == "name" else self.value + suffix)


def _name_parts(text: str) -> list[str]:
    """Split ``a.`b.c`.d`` into its parts; an empty list if it is not a name of one to three parts."""
    parts, at = [], 0
    while match := _PART.match(text, at):
        parts.append(match[1].replace("``", "`") if match[1] is not None else match[2])
        at = match.end()
        if at == len(text):
            return parts if len(parts) <= 3 else []
        if text[at] != ".":
            return []
        at += 1
    return []


@dataclass(frozen=True)
class Pinned:
    """One version of one table. ``table_id`` tells a table from another that was made anew at the same place."""

    ref: TableRef
    table_id: str
    version: int


def exists(spark: SparkSession, ref: TableRef) -> bool:
    """Whether there is a Delta table.

    Raises:
        DataError: Something else is there, or the name needs a catalog that this session lacks.
    """
    if ref.kind == "name":
        return _name_exists(spark, ref)
    found = listing(spark, ref.value)
    if "_delta_log" in found:
        # A write that was killed before its first commit has left a log without a version: there is no table yet.
        return has_commit(spark, ref.value)
    if found:
        raise DataError(
            f"{ref.value!r} is there but is not a Delta table (it holds {found[0]!r}); "
            "give another data.table, or read these files with data.sources and `sparknlp-ft ingest`"
        )
    return False


def pin(spark: SparkSession, ref: TableRef, version: int | None = None) -> Pinned:
    """Fix a table to ``version`` (default: the latest).

    Raises:
        DataError: The table or the version is not there, it is not a Delta table, or the version's files were vacuumed.
    """
    if not exists(spark, ref):
        raise DataError(f"table {ref.display!r} is not there.{_nearest_sibling(spark, ref)} Make it with `sparknlp-ft ingest`.")
    latest, table_id = _identity(spark, ref)
    pinned = Pinned(ref, table_id, latest if version is None else version)
    if version is not None and version != latest:
        _check_old_version(spark, pinned, latest)
    return pinned


def read(spark: SparkSession, pinned: Pinned) -> DataFrame:
    """Return the rows of the pinned version.

    Raises:
        DataError: The version is not there, or the table was made anew since it was pinned.
    """
    from pyspark.errors import AnalysisException

    ref, reader = pinned.ref, spark.read.format("delta").option("versionAsOf", pinned.version)
    try:
        frame = reader.load(ref.value) if ref.kind == "path" else reader.table(ref.value)
    except AnalysisException as error:
        if condition(error) == "DELTA_VERSION_NOT_FOUND":
            raise DataError(f"table {ref.display!r} has no version {pinned.version}: {message(error)}") from error
        raise
    if _identity(spark, ref)[1] != pinned.table_id:
        raise DataError(f"table {ref.display!r} was made anew while this job ran; start the job again")
    return frame


@contextmanager
def files_present(pinned: Pinned) -> Iterator[None]:
    """Turn Spark's failure on a deleted data file, which shows only when rows are read, into a DataError."""
    try:
        yield
    except Exception as error:
        if lost_file(error):
            raise _vacuumed(pinned) from error
        raise


def delta_table(spark: SparkSession, ref: TableRef) -> DeltaTable:
    """Return the handle for merge; Spark Connect has one only where the server has Delta's plugin, and is told in SQL instead."""
    from delta.tables import DeltaTable

    return DeltaTable.forPath(spark, ref.value) if ref.kind == "path" else DeltaTable.forName(spark, ref.value)


def in_sql(ref: TableRef) -> str:
    """Return a table as SQL names it, quoted."""
    return f"delta.{quoted(ref.value)}" if ref.kind == "path" else ref.value


def history(spark: SparkSession, ref: TableRef, commits: int) -> DataFrame:
    """Return the last commits of a table, the newest first."""
    if is_connect(spark):
        return spark.sql(f"DESCRIBE HISTORY {in_sql(ref)} LIMIT {commits}")
    return delta_table(spark, ref).history(commits)


def properties_of(spark: SparkSession, ref: TableRef) -> dict[str, str]:
    """Return a table's properties."""
    found: dict[str, str] = _detail(spark, ref)["properties"]
    return found


def _detail(spark: SparkSession, ref: TableRef) -> Row:
    frame = spark.sql(f"DESCRIBE DETAIL {in_sql(ref)}") if is_connect(spark) else delta_table(spark, ref).detail()
    return frame.collect()[0]


def latest_version(spark: SparkSession, ref: TableRef) -> int:
    """Return the number of the last commit."""
    return _identity(spark, ref)[0]


def create(df: DataFrame, ref: TableRef, *, properties: Mapping[str, str] | None = None, mode: str = "error") -> None:
    """Write a table in one commit; nothing stays behind when the first write of a table fails.

    Args:
        df: The rows.
        ref: Where to.
        properties: Table properties such as ``delta.enableDeletionVectors``; they count when the table is made.
        mode: ``error`` if there is one, or ``overwrite`` for a new version with this schema.
    """
    spark = df.sparkSession
    there = exists(spark, ref)
    writer = df.write.format("delta").mode(mode).option("maxRecordsPerFile", FILE_ROWS)
    writer = writer.options(**(properties or {}))
    if there and mode == "overwrite":
        writer = writer.option("overwriteSchema", "true")
    try:
        if ref.kind == "path":
            writer.save(ref.value)
        else:
            writer.saveAsTable(ref.value)
    except BaseException:
        if not there and ref.kind == "path" and not has_commit(spark, ref.value):
            delete_folder(spark, ref.value)
        raise


def _identity(spark: SparkSession, ref: TableRef) -> tuple[int, str]:
    """Return latest version and id of a table.

    Open-source Delta is asked for its snapshot at once; others in the public way, see ``sessions.delta_snapshot``.
    """
    from pyspark.errors import AnalysisException

    if ref.kind == "path" and (found := delta_snapshot(spark, ref.value)) is not None:
        version, table_id = found
    else:
        try:
            version, table_id = _identity_in_public(spark, ref)
        except AnalysisException as error:
            if condition(error) not in {"DELTA_MISSING_DELTA_TABLE", "DELTA_TABLE_NOT_FOUND", "DELTA_ONLY_OPERATION"}:
                raise
            raise _not_delta(ref) from error
    if version < 0:
        raise _not_delta(ref)
    return version, table_id


def _identity_in_public(spark: SparkSession, ref: TableRef) -> tuple[int, str]:
    return history(spark, ref, 1).collect()[0]["version"], _detail(spark, ref)["id"]


def _not_delta(ref: TableRef) -> DataError:
    return DataError(f"table {ref.display!r} is not a Delta table; convert it, or ingest its files into one")


def _check_old_version(spark: SparkSession, pinned: Pinned, latest: int) -> None:
    """Vacuum may have deleted files that the latest version no longer has: those are looked for, the others not."""
    if pinned.version > latest:
        raise DataError(f"table {pinned.ref.display!r} has no version {pinned.version}; its versions go up to {latest}")
    old = read(spark, pinned).inputFiles()
    now = set(read(spark, Pinned(pinned.ref, pinned.table_id, latest)).inputFiles())
    if any(not path_exists(spark, path) for path in old if path not in now):
        raise _vacuumed(pinned)


def _vacuumed(pinned: Pinned) -> DataError:
    return DataError(
        f"version {pinned.version} of table {pinned.ref.display!r} can no longer be read: VACUUM has deleted its files; "
        "leave data.version out to read the latest version"
    )


def _name_exists(spark: SparkSession, ref: TableRef) -> bool:
    from pyspark.errors import AnalysisException

    parts = _name_parts(ref.value)
    foreign = len(parts) == 3 and parts[0] != "spark_catalog"
    if not foreign and spark.conf.get("spark.sql.catalogImplementation", "in-memory") == "in-memory":
        raise DataError(
            f"table {ref.display} is a catalog name, and this Spark session's catalog is forgotten when the job ends; "
            "use a bare name (kept under data.root) or a path, or start Spark with a lasting catalog "
            "(spark.sql.catalogImplementation=hive, or Unity Catalog)"
        )
    schema = ref.value.rsplit(".", 1)[0]
    try:
        there = spark.catalog.tableExists(ref.value)
        if not there and not spark.catalog.databaseExists(schema):
            raise DataError(f"table {ref.display}: there is no schema {schema}; create it, or correct the name")
        return there
    except AnalysisException as error:
        raise DataError(f"table {ref.display} cannot be looked up: {str(error).splitlines()[0]}") from error


def _nearest_sibling(spark: SparkSession, ref: TableRef) -> str:
    if ref.kind == "name":
        schema, name = ref.value.rsplit(".", 1)
        return nearest(name.strip("`"), [table.name for table in spark.catalog.listTables(schema)])
    parent, name = ref.value.rsplit("/", 1)
    tables = [other for other in listing(spark, parent) if path_exists(spark, f"{parent}/{other}/_delta_log")]
    return nearest(name, tables) or (f" Tables beside it: {', '.join(tables[:8])}." if tables else "")


def has_commit(spark: SparkSession, path: str) -> bool:
    """Whether a Delta table in a folder has a version that can be read."""
    return any(name.endswith(".json") for name in listing(spark, f"{path}/_delta_log"))
