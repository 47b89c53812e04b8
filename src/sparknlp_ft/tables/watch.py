"""Progress of Spark's own work: the tasks of the stages that run, as a bar or as log lines."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sparknlp_ft.errors import USER_ERRORS, LaunchError, UserError
from sparknlp_ft.progress import Bar, step
from sparknlp_ft.sessions import stages

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: Seconds between two looks; a stage shorter than that is not worth a bar.
INTERVAL = 2.0

#: How Python says that a package is not there, and how Spark says it of those that itself needs.
_LACKING = re.compile(r"ModuleNotFoundError: No module named '([\w.]+)'|(\w+) >= [\w.]+ must be installed; however, it was not found")


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
            if (own := raised_on_worker(error)) is not None:
                raise own from error
            raise
        finally:
            done.set()
            thread.join()


def raised_on_worker(error: Exception) -> UserError | None:
    """Return the user error that a Python worker raised: Spark hands on its traceback as text.

    A worker whose Python lacks this package, or one that it needs, is the user's to mend as well.
    """
    if (lacking := _LACKING.search(str(error))) is not None:
        return _lacking((lacking[1] or lacking[2]).partition(".")[0])
    found = [] if isinstance(error, UserError) else re.findall(r"sparknlp_ft\.errors\.(\w+): (.+)", str(error))
    return next((USER_ERRORS[kind](message) for kind, message in reversed(found) if kind in USER_ERRORS), None)


def _lacking(package: str) -> LaunchError:
    return LaunchError(
        f"the Python of Spark's workers has no package {package!r}. Install sparknlp_ft there as here: on every machine; or ship an "
        "environment (venv-pack -o env.tar.gz; spark-submit --archives env.tar.gz#env with PYSPARK_PYTHON=./env/bin/python); on "
        "Databricks as a library of the cluster. Where it is installed, PYSPARK_PYTHON must name that Python"
    )


def _watch(title: str, spark: SparkSession, done: threading.Event) -> None:
    bars: dict[int, Bar] = {}
    while not done.wait(INTERVAL):
        active = stages(spark)
        for stage in bars.keys() - active.keys():
            bars.pop(stage).close()
        for stage, (finished, tasks) in active.items():
            if stage not in bars:
                bars[stage] = Bar(title, tasks, "tasks")
            bars[stage].update(finished)
    for bar in bars.values():
        bar.close()
