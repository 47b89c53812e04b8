"""From scores to the predictions table: staged, checked, merged by key, checked again.

The write of the stage is the only consumer of the scoring UDF: everything after reads the stage. So a merge that loses against
another writer is tried again with the same scores.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from sparknlp_ft.errors import DataError, shown
from sparknlp_ft.progress import log
from sparknlp_ft.scoring.rows import DELETED, EMPTY, ERROR, OK
from sparknlp_ft.scoring.stages import Stage
from sparknlp_ft.sessions import is_connect
from sparknlp_ft.tables.delta import TableRef, create, delta_table, exists, history, in_sql, latest_version
from sparknlp_ft.tables.names import column, quoted
from sparknlp_ft.versions import condition, conflicts

if TYPE_CHECKING:
    from delta.tables import DeltaTable
    from pyspark.sql import DataFrame, SparkSession

#: With deletion vectors a merge of few rows marks the old ones instead of copying the files they are in.
PROPERTIES = {"delta.enableDeletionVectors": "true"}

#: Seconds before each further try of a merge that lost against another writer; up to half as much again is added by chance.
WAITS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)

#: Conflicts whose names do not say so.
_CHANGED = ("DELTA_METADATA_CHANGED", "DELTA_PROTOCOL_CHANGED")

#: Characters that Delta takes in column names only where columns are mapped.
_MAPPED = set(" ,;{}()\n\t=")


@dataclass(frozen=True)
class StageCounts:
    """Rows of a stage by status."""

    rows: int
    ok: int
    empty: int
    error: int
    truncated: int
    deleted: int = 0  #: Keys that are no longer in the source, among ``rows``.


@dataclass(frozen=True)
class Merging:
    """How a stage is merged.

    Attributes:
        keys: Columns that tell the rows of the table apart.
        rows: Rows in the stage.
        in_place: Whether the columns are added to the source table: then rows are updated, and none is inserted.
        known: Version of the table that the stage was made for; None: there was no table.
        prefix: Of the prediction columns.
        gone: Whether staged keys that are no longer in the source are to ``mark`` or to ``delete``; ``keep``: there are none.
        note: Written into the commit.
    """

    keys: tuple[str, ...]
    rows: int
    in_place: bool = False
    known: int | None = None
    prefix: str = ""
    gone: str = "keep"
    note: str = ""


def write_stage(scored: DataFrame, stage: Stage) -> None:
    """Write the scores: a Delta table, so that retried tasks leave nothing behind."""
    create(scored, TableRef("path", stage.path), properties=_mapping(scored))


def read_stage(spark: SparkSession, stage: Stage) -> DataFrame:
    """Return the staged rows."""
    return spark.read.format("delta").load(stage.path)


def check_stage(staged: DataFrame, keys: Sequence[str], *, expected: int, prefix: str = "") -> StageCounts:
    """Count the staged rows and prove that there is one for each row that was to be scored.

    Raises:
        RuntimeError: Rows are missing, doubled, or have no key: a defect, and nothing is merged.
    """
    status, null = column(f"{prefix}status"), F.exists(F.array(*[column(key).isNull() for key in keys]), lambda one: one)
    found = staged.agg(
        F.count("*").alias("rows"),
        F.count_if(null).alias("null"),
        F.count_if(column(f"{prefix}truncated")).alias("truncated"),
        *[F.count_if(status == value).alias(value) for value in (OK, EMPTY, ERROR, DELETED)],
    ).first()
    different = staged.select(*map(column, keys)).distinct().count()
    assert found is not None
    if found["rows"] != expected or different != expected or found["null"]:
        raise RuntimeError(
            f"{expected} rows were to be scored, and the stage holds {found['rows']} rows with {different} different keys, "
            f"{found['null']} of them NULL; nothing was merged"
        )
    return StageCounts(found["rows"], found[OK], found[EMPTY], found[ERROR], found["truncated"], found[DELETED])


def refuse_many_errors(staged: DataFrame, counts: StageCounts, most: float, *, prefix: str = "", before: int = 0) -> None:
    """Stop before the merge if too large a share of rows is in error.

    Args:
        staged: The stage.
        counts: Of its rows.
        most: The largest share that is let through.
        prefix: Of the prediction columns.
        before: So many of the rows were in error before; they do not count.

    Raises:
        DataError: Says how many, and the most frequent errors.
    """
    rows = counts.rows - counts.deleted
    if counts.error - before <= most * rows:
        return
    errors = staged.where(column(f"{prefix}status") == ERROR).groupBy(column(f"{prefix}error").alias("error")).count()
    top = errors.orderBy(F.desc("count"), "error").limit(3).collect()
    listed = "; ".join(f"{row['count']} × {row['error']}" for row in top)
    raise DataError(
        f"{counts.error} of {rows} rows could not be scored, more than score.max_error_fraction={most} allows; nothing was merged. "
        f"Most frequent: {listed}. Mend the rows or the model, or raise score.max_error_fraction."
    )


def create_empty(spark: SparkSession, output: TableRef, staged: DataFrame) -> None:
    """Make the predictions table, with the stage's columns and deletion vectors, and no row; one made meanwhile serves as well."""
    try:
        create(staged.limit(0), output, properties=PROPERTIES | _mapping(staged))
    except Exception:
        if not exists(spark, output):
            raise
        log.info("%s was made meanwhile; merging into it", output.display)


