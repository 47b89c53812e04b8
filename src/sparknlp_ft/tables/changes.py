"""Which rows of a table are new or changed since an earlier version, told by its files, or by its change feed where it has one.

Files are written whole, and none is changed: a row of a file that both versions have is the same in both. This asks the
transaction log of open-source Delta; another build, a version that the log no longer tells of, or a schema that changed gives no
answer, and every row is looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from sparknlp_ft.progress import log
from sparknlp_ft.sessions import DeltaLog, open_delta_log, spark_errors
from sparknlp_ft.tables.delta import Pinned, history
from sparknlp_ft.tables.names import column

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

#: Operations behind which a file that stays has the rows it had, or fewer: each can only add to what its deletion vector hides.
HIDING = ("WRITE", "DELETE", "UPDATE", "MERGE", "STREAMING UPDATE", "OPTIMIZE", "VACUUM START", "VACUUM END")
#: Commits that are looked through.
REACH = 1000
#: Of more files than this the names are not handed to and fro: then a good part of the table is new.
MOST_FILES = 5000


def changes_since(spark: SparkSession, table: Pinned, since: int, keys: Sequence[str], *, most: int) -> DataFrame | None:
    """Return rows of a version of a table, among them all that another version of it has not in this form.

    Args:
        spark: The session.
        table: The version, pinned.
        since: The other version.
        keys: Columns that tell rows apart.
        most: So many rows at most.

    Returns:
        The rows; None if there are too many, or it cannot be told which they are.
    """
    if table.ref.kind != "path" or (delta_log := open_delta_log(spark, table.ref.value)) is None:
        return None
    try:
        return _changes(spark, delta_log, table, (since, most), keys)
    except spark_errors() as error:
        name, reason = table.ref.display, type(error).__name__
        log.info("what changed in %s since version %d cannot be told (%s); looking at every row", name, since, reason)
        return None


def _changes(spark: SparkSession, delta_log: DeltaLog, table: Pinned, span: tuple[int, int], keys: Sequence[str]) -> DataFrame | None:
    since, most = span
    now, before = (delta_log.at(version) for version in (table.version, since))
    if now.metadata().schemaString() != before.metadata().schemaString() or now.metadata().id() != before.metadata().id():
        return None
    hidden = not _only_hid(spark, table, since)
    files, old = _files(delta_log, now, hidden=hidden), _files(delta_log, before, hidden=hidden)
    new = files.join(old, on=[name for name in files.columns if name != "rows"], how="left_anti").limit(MOST_FILES + 1).collect()
    if len(new) > MOST_FILES or any(file["rows"] is None for file in new) or sum(file["rows"] for file in new) > most:
        return _fed(spark, table, since, keys, most) if _has_feed(now) and since < table.version else None
    return delta_log.rows(now, [file["path"] for file in new])


def _has_feed(snapshot: Any) -> bool:
    value = snapshot.metadata().configuration().get("delta.enableChangeDataFeed")
    return bool(value.isDefined()) and str(value.get()).lower() == "true"


def _fed(spark: SparkSession, table: Pinned, since: int, keys: Sequence[str], most: int) -> DataFrame | None:
    """Return the rows that the change feed tells of as they are now; None if they are too many.

    Of a key's changes the last commit's count. One that deletes a row and inserts it tells both; then the row is there.
    """
    reader = spark.read.format("delta").option("readChangeFeed", "true").option("startingVersion", since + 1)
    feed = reader.option("endingVersion", table.version).load(table.ref.value)
    names = [f"_key_{i}" for i in range(len(keys))]
    told = feed.select(*[column(key).alias(name) for key, name in zip(keys, names, strict=True)], F.col("_commit_version").alias("_last"))
    last = told.groupBy(*names).agg(F.max("_last").alias("_last"))
    same = [column(key).eqNullSafe(F.col(name)) for key, name in zip(keys, names, strict=True)]
    there = feed.where(F.col("_change_type").isin("insert", "update_postimage"))
    rows = there.join(last, on=[*same, F.col("_commit_version") == F.col("_last")], how="left_semi")
    rows = rows.drop("_change_type", "_commit_version", "_commit_timestamp")
    return rows if rows.count() <= most else None


def _files(delta_log: DeltaLog, snapshot: Any, *, hidden: bool) -> DataFrame:
    """Return a version's files with their rows, hidden ones counted too; what is hidden tells them apart as well, if wished."""
    columns = [F.col("path"), F.get_json_object("stats", "$.numRecords").cast("long").alias("rows")]
    vector = ("storageType", "pathOrInlineDv", "offset", "cardinality")
    if hidden:
        columns.append(F.coalesce(F.to_json(F.struct(*[F.col(f"deletionVector.{name}") for name in vector])), F.lit("")).alias("hidden"))
    return delta_log.files(snapshot).select(*columns)


def _only_hid(spark: SparkSession, table: Pinned, since: int) -> bool:
    """Whether no commit between two versions can have shown again what a deletion vector hid."""
    if table.version - since > REACH or table.version < since:
        return False
    latest = history(spark, table.ref, REACH).select("version", "operation").collect()
    between = [commit for commit in latest if since < commit["version"] <= table.version]
    return len(between) == table.version - since and all(commit["operation"] in HIDING for commit in between)
