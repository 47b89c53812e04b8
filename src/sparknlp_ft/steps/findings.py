"""What is found in a table's rows before anything is learned from them: told, and kept with the run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sparknlp_ft.findings.finding import NOTE, Finding, as_json
from sparknlp_ft.findings.look import look_through
from sparknlp_ft.progress import log
from sparknlp_ft.steps.job import Job
from sparknlp_ft.tables.contracts import resolve_roles
from sparknlp_ft.tables.cures import cured
from sparknlp_ft.tables.delta import files_present, read
from sparknlp_ft.tables.watch import spark_step
from sparknlp_ft.tracking.store import Run

FILE = "findings.json"


def find_all(job: Job) -> list[Finding]:
    """Look through the job's table, mended as its configuration says, and tell what was found.

    Raises:
        DataError: The table lacks a column that the task needs.
    """
    rows, data = read(job.spark, job.source), job.config.data
    roles = resolve_roles(rows, data, job.task, need_target=True)
    with files_present(job.source), spark_step("looking through the rows", job.spark):
        found = look_through(cured(rows, roles, data, job.task), roles, data, job.task)
    tell(found)
    return found


def tell(findings: Sequence[Finding]) -> None:
    """Log the findings as one block of lines."""
    if findings:
        log.info("%d finding(s) in the rows:", len(findings))
    for one in findings:
        (log.info if one.severity == NOTE else log.warning)("  %s", one)


@contextmanager
def kept(findings: Sequence[Finding], run: Run) -> Iterator[None]:
    """Log the findings to a run, as ``findings.json``: at its start, so that they are there whatever becomes of it."""
    run.log_text(as_json(findings), FILE)
    yield