def merge_stage(spark: SparkSession, output: TableRef, stage: Stage, merging: Merging) -> int:
    """Merge the stage by key into the table; returns the version this made.

    A merge that loses against another writer is tried again, with waits of half a minute in all: its transaction id makes that
    safe. If all tries are lost, the stage is kept for the next run.

    Args:
        spark: The session.
        output: Predictions table, or the source itself.
        stage: A stage that ``check_stage`` has passed.
        merging: How.

    Raises:
        ValueError: The stage is empty: merging it would be a mistake, as Delta may commit all the same.
        DataError: Rows of the source have vanished since they were read, other writers never let it through, or one of them has
            written rows under the same keys.
        RuntimeError: Delta did not merge as many rows as were staged.
    """
    if merging.rows < 1:
        raise ValueError("an empty stage is not merged")
    for wait in (*WAITS, None):
        try:
            return _merge_once(spark, output, stage, merging)
        except Exception as error:
            if not is_conflict(error):
                raise
            reason = _named(error)
            if wait is None:
                raise DataError(
                    f"other writers changed {output.display!r} in each of {len(WAITS) + 1} tries to merge ({reason}); the scores are kept "
                    f"in {stage.folder!r}, and the same command, run again, merges them without scoring anew"
                ) from error
        log.warning("another writer changed %s (%s); merging again in %.1f s", output.display, reason, wait)
        time.sleep(wait * (1 + random.random() / 2))  # backs off: two that lost together are not to meet again
    raise AssertionError("the last try returns or raises")


def is_conflict(error: BaseException) -> bool:
    """Whether Delta says that another writer was faster."""
    name = _named(error)
    return isinstance(error, conflicts()) or name.startswith("DELTA_CONCURRENT_") or name in _CHANGED


def _named(error: BaseException) -> str:
    return str(condition(error) or next((word for word in str(error).split() if "DELTA_" in word), type(error).__name__)).strip("[].:")


def _merge_once(spark: SparkSession, output: TableRef, stage: Stage, merging: Merging) -> int:
    staged = read_stage(spark, stage)
    if latest_version(spark, output) != merging.known:
        _refuse_doubled(spark, output, staged, merging)
    # The transaction id makes Delta skip this merge if it was committed already, silently; it must not outlive the statement.
    once = {
        "spark.databricks.delta.write.txnAppId": f"sparknlp_ft-{stage.run}",
        "spark.databricks.delta.write.txnVersion": "1",
        "spark.databricks.delta.commitInfo.userMetadata": merging.note or f"sparknlp_ft-{stage.run}",
    }
    with session_settings(spark, once):
        if is_connect(spark):
            _merge_in_sql(spark, output, staged, merging)
        else:
            _clauses(delta_table(spark, output), staged, merging).execute()
    return _check_merged(spark, output, stage, merging)


def _clauses(table: DeltaTable, staged: DataFrame, merging: Merging):  # type: ignore[no-untyped-def]  # Delta's builder has no stub
    same = " AND ".join(f"t.{quoted(key)} <=> s.{quoted(key)}" for key in merging.keys)
    merge = table.alias("t").merge(staged.alias("s"), same).withSchemaEvolution()
    if merging.in_place:
        values = {quoted(name): f"s.{quoted(name)}" for name in staged.columns if name not in merging.keys}
        return merge.whenMatchedUpdate(set=values)
    status = quoted(f"{merging.prefix}status")
    gone = f"s.{status} = '{DELETED}'"
    if merging.gone == "delete":
        merge = merge.whenMatchedDelete(gone)
    elif merging.gone == "mark":
        merge = merge.whenMatchedUpdate(gone, {status: f"s.{status}"})
    # Of a row that left, no prediction is made where another writer has deleted it meanwhile.
    return merge.whenMatchedUpdateAll().whenNotMatchedInsertAll(None if merging.gone == "keep" else f"NOT ({gone})")


