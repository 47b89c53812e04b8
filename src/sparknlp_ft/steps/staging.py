"""The second part of scoring a table: what is to be scored is scored, staged, checked and merged."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from sparknlp_ft.progress import log, step
from sparknlp_ft.scoring.incremental import SCORED, Stale, key_names, keys_alone, matched, partitions_for, with_scores
from sparknlp_ft.scoring.merge import (
    Merging,
    StageCounts,
    check_stage,
    create_empty,
    merge_stage,
    read_stage,
    refuse_many_errors,
    write_stage,
)
from sparknlp_ft.scoring.notes import Note
from sparknlp_ft.scoring.rows import DELETED, EMPTY, OK
from sparknlp_ft.scoring.stages import Stage, clear_left_over, left_over, stage_beside
from sparknlp_ft.steps.engines import settle_engine
from sparknlp_ft.steps.prediction import Scoring, known_predictions, reads
from sparknlp_ft.tables.input_hash import INPUT_HASH
from sparknlp_ft.tables.names import column
from sparknlp_ft.tables.session import slots
from sparknlp_ft.tables.watch import spark_step

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


@dataclass(frozen=True)
class Written:
    """What was scored and merged."""

    counts: StageCounts
    seconds: float  #: of the scoring stage: reading, loading the model, scoring, writing the stage
    version: int | None  #: that the predictions table has then; None where there is none yet


def score_and_merge(scoring: Scoring, stale: Stale) -> Written:
    """Score, stage, check, merge; scores that a run which died has left are taken over.

    Raises:
        DataError: Too many rows are in error, and nothing was merged; or other writers are in the way.
    """
    job, target = scoring.job, scoring.target
    if not stale.number + stale.gone_number:
        clear_left_over(job.spark, target.ref, job.config.data.root)
        return Written(StageCounts(0, 0, 0, 0, 0), 0.0, target.known.version if target.known else None)
    root = job.config.data.root
    with left_over(job.spark, target.ref, root, scoring.fits) as left, stage_beside(job.spark, target.ref, root, scoring.fits) as stage:
        start = time.monotonic()
        with spark_step(f"scoring {stale.number:,} rows", job.spark):
            write_stage(_staged_rows(scoring, stale, left), stage)
        seconds = time.monotonic() - start
        with step("merging predictions", job.spark):
            counts, version = _merge(scoring, stale, stage)
    return Written(counts, seconds, version)


def _merge(scoring: Scoring, stale: Stale, stage: Stage) -> tuple[StageCounts, int]:
    job, target, prefix = scoring.job, scoring.target, scoring.prefix
    staged, rows = read_stage(job.spark, stage), stale.number + stale.gone_number
    counts = check_stage(staged, scoring.roles.key, expected=rows, prefix=prefix)
    if counts.error:
        refuse_many_errors(staged, counts, job.config.score.max_error_fraction, prefix=prefix, before=_errors_before(scoring))
    stage.keep = True  # From here on a failure is no fault of the scores.
    if target.known is None:
        create_empty(job.spark, target.ref, staged)
    note = _note(scoring, stale, stage, counts)
    known = None if target.known is None else target.known.version
    gone = job.config.score.on_deleted if counts.deleted else "keep"
    merging = Merging(scoring.keys, rows, target.in_place, known, prefix, gone=gone, note=str(note or ""))
    return counts, merge_stage(job.spark, target.ref, stage, merging)


def _note(scoring: Scoring, stale: Stale, stage: Stage, counts: StageCounts) -> Note | None:
    """Return what the merge's commit says; nothing if not each row of the source has its prediction then."""
    config, source, model, known = scoring.job.config, scoring.job.source, scoring.deployment.model, scoring.target.known
    if config.score.where is not None:
        return None
    errors = None if stale.errors is None else stale.errors + counts.error
    return Note(
        run=stage.run, source=source.table_id, version=source.version, model=(model.name, model.version), reads=reads(config),
        rows=stale.total, errors=errors, known=None if known is None else known.version,
    )  # fmt: skip


def _staged_rows(scoring: Scoring, stale: Stale, left: Stage | None) -> DataFrame:
    """Return what is staged: rows scored now, those that were scored already, and keys that have left the source."""
    parts, rows, number = [], stale.rows, stale.number
    taken = _taken_over(scoring, stale, left) if left is not None and number else None
    if taken is not None:
        scores, have = taken
        log.info("%s rows were scored by a run that did not end; their scores are taken over", f"{have:,}")
        rows = matched(rows, scoring.roles, keys_alone(scores, scoring.roles), how="left_anti")
        number, parts = number - have, [scores]
    if number:
        partitions = scoring.job.config.score.partitions or partitions_for(number, slots(scoring.job.spark))
        score = settle_engine(scoring.job, scoring.deployment, rows, number, scoring.roles)
        scored = with_scores(rows, scoring.roles, score, partitions=partitions)
        parts.insert(0, scored.select(*_prediction_columns(scoring)))
    if stale.gone is not None and stale.gone_number:
        parts.append(stale.gone.select(*map(column, scoring.roles.key), *_marked(scoring)))
    staged = parts[0]
    for part in parts[1:]:
        staged = staged.unionByName(part, allowMissingColumns=True)
    return staged


def _marked(scoring: Scoring) -> list[Column]:
    """Return what is staged of a prediction whose row has left the source, beside its key."""
    nothing = {"error": "string", "truncated": "boolean"}
    values = {"status": F.lit(DELETED), "source_table": F.lit(scoring.job.source.ref.display)}
    values |= {name: F.lit(None).cast(kind) for name, kind in nothing.items()}
    return [value.alias(scoring.prefix + name) for name, value in values.items()]


def _taken_over(scoring: Scoring, stale: Stale, left: Stage) -> tuple[DataFrame, int] | None:
    """Return the left scores of rows that are stale and have the same inputs still, and how many; None if they are of no use."""
    prefix, roles = scoring.prefix, scoring.roles
    scores = read_stage(scoring.job.spark, left).where(column(f"{prefix}status").isin(OK, EMPTY))
    version = f"{prefix}source_version"
    wanted = stale.rows.select(*[column(key).alias(name) for key, name in zip(roles.key, key_names(roles), strict=True)], INPUT_HASH)
    same = [column(key).eqNullSafe(F.col(name)) for key, name in zip(roles.key, key_names(roles), strict=True)]
    usable = scores.join(wanted, on=[*same, column(f"{prefix}input_hash") == F.col(INPUT_HASH)], how="left_semi")
    usable = usable.withColumn(version, F.lit(scoring.job.source.version).cast("bigint"))
    number = usable.count()
    different = keys_alone(usable, roles).distinct().count()
    return (usable, number) if number and number == different else None


def _errors_before(scoring: Scoring) -> int:
    """Return how many of the rows that are scored were in error before: that they still are makes nothing worse."""
    known, prefix = known_predictions(scoring), scoring.prefix
    if known is None:
        known = scoring.rows
    if f"{prefix}input_hash" not in known.columns:
        return 0
    return known.where(scoring.fresh.again(column(f"{prefix}status"), column(f"{prefix}error"))).count()


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
    return [*map(column, scoring.roles.key), *[value.alias(scoring.prefix + name) for name, value in (scored | lineage).items()]]
