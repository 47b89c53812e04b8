"""What all tests share: one Spark session, one thread for tiny models, and no failure because a machine is busy."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.jvm import submit_args

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


#: What a server is started with besides, in the tests on Spark Connect; it has Delta, and not Delta's plugin for Connect.
SERVER = {"spark.sql.session.timeZone": "UTC", "spark.sql.shuffle.partitions": "2"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--connect", action="store_true", help="run on a Spark Connect server of this machine, not on a classic session")


@pytest.fixture(scope="session")
def spark(pytestconfig: pytest.Config) -> Iterator[SparkSession]:
    """The one session, started by the first test that asks; two slots on any machine, and lost tasks are tried again."""
    import pyspark

    from sparknlp_ft.sessions import is_connect
    from sparknlp_ft.tables.session import DELTA_CONF, LOCAL_CONF, MASTER_VARIABLE, QUIET_CONF, get_session
    from sparknlp_ft.versions import delta_package

    os.environ.setdefault(MASTER_VARIABLE, "local[2,4]")
    connect = pytestconfig.getoption("--connect")
    conf = (DELTA_CONF | LOCAL_CONF | QUIET_CONF | SERVER) if connect else {}
    packages = delta_package(pyspark.__version__) if connect else None
    os.environ.setdefault("PYSPARK_SUBMIT_ARGS", submit_args(conf, packages))
    if connect:
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        os.environ["SPARK_REMOTE"] = "local[2]"  # A server of this process's own.
    session = get_session("sparknlp_ft tests")
    assert is_connect(session) == connect
    yield session
    session.stop()