def _merge_in_sql(spark: SparkSession, output: TableRef, staged: DataFrame, merging: Merging) -> None:
    """Do what ``_clauses`` says through Spark Connect, whose server need not have Delta's plugin."""
    view = f"_sparknlp_ft_{uuid.uuid4().hex}"
    staged.createOrReplaceTempView(view)
    try:
        spark.sql(merge_statement(in_sql(output), view, staged.columns, merging))
    finally:
        spark.catalog.dropTempView(view)


def merge_statement(target: str, source: str, columns: Sequence[str], merging: Merging) -> str:
    """Return the merge of a view into a table as SQL; both are given as SQL names them, columns by their names."""
    same = " AND ".join(f"t.{quoted(key)} <=> s.{quoted(key)}" for key in merging.keys)
    head = f"MERGE WITH SCHEMA EVOLUTION INTO {target} AS t USING {quoted(source)} AS s ON {same}"
    if merging.in_place:
        values = ", ".join(f"{quoted(name)} = s.{quoted(name)}" for name in columns if name not in merging.keys)
        return f"{head} WHEN MATCHED THEN UPDATE SET {values}"
    status = quoted(f"{merging.prefix}status")
    gone = f"s.{status} = '{DELETED}'"
    left = {"delete": "DELETE", "mark": f"UPDATE SET t.{status} = s.{status}"}.get(merging.gone)
    matched = f" WHEN MATCHED AND {gone} THEN {left}" if left else ""
    fresh = f" AND NOT ({gone})" if left else ""
    return f"{head}{matched} WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED{fresh} THEN INSERT *"


def _refuse_doubled(spark: SparkSession, output: TableRef, staged: DataFrame, merging: Merging) -> None:
    """Look for rows that another writer has added under a staged key since the keys were proved."""
    keys = list(map(column, merging.keys))
    now = spark.read.table(in_sql(output))
    if any(key not in now.columns for key in merging.keys):
        return
    mine = [key.alias(f"_key_{i}") for i, key in enumerate(keys)]
    same = [key.eqNullSafe(F.col(f"_key_{i}")) for i, key in enumerate(keys)]
    groups = now.join(staged.select(*mine), on=same, how="left_semi").groupBy(*keys).agg(F.count(F.lit(1)).alias("_rows"))
    doubled = groups.where(F.col("_rows") > 1).limit(5).collect()
    if doubled:
        examples = shown([row[0] if len(keys) == 1 else tuple(row[:-1]) for row in doubled])
        raise DataError(
            f"another writer has added rows to {output.display!r} under keys that were there already, for example {examples}; nothing was "
            "merged. Remove the doubled rows, and see to it that nobody else writes there"
        )


@contextmanager
def session_settings(spark: SparkSession, settings: Mapping[str, str]) -> Iterator[None]:
    """Set configuration of the session for the time of a block, then put back what was there."""
    before = {name: spark.conf.get(name, None) for name in settings}
    try:
        for name, value in settings.items():
            spark.conf.set(name, value)
        yield
    finally:
        for name, old in before.items():
            if old is None:
                spark.conf.unset(name)
            else:
                spark.conf.set(name, old)


def _mapping(df: DataFrame) -> dict[str, str]:
    """Return the table property that a key with a blank in its name needs; its source has it too."""
    return {"delta.columnMapping.mode": "name"} if any(_MAPPED & set(name) for name in df.columns) else {}


def _check_merged(spark: SparkSession, output: TableRef, stage: Stage, merging: Merging) -> int:
    mine, rows = F.col("userMetadata").contains(stage.run), merging.rows
    commit = history(spark, output, 100).where(mine).select("version", "operationMetrics").first()
    if commit is None:
        raise RuntimeError(f"the merge of {rows} rows into {output.display!r} left no commit; look at its history before scoring again")
    metrics = commit["operationMetrics"]
    merged = sum(int(metrics.get(f"numTargetRows{what}", 0)) for what in ("Updated", "Inserted", "Deleted"))
    if merging.in_place and merged < rows:
        raise DataError(f"{rows - merged} of {rows} rows vanished from {output.display!r} while they were scored; the others were merged")
    if merged != rows:
        raise RuntimeError(f"{rows} rows were staged, and {merged} merged into {output.display!r} in version {commit['version']}")
    return int(commit["version"])
