"""What all tests share: one Spark session, one thread for tiny models, and no failure because a machine is busy."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Set before torch is imported: threads that wait for each other cost tiny models more than they give.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# What packages of users' own bring: a task, a file system. Python workers and ranks find them by the environment they inherit.
PLUGINS = str(Path(__file__).parent / "plugins")
sys.path.append(PLUGINS)
os.environ["PYTHONPATH"] = os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), PLUGINS])

# Few examples each time, so that the unit tests stay a matter of seconds; HYPOTHESIS_PROFILE=thorough tries many.
settings.register_profile("quick", deadline=None, max_examples=20)
settings.register_profile("thorough", deadline=None, max_examples=500)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


#: On a few hundred rows Spark spends its time compiling code that runs once, and planning anew what has two partitions.
SMALL_TABLES = ("spark.sql.codegen.wholeStage=false", "spark.sql.codegen.factoryMode=NO_CODEGEN", "spark.sql.adaptive.enabled=false")


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    """The one session, started by the first test that asks; two slots on any machine, and lost tasks are tried again."""
    from sparknlp_ft.tables.session import MASTER_VARIABLE, get_session

    os.environ.setdefault(MASTER_VARIABLE, "local[2,4]")
    os.environ.setdefault("PYSPARK_SUBMIT_ARGS", " ".join([*(f"--conf {setting}" for setting in SMALL_TABLES), "pyspark-shell"]))
    session = get_session("sparknlp_ft tests")
    yield session
    session.stop()
