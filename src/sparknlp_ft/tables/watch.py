"""Progress of Spark's own work: the tasks of the stages that run, as a bar or as log lines."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sparknlp_ft.errors import USER_ERRORS, UserError
from sparknlp_ft.progress import Bar, step

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: Seconds between two looks; a stage shorter than that is not worth a bar.
INTERVAL = 2.0


@contextmanager
def spark_step(title: str, spark: SparkSession) -> Iterator[None]:
    """A named step whose Spark stages show their tasks as they finish. A user error of a Python worker stays one."""
    done = threading.Event()
    thread = threading.Thread(target=_watch, args=(title, spark, done), daemon=True)
    with step(title, spark):
        thread.start()
        try:
            yield
        except Exception as error:
            if (own := _raised_on_worker(error)) is not None:
                raise own from error
            raise
        finally:
            done.set()
            thread.join()


def _raised_on_worker(error: Exception) -> UserError | None:
    """Return the user error that a Python worker raised: Spark hands on its traceback as text."""
    found = [] if isinstance(error, UserError) else re.findall(r"sparknlp_ft\.errors\.(\w+): (.+)", str(error))
    return next((USER_ERRORS[kind](message) for kind, message in reversed(found) if kind in USER_ERRORS), None)


def _watch(title: str, spark: SparkSession, done: threading.Event) -> None:
    tracker = spark.sparkContext.statusTracker()
    bars: dict[int, Bar] = {}
    while not done.wait(INTERVAL):
        active = {stage: info for stage in tracker.getActiveStageIds() if (info := tracker.getStageInfo(stage)) is not None}
        for stage in bars.keys() - active.keys():
            bars.pop(stage).close()
        for stage, info in active.items():
            if stage not in bars:
                bars[stage] = Bar(title, info.numTasks, "tasks")
            bars[stage].update(info.numCompletedTasks)
    for bar in bars.values():
        bar.close()
