"""Score: every row of a pinned table that has no prediction by this model yet gets one, merged into Delta by key."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sparknlp_ft.config import Config
from sparknlp_ft.errors import ConfigError, DataError, shown
from sparknlp_ft.pipelines.deployment import Deployment, deploy, wanted_model
from sparknlp_ft.progress import log, step
from sparknlp_ft.scoring.incremental import (
    IN_PLACE_PREFIX,
    LINEAGE,
    SCORED,
    STALE,
    count_rows,
    flag_stale,
    model_roles,
    partitions_for,
    with_scores,
)
from sparknlp_ft.scoring.merge import (
    StageCounts,
    check_stage,
    create_empty,
    merge_stage,
    read_stage,
    refuse_many_errors,
    stage_beside,
    write_stage,
)
from sparknlp_ft.scoring.rows import STATUS_FIELDS
from sparknlp_ft.tables.contracts import Roles, check_keys, column, resolve_roles
from sparknlp_ft.tables.delta import Pinned, TableRef, exists, files_present, latest_version, pin, read
from sparknlp_ft.tables.rows import INPUT_HASH
from sparknlp_ft.tables.session import slots
from sparknlp_ft.tables.watch import spark_step
from sparknlp_ft.tracking.store import connect

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession


@dataclass(frozen=True)
class ScoreResult:
    """What a scoring run came to."""

    rows_in: int
    scored: int
    skipped: int
    ok: int
    empty: int
    errors: int
    truncated: int
    seconds: float  #: of the scoring stage: reading, loading the model, scoring, writing the stage
    rows_per_second: float
    source: str
    source_version: int
    output: str
    output_version: int | None  #: None where there is no predictions table yet
    model_name: str
    model_version: str

    def __str__(self) -> str:
        rate = f" in {self.seconds:.1f} s, {self.rows_per_second:.0f} rows/s" if self.scored else ""
        version = "not made" if self.output_version is None else f"version {self.output_version}"
        return "\n".join(
            [
                f"table        {self.source} version {self.source_version}: {self.rows_in:,} rows",
                f"model        {self.model_name}/{self.model_version}",
                f"scored       {self.scored:,} rows{rate}; {self.skipped:,} had a prediction already",
                f"status       ok {self.ok:,}, empty {self.empty:,}, error {self.errors:,}; truncated {self.truncated:,}",
                f"predictions  {self.output}, {version}",
            ]
        )


@dataclass(frozen=True)
class Target:
    """Where predictions go: a table of their own, or columns of the source itself."""

    ref: TableRef
    in_place: bool
    there: bool

    @property
    def prefix(self) -> str:
        return IN_PLACE_PREFIX if self.in_place else ""


def run_score(config: Config, spark: SparkSession) -> ScoreResult:
    """Score what is new or changed in ``score.table`` and merge it into ``score.output``.

    Rows whose keys are no longer in the source keep their predictions.

    Raises:
        UserError: Configuration, table or model do not fit, or too many rows are in error; nothing was merged.
    """
    store = connect(config.tracking)
    model = wanted_model(config, store)
    source = pin_source(config, spark)
    target = find_target(config, spark, source)
    with deploy(config, spark, store, model) as deployment, files_present(source):
        rows = select_rows(read(spark, source), config)
        data = deployment.reading(config.data, rows.columns)
        roles = model_roles(resolve_roles(rows, data, deployment.task, need_target=False), deployment.text_roles)
        known = known_predictions(spark, target, rows, roles, deployment)
        with step("finding rows to score", spark):
            flagged = flag_stale(
                rows, roles, known, model=(model.name, model.version), prefix=target.prefix, retry_errors=config.score.retry_errors
            )
            counts = count_rows(flagged, expected=0 if config.score.where and rows.isEmpty() else check_keys(rows, roles))
        log.info("%s rows, %s to score with %s", f"{counts.rows:,}", f"{counts.stale:,}", model.display)
        staged, seconds, version = StageCounts(0, 0, 0, 0, 0), 0.0, latest_version(spark, target.ref) if target.there else None
        if counts.stale:
            stale = flagged.where(STALE)
            staged, seconds, version = score_and_merge(
                stale, counts.stale, config, roles=roles, target=target, source=source, by=deployment
            )
    return ScoreResult(
        rows_in=counts.rows, scored=staged.rows, skipped=counts.rows - staged.rows, ok=staged.ok, empty=staged.empty, errors=staged.error,
        truncated=staged.truncated, seconds=seconds, rows_per_second=staged.rows / seconds if seconds else 0.0,
        source=source.ref.display, source_version=source.version, output=target.ref.display, output_version=version,
        model_name=model.name, model_version=model.version,
    )  # fmt: skip


def pin_source(config: Config, spark: SparkSession) -> Pinned:
    """Fix the table to score to one version; ``data.version`` speaks of ``data.table`` alone."""
    version = config.data.version if config.score.table in (None, config.data.table) else None
    return pin(spark, TableRef.parse(config.score.table or config.data.table, config.data.root), version)


def find_target(config: Config, spark: SparkSession, source: Pinned) -> Target:
    """Return where predictions go: ``score.output``, or the source's name with ``_predictions``.

    Raises:
        ConfigError: The source itself, at a version that is not its latest.
    """
    if config.score.output is None:
        ref = source.ref.beside("_predictions")
    else:
        ref = TableRef.parse(config.score.output, config.data.root)
    in_place = (ref.kind, ref.value) == (source.ref.kind, source.ref.value)
    if in_place and source.version != latest_version(spark, source.ref):
        raise ConfigError(
            f"data.version: {source.version} is not the latest version of {ref.display!r}, and predictions are to be added to that table; "
            "leave data.version out, or give another score.output"
        )
    return Target(ref, in_place, exists(spark, ref))


def select_rows(rows: DataFrame, config: Config) -> DataFrame:
    """Return the rows that fulfil ``score.where``.

    Raises:
        ConfigError: The condition cannot be read, or names a column that is not there.
    """
    from pyspark.errors import AnalysisException

    if config.score.where is None:
        return rows
    try:
        return rows.where(config.score.where)
    except AnalysisException as error:  # ParseException is one too
        reason = str(error.getMessage() or error).strip().splitlines()[0]
        raise ConfigError(
            f"score.where: {config.score.where!r} is not a condition on the columns {', '.join(rows.columns)}: {reason}"
        ) from error


def known_predictions(spark: SparkSession, target: Target, rows: DataFrame, roles: Roles, deployment: Deployment) -> DataFrame | None:
    """Return the predictions so far, at the version they have now; None if there are none or they stand in the source.

    Raises:
        DataError: The columns of predictions clash with the table's own, or the output is no predictions table.
    """
    new = [*field_names(deployment.fields), *field_names(STATUS_FIELDS), *LINEAGE]
    if target.in_place:
        have = [name for name in rows.columns if name.lower() in {f"{target.prefix}{name}".lower() for name in new}]
        if have and f"{target.prefix}input_hash" not in rows.columns:
            raise DataError(
                f"the source has column(s) {shown(have)} that are not predictions of ours; rename them, or give another score.output"
            )
        return None
    clash = [key for key in roles.key if key.lower() in {name.lower() for name in new}]
    if clash:
        raise DataError(f"key column {clash[0]!r} is called like a prediction column; rename it in the source")
    if not target.there:
        return None
    known = read(spark, pin(spark, target.ref))
    missing = [name for name in (*roles.key, "status", *LINEAGE) if name not in known.columns]
    if missing:
        raise DataError(
            f"score.output: {target.ref.display!r} is not a predictions table with this key: it has no column {missing[0]!r}; "
            "give another one"
        )
    return known


def score_and_merge(
    stale: DataFrame, rows: int, config: Config, *, roles: Roles, target: Target, source: Pinned, by: Deployment
) -> tuple[StageCounts, float, int]:
    """Score, stage, check, merge; returns the stage's counts, the seconds of scoring, and the version the merge made."""
    spark = stale.sparkSession
    partitions = config.score.partitions or partitions_for(rows, slots(spark))
    scored = with_scores(stale, roles, by.score, partitions=partitions)
    with stage_beside(spark, target.ref, config.data.root) as stage:
        start = time.monotonic()
        with spark_step(f"scoring {rows:,} rows", spark):
            write_stage(scored.select(*prediction_columns(roles, target, source, by)), stage)
        seconds = time.monotonic() - start
        with step("merging predictions", spark):
            staged = read_stage(spark, stage)
            counts = check_stage(staged, roles.key, expected=rows, prefix=target.prefix)
            refuse_many_errors(staged, counts, config.score.max_error_fraction, prefix=target.prefix)
            if not target.there:
                create_empty(spark, target.ref, staged)
            version = merge_stage(spark, target.ref, stage, keys=roles.key, rows=counts.rows, in_place=target.in_place)
    return counts, seconds, version


def prediction_columns(roles: Roles, target: Target, source: Pinned, by: Deployment) -> list[Column]:
    """Return the key and all columns of a prediction."""
    from pyspark.sql import functions as F

    lineage = {
        "model_name": F.lit(by.model.name),
        "model_version": F.lit(by.model.version),
        "run_id": F.lit(by.model.run_id),
        "source_table": F.lit(source.ref.display),
        "source_version": F.lit(source.version).cast("bigint"),
        "input_hash": F.col(INPUT_HASH),
        "scored_at": F.current_timestamp(),
    }
    scored = {name: F.col(SCORED)[name] for name in (*field_names(by.fields), *field_names(STATUS_FIELDS))}
    return [*map(column, roles.key), *[value.alias(target.prefix + name) for name, value in (scored | lineage).items()]]


def field_names(ddl: str) -> list[str]:
    """Return the column names of Spark DDL."""
    from pyspark.sql.types import StructType

    parsed = StructType.fromDDL(ddl)
    assert isinstance(parsed, StructType)
    return parsed.fieldNames()
