"""The parts of scoring a table: the pinned source, where predictions go, the rows that have none yet, the merge."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from sparknlp_ft.config import Config
from sparknlp_ft.errors import ConfigError, DataError, shown
from sparknlp_ft.progress import log, step
from sparknlp_ft.scoring import ddl
from sparknlp_ft.scoring.incremental import (
    IN_PLACE_PREFIX,
    LINEAGE,
    SCORED,
    STALE,
    Counts,
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
from sparknlp_ft.steps.deployment import Deployment
from sparknlp_ft.steps.engines import settle_engine
from sparknlp_ft.steps.job import Job
from sparknlp_ft.tables.contracts import Roles, check_keys, resolve_roles
from sparknlp_ft.tables.delta import TableRef, exists, latest_version, pin, read
from sparknlp_ft.tables.input_hash import INPUT_HASH
from sparknlp_ft.tables.names import column
from sparknlp_ft.tables.session import slots
from sparknlp_ft.tables.watch import spark_step
from sparknlp_ft.tracking.store import connect

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession


@dataclass(frozen=True)
class Target:
    """Where predictions go: a table of their own, or columns of the source itself."""

    ref: TableRef
    in_place: bool
    there: bool

    @property
    def prefix(self) -> str:
        return IN_PLACE_PREFIX if self.in_place else ""


@dataclass(frozen=True)
class Scoring:
    """One table that one model scores."""

    job: Job
    target: Target
    deployment: Deployment
    rows: DataFrame  #: of the source: those that ``score.where`` leaves
    roles: Roles

    @property
    def columns(self) -> list[str]:
        """Names of what the model and its status add to a row."""
        return [*ddl.names(self.deployment.fields), *ddl.names(STATUS_FIELDS)]


@dataclass(frozen=True)
class Written:
    """What was scored and merged."""

    counts: StageCounts
    seconds: float  #: of the scoring stage: reading, loading the model, scoring, writing the stage
    version: int | None  #: that the predictions table has then; None where there is none yet


def scoring_job(config: Config, spark: SparkSession) -> Job:
    """Connect to the store and pin the table to score; ``data.version`` speaks of ``data.table`` alone."""
    version = config.data.version if config.score.table in (None, config.data.table) else None
    ref = TableRef.parse(config.score.table or config.data.table, config.data.root)
    return Job(config, spark, connect(config.tracking), pin(spark, ref, version))


def find_target(job: Job) -> Target:
    """Return where predictions go: ``score.output``, or the source's name with ``_predictions``.

    Raises:
        ConfigError: The source itself, at a version that is not its latest.
    """
    config, source = job.config, job.source
    if config.score.output is None:
        ref = source.ref.beside("_predictions")
    else:
        ref = TableRef.parse(config.score.output, config.data.root)
    in_place = (ref.kind, ref.value) == (source.ref.kind, source.ref.value)
    if in_place and source.version != latest_version(job.spark, source.ref):
        raise ConfigError(
            f"data.version: {source.version} is not the latest version of {ref.display!r}, and predictions are to be added to that table; "
            "leave data.version out, or give another score.output"
        )
    return Target(ref, in_place, exists(job.spark, ref))


def plan_scoring(job: Job, target: Target, deployment: Deployment) -> Scoring:
    """Find the rows and the columns that the model reads.

    Raises:
        ConfigError: ``score.where`` cannot be read.
        DataError: A column is missing.
    """
    rows = _select_rows(read(job.spark, job.source), job.config)
    data = deployment.reading(job.config.data, rows.columns)
    roles = model_roles(resolve_roles(rows, data, deployment.task, need_target=False), deployment.text_roles)
    return Scoring(job, target, deployment, rows, roles)


def find_stale(scoring: Scoring) -> tuple[DataFrame, Counts]:
    """Return the rows that are new, changed, or scored by another model, and how many there are.

    Raises:
        DataError: Keys are NULL or repeated, or the output is no predictions table with this key.
    """
    rows, roles, score, model = scoring.rows, scoring.roles, scoring.job.config.score, scoring.deployment.model
    known = _known_predictions(scoring)
    with step("finding rows to score", scoring.job.spark):
        names, prefix = (model.name, model.version), scoring.target.prefix
        flagged = flag_stale(rows, roles, known, model=names, prefix=prefix, retry_errors=score.retry_errors)
        counts = count_rows(flagged, expected=0 if score.where and rows.isEmpty() else check_keys(rows, roles))
    log.info("%s rows, %s to score with %s", f"{counts.rows:,}", f"{counts.stale:,}", model.display)
    return flagged.where(STALE), counts


def score_and_merge(scoring: Scoring, stale: DataFrame, rows: int) -> Written:
    """Score, stage, check, merge.

    Args:
        scoring: Model and table.
        stale: The rows to score.
        rows: How many they are; nothing is written where they are none.

    Raises:
        DataError: Too many rows are in error; nothing was merged.
    """
    job, target, roles = scoring.job, scoring.target, scoring.roles
    if not rows:
        return Written(StageCounts(0, 0, 0, 0, 0), 0.0, latest_version(job.spark, target.ref) if target.there else None)
    partitions = job.config.score.partitions or partitions_for(rows, slots(job.spark))
    scored = with_scores(stale, roles, settle_engine(job, scoring.deployment, stale, rows, roles), partitions=partitions)
    with stage_beside(job.spark, target.ref, job.config.data.root) as stage:
        start = time.monotonic()
        with spark_step(f"scoring {rows:,} rows", job.spark):
            write_stage(scored.select(*_prediction_columns(scoring)), stage)
        seconds = time.monotonic() - start
        with step("merging predictions", job.spark):
            staged = read_stage(job.spark, stage)
            counts = check_stage(staged, roles.key, expected=rows, prefix=target.prefix)
            refuse_many_errors(staged, counts, job.config.score.max_error_fraction, prefix=target.prefix)
            if not target.there:
                create_empty(job.spark, target.ref, staged)
            version = merge_stage(job.spark, target.ref, stage, keys=roles.key, rows=counts.rows, in_place=target.in_place)
    return Written(counts, seconds, version)


def _select_rows(rows: DataFrame, config: Config) -> DataFrame:
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


def _known_predictions(scoring: Scoring) -> DataFrame | None:
    """Return the predictions so far, at the version they have now; None if there are none or they stand in the source.

    Raises:
        DataError: The columns of predictions clash with the table's own, or the output is no predictions table.
    """
    target, roles, new = scoring.target, scoring.roles, [*scoring.columns, *LINEAGE]
    if target.in_place:
        columns = scoring.rows.columns
        have = [name for name in columns if name.lower() in {f"{target.prefix}{name}".lower() for name in new}]
        if have and f"{target.prefix}input_hash" not in columns:
            raise DataError(
                f"the source has column(s) {shown(have)} that are not predictions of ours; rename them, or give another score.output"
            )
        return None
    clash = [key for key in roles.key if key.lower() in {name.lower() for name in new}]
    if clash:
        raise DataError(f"key column {clash[0]!r} is called like a prediction column; rename it in the source")
    if not target.there:
        return None
    known = read(scoring.job.spark, pin(scoring.job.spark, target.ref))
    missing = [name for name in (*roles.key, "status", *LINEAGE) if name not in known.columns]
    if missing:
        raise DataError(
            f"score.output: {target.ref.display!r} is not a predictions table with this key: it has no column {missing[0]!r}; "
            "give another one"
        )
    return known


def _prediction_columns(scoring: Scoring) -> list[Column]:
    """Return the key and all columns of a prediction."""
    model, source = scoring.deployment.model, scoring.job.source
    lineage = {
        "model_name": F.lit(model.name),
        "model_version": F.lit(model.version),
        "run_id": F.lit(model.run_id),
        "source_table": F.lit(source.ref.display),
        "source_version": F.lit(source.version).cast("bigint"),
        "input_hash": F.col(INPUT_HASH),
        "scored_at": F.current_timestamp(),
    }
    scored = {name: F.col(SCORED)[name] for name in scoring.columns}
    return [*map(column, scoring.roles.key), *[value.alias(scoring.target.prefix + name) for name, value in (scored | lineage).items()]]
