"""From scores to the predictions table: staged, checked, merged by key, checked again.

The write of the stage is the only consumer of the scoring UDF: everything after reads the stage.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from sparknlp_ft.errors import DataError
from sparknlp_ft.scoring.rows import EMPTY, ERROR, OK
from sparknlp_ft.tables.delta import TableRef, create, delete_folder, delta_table
from sparknlp_ft.tables.names import column, quoted

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

#: With deletion vectors a merge of few rows marks the old ones instead of copying the files they are in.
PROPERTIES = {"delta.enableDeletionVectors": "true"}


#: Characters that Delta takes in column names only where columns are mapped.
_MAPPED = set(" ,;{}()\n\t=")


@dataclass(frozen=True)
class Stage:
    """Scores of one run, written beside the table they are for."""

    run: str  #: unique; also the id of the merge's transaction
    path: str


@dataclass(frozen=True)
class StageCounts:
    """Rows of a stage by status."""

    rows: int
    ok: int
    empty: int
    error: int
    truncated: int


@contextmanager
def stage_beside(spark: SparkSession, output: TableRef, root: str) -> Iterator[Stage]:
    """Name a stage's folder, and delete it in the end, whatever happens.

    It lies beside a table given by path; for a table by name, whose folder belongs to the catalog, under ``data.root``.
    A driver that is killed leaves its stage behind: a folder that nothing reads again.
    """
    run = uuid.uuid4().hex
    parent = output.value if output.kind == "path" else f"{root.rstrip('/')}/{output.value.replace('`', '')}"
    stage = Stage(run, f"{parent}__scoring_{run[:12]}")
    try:
        yield stage
    finally:
        delete_folder(spark, stage.path)


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
        *[F.count_if(status == value).alias(value) for value in (OK, EMPTY, ERROR)],
    ).first()
    different = staged.select(*map(column, keys)).distinct().count()
    assert found is not None
    if found["rows"] != expected or different != expected or found["null"]:
        raise RuntimeError(
            f"{expected} rows were to be scored, and the stage holds {found['rows']} rows with {different} different keys, "
            f"{found['null']} of them NULL; nothing was merged"
        )
    return StageCounts(found["rows"], found[OK], found[EMPTY], found[ERROR], found["truncated"])


def refuse_many_errors(staged: DataFrame, counts: StageCounts, most: float, *, prefix: str = "") -> None:
    """Stop before the merge if too large a share of rows is in error.

    Raises:
        DataError: Says how many, and the most frequent errors.
    """
    if not counts.error or counts.error <= most * counts.rows:
        return
    errors = staged.where(column(f"{prefix}status") == ERROR).groupBy(column(f"{prefix}error").alias("error")).count()
    top = errors.orderBy(F.desc("count"), "error").limit(3).collect()
    listed = "; ".join(f"{row['count']} × {row['error']}" for row in top)
    raise DataError(
        f"{counts.error} of {counts.rows} rows could not be scored, more than score.max_error_fraction={most} allows; nothing was merged. "
        f"Most frequent: {listed}. Mend the rows or the model, or raise score.max_error_fraction."
    )


def create_empty(spark: SparkSession, output: TableRef, staged: DataFrame) -> None:
    """Make the predictions table, with the stage's columns and deletion vectors, and no row."""
    create(staged.limit(0), output, properties=PROPERTIES | _mapping(staged))


def merge_stage(spark: SparkSession, output: TableRef, stage: Stage, *, keys: Sequence[str], rows: int, in_place: bool) -> int:
    """Merge the stage by key into the table; returns the version this made.

    Args:
        spark: The session.
        output: Predictions table, or the source itself.
        stage: A stage that ``check_stage`` has passed.
        keys: Key columns.
        rows: Rows in the stage.
        in_place: Whether the columns are added to the source table: then rows are updated, and none is inserted.

    Raises:
        ValueError: The stage is empty: merging it would be a mistake, as Delta may commit all the same.
        DataError: Rows of the source have vanished since they were read.
        RuntimeError: Delta did not merge as many rows as were staged.
    """
    if rows < 1:
        raise ValueError("an empty stage is not merged")
    staged = read_stage(spark, stage)
    same = " AND ".join(f"t.{quoted(key)} <=> s.{quoted(key)}" for key in keys)
    merge = delta_table(spark, output).alias("t").merge(staged.alias("s"), same).withSchemaEvolution()
    if in_place:
        merge = merge.whenMatchedUpdate(set={quoted(name): f"s.{quoted(name)}" for name in staged.columns if name not in keys})
    else:
        merge = merge.whenMatchedUpdateAll().whenNotMatchedInsertAll()
    # The transaction id makes Delta skip this merge if it was committed already, silently; it must not outlive the statement.
    once = {
        "spark.databricks.delta.write.txnAppId": f"sparknlp_ft-{stage.run}",
        "spark.databricks.delta.write.txnVersion": "1",
        "spark.databricks.delta.commitInfo.userMetadata": f"sparknlp_ft-{stage.run}",
    }
    with session_settings(spark, once):
        merge.execute()
    return _check_merged(spark, output, stage, rows=rows, in_place=in_place)


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


def _check_merged(spark: SparkSession, output: TableRef, stage: Stage, *, rows: int, in_place: bool) -> int:
    mine = F.col("userMetadata") == f"sparknlp_ft-{stage.run}"
    commit = delta_table(spark, output).history(100).where(mine).select("version", "operationMetrics").first()
    if commit is None:
        raise RuntimeError(f"the merge of {rows} rows into {output.display!r} left no commit; look at its history before scoring again")
    metrics = commit["operationMetrics"]
    merged = int(metrics.get("numTargetRowsUpdated", 0)) + int(metrics.get("numTargetRowsInserted", 0))
    if in_place and merged < rows:
        raise DataError(f"{rows - merged} of {rows} rows vanished from {output.display!r} while they were scored; the others were merged")
    if merged != rows:
        raise RuntimeError(f"{rows} rows were staged, and {merged} merged into {output.display!r} in version {commit['version']}")
    return int(commit["version"])
