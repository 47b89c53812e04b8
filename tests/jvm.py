"""How the tests' Spark is started: for tables of a few hundred rows, in a JVM of a few minutes."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

#: One compiler and one collector: what a second one makes better is over before, and on two cores it is taken from the work.
SHORT_LIVED = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"

#: On a few hundred rows Spark spends its time compiling code that runs once, and planning anew what has two partitions.
SMALL_TABLES = {
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.adaptive.enabled": "false",
    "spark.driver.extraJavaOptions": SHORT_LIVED,
}


def submit_args(conf: Mapping[str, str], packages: str | None = None) -> str:
    """Return PYSPARK_SUBMIT_ARGS for a session of small tables, with other settings and jars besides."""
    settings = [part for name, value in {**SMALL_TABLES, **conf}.items() for part in ("--conf", f"{name}={value}")]
    return shlex.join([*(["--packages", packages] if packages else []), *settings, "pyspark-shell"])
