"""What is found in a table's rows before anything is learned from them: told, and kept with the run."""

from __future__ import annotations

from collections.abc import Sequence

from sparknlp_ft.findings.finding import NOTE, Finding, as_json
from sparknlp_ft.findings.look import look_through
from sparknlp_ft.progress import log
from sparknlp_ft.steps.base_model import is_taught
from sparknlp_ft.steps.job import Job, cured_rows
from sparknlp_ft.tables.delta import files_present
from sparknlp_ft.tables.watch import spark_step
from sparknlp_ft.tracking.store import Run

FILE = "findings.json"


def find_all(job: Job) -> list[Finding]:
    """Look through the job's table, mended as its configuration says, and tell what was found.

    Raises:
        DataError: The table lacks a column that the task needs.
    """
    with files_present(job.source), spark_step("looking through the rows", job.spark):
        found = look_through(*cured_rows(job), job.config.data, job.task, taught=is_taught(job.config))
    tell(found)
    return found


def tell(findings: Sequence[Finding]) -> None:
    """Log the findings as one block of lines."""
    if findings:
        log.info("%d finding(s) in the rows:", len(findings))
    for one in findings:
        (log.info if one.severity == NOTE else log.warning)("  %s", one)


def keep(findings: Sequence[Finding], run: Run) -> None:
    """Log the findings to a run, as ``findings.json``: at its start, so that they are there whatever becomes of it."""
    run.log_text(as_json(findings), FILE)
