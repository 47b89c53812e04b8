"""The Spark session every job runs in: the cluster's own where there is one, else a small local one.

The only place that creates a session; everything else takes it as an argument.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from sparknlp_ft.errors import LaunchError
from sparknlp_ft.sessions import has_class, quiet, sees_this_machine, slots_now
from sparknlp_ft.versions import delta_for, delta_jars, delta_package, require_spark, version_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: Spark master of a session that this project starts itself; default: this machine's cores, each task tried four times.
MASTER_VARIABLE = "SPARKNLP_FT_MASTER"

#: Address of a Spark Connect server (``sc://HOST:PORT``) that is worked on in place of a session of one's own.
REMOTE_VARIABLE = "SPARK_REMOTE"

#: Delta's part of a session. Known to Databricks already; harmless to set again elsewhere.
DELTA_CONF = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
}

#: A table of a thousand rows takes 12 s to write with a cluster's defaults (50 snapshot and 200 shuffle partitions).
LOCAL_CONF = {
    "spark.databricks.delta.snapshotPartitions": "1",
    # Vacuum lists files in so many tasks, 10,000 by default: a minute and a half for two files.
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "4",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.memory": "3g",
}

#: Seconds without a new executor after which a cluster is taken to have all that it will have.
EXECUTOR_SECONDS = 10.0

#: The log's configuration is read by the JVM as it starts; what a session is asked later does not quiet the lines before.
LOGGING = Path(__file__).with_name("log4j2.properties")

QUIET_CONF = {
    "spark.driver.defaultJavaOptions": f"-Dlog4j2.configurationFile={LOGGING.as_uri()}",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}


def get_session(app_name: str = "sparknlp_ft") -> SparkSession:
    """Return the active session, or start one.

    On Databricks, under ``spark-submit`` and behind Spark Connect (``SPARK_REMOTE``) master and sizes are the cluster's; elsewhere
    the master is taken from ``SPARKNLP_FT_MASTER`` (default ``local[CORES,4]``) and Delta's jars are found by their Maven name.

    Raises:
        LaunchError: Spark or Delta is too old; or under ``spark-submit``, and Delta's jars were not given.
    """
    from pyspark import __version__
    from pyspark.sql import SparkSession

    require_spark(__version__)
    active = SparkSession.getActiveSession()
    if active is not None:
        return active
    builder = SparkSession.builder.appName(app_name)
    if "DATABRICKS_RUNTIME_VERSION" in os.environ or REMOTE_VARIABLE in os.environ:
        return builder.getOrCreate()
    for name, value in {**DELTA_CONF, "spark.sql.session.timeZone": "UTC"}.items():
        builder = builder.config(name, value)
    submitted = "PYSPARK_GATEWAY_PORT" in os.environ
    if not submitted:
        builder = _configured_here(builder)
    spark = builder.getOrCreate()
    quiet(spark)
    if submitted:
        require_delta(spark)
    return spark


def starts_here() -> bool:
    """Whether a session would be started by ``get_session`` on this machine alone: what is not on its disks is nowhere."""
    if {"DATABRICKS_RUNTIME_VERSION", "PYSPARK_GATEWAY_PORT", REMOTE_VARIABLE} & set(os.environ):
        return False
    # A session that is there already is someone else's: its paths may be another file system's.
    active = "pyspark.sql" in sys.modules and sys.modules["pyspark.sql"].SparkSession.getActiveSession() is not None
    return not active and (os.environ.get(MASTER_VARIABLE) or "local").startswith("local")


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def is_local(spark: SparkSession) -> bool:
    """Whether tasks run inside the driver's JVM."""
    return sees_this_machine(spark)


def slots(spark: SparkSession, *, wanted: int = 0) -> int:
    """Tasks the cluster runs at the same time, once all the executors it may have are up.

    Executors of a cluster come up one after another. With ``wanted``, a cluster that has fewer slots is looked at again
    until it has them, or until none has been added for ``EXECUTOR_SECONDS``.
    """
    found, since = slots_now(spark), time.monotonic()
    while found < wanted and not is_local(spark) and time.monotonic() - since < EXECUTOR_SECONDS:
        time.sleep(0.2)  # polls: Spark tells Python nothing of executors that come
        now = slots_now(spark)
        if now > found:
            found, since = now, time.monotonic()
    return found


def _configured_here(builder: SparkSession.Builder) -> SparkSession.Builder:
    master = os.environ.get(MASTER_VARIABLE) or f"local[{cores()},4]"
    # Python workers must be this interpreter: another one lacks the packages, or unpickles another way.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = builder.master(master)
    settings = dict(QUIET_CONF)
    if master.startswith("local"):
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        settings |= LOCAL_CONF | {"spark.sql.shuffle.partitions": str(max(2, cores()))}
    for name, value in settings.items():
        builder = builder.config(name, value)
    return _with_delta_jars(builder)


def _with_delta_jars(builder: SparkSession.Builder) -> SparkSession.Builder:
    """Hand over the jars that an earlier start left in Ivy's cache (seconds faster, and needs no network); else resolve them."""
    from pyspark import __version__

    delta = version_of("delta-spark")
    if delta is None:
        raise LaunchError(
            f"delta-spark is not installed beside pyspark {__version__}, and a session of our own needs it: "
            f"pip install delta-spark=={delta_for(__version__)}, or run under spark-submit with --packages {delta_package(__version__)}"
        )
    wanted = delta_jars(__version__, delta)
    cached = {jar.name: str(jar) for folder in sorted(Path.home().glob(".ivy2*/jars")) for jar in folder.glob("io.delta_*.jar")}
    if wanted <= cached.keys():
        return builder.config("spark.jars", ",".join(cached[name] for name in sorted(wanted)))
    from delta import configure_spark_with_delta_pip

    return configure_spark_with_delta_pip(builder)


def require_delta(spark: SparkSession) -> None:
    """Refuse a session of a Spark that is too old, or without Delta Lake; Databricks' has it under names of its own.

    Raises:
        LaunchError: Says what is needed, and how to start a session with it.
    """
    require_spark(spark.version)
    if "DATABRICKS_RUNTIME_VERSION" in os.environ:
        return
    if has_class(spark, "io.delta.sql.DeltaSparkSessionExtension"):
        return
    raise LaunchError(
        f"this Spark session has no Delta Lake: add --packages {delta_package(spark.version)} to spark-submit, "
        "or that to spark.jars.packages"
    )
