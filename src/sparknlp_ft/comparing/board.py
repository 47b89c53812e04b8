"""The leaderboard's Delta table: one row for each candidate of each comparison, only ever added to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime

from sparknlp_ft.errors import ConfigError, DataError
from sparknlp_ft.reports.leaderboard import Entry, ranked
from sparknlp_ft.scoring import ddl
from sparknlp_ft.steps.job import Job
from sparknlp_ft.tables.delta import TableRef, create, exists, pin, read

SCHEMA = (
    "compare_id string, compared_at timestamp, rank int, name string, kind string, task string, measure string, "
    "validation double, test double, validation_metrics map<string,double>, test_metrics map<string,double>, "
    "parameters bigint, trained_share double, size_mb double, training_seconds double, training_rows_per_second double, "
    "scoring_rows_per_second double, settings map<string,string>, source_table string, source_table_id string, source_version bigint, "
    "run_id string, note string, error string"
)


def find_board(job: Job) -> TableRef:
    """Return where the leaderboard is: ``compare.table``, or the table's name with ``_leaderboard``.

    Raises:
        ConfigError: It is the data itself.
        DataError: It is another table.
    """
    ref = _board_of(job)
    if not exists(job.spark, ref):
        return ref
    have = set(read(job.spark, pin(job.spark, ref)).columns)
    missing = [name for name in ddl.names(SCHEMA) if name not in have]
    if missing:
        raise DataError(f"compare.table: {ref.display!r} is there and is no leaderboard: it has no column {missing[0]!r}; give another one")
    return ref


def _board_of(job: Job) -> TableRef:
    config, source = job.config, job.source
    if config.compare.table is None:
        return source.ref.beside("_leaderboard")
    ref = TableRef.parse(config.compare.table, config.data.root)
    if (ref.kind, ref.value) == (source.ref.kind, source.ref.value):
        raise ConfigError(f"compare.table: {config.compare.table!r} is the table that is compared on; give another one, or none")
    return ref


def write_board(job: Job, board: TableRef, entries: Sequence[Entry], measure: str, run_id: str) -> None:
    """Add the rows of one comparison in one commit."""
    now, source, task = datetime.now(UTC), job.source, job.config.data.task
    rows = [
        (
            run_id, now, None if entry.error else rank, entry.name, entry.kind, task, measure,
            entry.validation.get(measure), entry.test.get(measure), dict(entry.validation), dict(entry.test),
            entry.parameters, entry.trained_share, entry.size_mb, entry.training_seconds, entry.training_rows_per_second,
            entry.scoring_rows_per_second, {name: _text(value) for name, value in entry.settings.items()},
            source.ref.display, source.table_id, source.version, entry.run_id or None, entry.note or None, entry.error,
        )
        for rank, entry in enumerate(ranked(entries, measure), start=1)
    ]  # fmt: skip
    create(job.spark.createDataFrame(rows, SCHEMA).coalesce(1), board, mode="append")


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
