"""What the user sees while a job runs: named steps with their seconds, and a bar (or log lines) within long ones."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tqdm import tqdm

from sparknlp_ft.secrecy import cleaned
from sparknlp_ft.sessions import describe

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

log = logging.getLogger("sparknlp_ft")

#: Seconds between two log lines of one bar where there is no terminal.
LOG_INTERVAL = 10.0


class CleanedLogs(logging.Filter):
    """Takes secrets out of log lines, whoever handles them."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = cleaned(record.getMessage()), None
        return True


log.addFilter(CleanedLogs())


def setup_logging() -> None:
    """Send the project's log lines to standard error, one line each, without touching other libraries' levels."""
    if log.handlers:
        return
    handler = _Stderr()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False


class _Stderr(logging.Handler):
    """Writes to what standard error is now; a notebook or a test may have replaced it since the start."""

    def emit(self, record: logging.LogRecord) -> None:
        sys.stderr.write(cleaned(self.format(record)) + "\n")  # A traceback may hold what the message does not.
        sys.stderr.flush()


@contextmanager
def step(title: str, spark: SparkSession | None = None) -> Iterator[None]:
    """Log the start, the end and the seconds of a step, and name the Spark jobs that run within it."""
    log.info("%s …", title)
    start = time.monotonic()
    if spark is not None:
        describe(spark, title)
    try:
        yield
    finally:
        if spark is not None:
            describe(spark, None)
    log.info("%s: %.1f s", title, time.monotonic() - start)


class Bar:
    """Progress towards a known total: a bar on a terminal, a log line every ten seconds otherwise."""

    def __init__(self, title: str, total: int, unit: str = "rows") -> None:
        self.title, self.total, self.unit, self.done = title, total, unit, 0
        self._start = self._logged = time.monotonic()
        self._bar = tqdm(total=total, desc=title, unit=f" {unit}") if sys.stderr.isatty() else None

    def update(self, done: int, note: str = "") -> None:
        """Set the amount done so far (not the increment)."""
        if self._bar is not None:
            self._bar.update(done - self.done)
            self._bar.set_postfix_str(note)
        elif time.monotonic() - self._logged >= LOG_INTERVAL:
            self._logged = time.monotonic()
            rate = done / max(self._logged - self._start, 1e-9)
            log.info("%s: %d of %d %s, %.0f/s %s", self.title, done, self.total, self.unit, rate, note)
        self.done = done

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
