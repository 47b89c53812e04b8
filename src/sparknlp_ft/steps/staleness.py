"""Which rows a scoring run has to look at: none, those that are new since the last complete one, or all.

The note in the last merge's commit says what was complete then. All that is not sure leads to the look at every row.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from sparknlp_ft.progress import log, step
from sparknlp_ft.scoring.incremental import Fresh, Stale, flag_stale, key_names, keys_alone, look_up, matched, refuse_doubled
from sparknlp_ft.scoring.notes import Note, last_note, rows_unchanged
from sparknlp_ft.scoring.rows import DELETED
from sparknlp_ft.scoring.stages import clear_left_over
from sparknlp_ft.steps.job import Job
from sparknlp_ft.steps.prediction import Scoring, Target, known_predictions, reads
from sparknlp_ft.tables.changes import changes_since
from sparknlp_ft.tables.contracts import check_keys
from sparknlp_ft.tables.delta import read
from sparknlp_ft.tables.input_hash import with_input_hash
from sparknlp_ft.tables.names import column
from sparknlp_ft.tracking.store import ModelRef

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

#: Where a larger share of the rows may be new, all are looked at: that is cheaper then.
MOST_NEW = 0.2


def complete_note(job: Job, target: Target, model: ModelRef) -> Note | None:
    """Return the note of the last complete scoring with these settings, if it still holds for the predictions."""
    if job.config.score.where is not None or target.known is None:
        return None
    found = last_note(job.spark, target.known)
    if found is None:
        return None
    note, _ = found
    same = note.source == job.source.table_id and note.model == (model.name, model.version) and note.reads == reads(job.config)
    return note if same else None


def nothing_to_do(job: Job, target: Target, model: ModelRef) -> Note | None:
    """Return the note which says that each row of the source has its prediction; None if that must be looked up."""
    with step("looking for changes", job.spark):
        note = complete_note(job, target, model)
        if note is None or note.errors != 0 or not (target.in_place or rows_unchanged(job.spark, job.source, note.version)):
            return None
    clear_left_over(job.spark, target.ref, job.config.data.root)
    log.info("%s rows, none of them new since the last run with %s", f"{note.rows:,}", model.display)
    return note


@contextmanager
def find_stale(scoring: Scoring) -> Iterator[Stale]:
    """Give the rows that are new, changed, or scored by another model, for the time of a block.

    Raises:
        DataError: Keys are NULL or repeated, or the output is no predictions table with this key.
    """
    known, model, fresh = known_predictions(scoring), scoring.deployment.model, scoring.fresh
    with step("finding rows to score", scoring.job.spark):
        stale = _among_new(scoring, known, fresh) or _among_all(scoring, known, fresh)
    log.info("%s rows, %s to score with %s", f"{stale.total:,}", f"{stale.number:,}", model.display)
    try:
        yield stale
    finally:
        for held in stale.held:
            held.unpersist()


def _among_new(scoring: Scoring, known: DataFrame | None, fresh: Fresh) -> Stale | None:
    """Look at the rows that are new in the source since the last complete run; None if that would not do."""
    job, rows = scoring.job, scoring.rows
    note = complete_note(job, scoring.target, scoring.deployment.model) if job.config.score.on_deleted == "keep" else None
    if known is None or note is None or (note.errors != 0 and _to_try_again(known, fresh)):
        return None
    if rows_unchanged(job.spark, job.source, note.version):
        return Stale(note.rows, rows.limit(0), 0, errors=note.errors)
    changes = changes_since(job.spark, job.source, note.version, scoring.roles.key, most=int(MOST_NEW * note.rows))
    if changes is None:
        return None
    new = changes.persist()
    found = _among(new, scoring, known, fresh)
    if found is None:
        new.unpersist()
        return None
    keys, number = found
    stale = with_input_hash(matched(new, scoring.roles, keys, how="left_semi"), scoring.roles)
    return Stale(rows.count(), stale, number, errors=note.errors, held=(new, keys))


def _among(new: DataFrame, scoring: Scoring, known: DataFrame, fresh: Fresh) -> tuple[DataFrame, int] | None:
    """Return the keys of stale rows and how many they are; None if one of the keys is not the key of one row alone."""
    roles, number = scoring.roles, new.count()
    keys = keys_alone(new, roles)
    found = look_up(flag_stale(new, roles, matched(known, roles, keys, how="left_semi"), fresh))
    everywhere = keys_alone(scoring.rows, roles).join(keys, on=key_names(roles), how="left_semi").count()
    if found.nulls or found.repeated or found.rows != number or everywhere != number:
        found.keys.unpersist()
        return None
    return found.keys, found.stale


def _to_try_again(known: DataFrame, fresh: Fresh) -> bool:
    """Whether there are predictions in error that are to be made again."""
    return not known.where(fresh.again(column(f"{fresh.prefix}status"), column(f"{fresh.prefix}error"))).isEmpty()


def _among_all(scoring: Scoring, known: DataFrame | None, fresh: Fresh) -> Stale:
    """Look at every row."""
    rows, roles = scoring.rows, scoring.roles
    if known is None and f"{scoring.prefix}input_hash" not in rows.columns:
        total = _proved(scoring)
        return Stale(total, with_input_hash(rows, roles), total, errors=0)
    flagged = flag_stale(rows, roles, known, fresh)
    found = look_up(flagged)
    if found.nulls or found.repeated or not found.rows:
        _proved(scoring)
    total = found.rows if known is None else rows.count()
    if total != found.rows:
        refuse_doubled(flagged, expected=total)
    stale = with_input_hash(rows if found.stale == total else matched(rows, roles, found.keys, how="left_semi"), roles)
    return _with_gone(scoring, known, Stale(total, stale, found.stale, held=(found.keys,)))


def _with_gone(scoring: Scoring, known: DataFrame | None, stale: Stale) -> Stale:
    """Add the keys of predictions whose rows have left the source, where they are to be marked or deleted."""
    job, roles, wish = scoring.job, scoring.roles, scoring.job.config.score.on_deleted
    if known is None or wish == "keep":
        return stale
    # Of the whole source: a row that score.where leaves out is there.
    there = keys_alone(read(job.spark, job.source), roles)
    meant = known if wish == "delete" else known.where(column(f"{scoring.prefix}status") != DELETED)
    gone = matched(meant, roles, there, how="left_anti").select(*map(column, roles.key)).persist()
    return replace(stale, gone=gone, gone_number=gone.count(), held=(*stale.held, gone))


def _proved(scoring: Scoring) -> int:
    """Prove the keys and return the number of rows; with a condition there may be none."""
    rows = scoring.rows
    return 0 if scoring.job.config.score.where and rows.isEmpty() else check_keys(rows, scoring.roles)
