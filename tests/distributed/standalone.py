"""A real standalone Spark cluster on loopback: one master, workers of one core each, in processes of their own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pyspark

from tests.jvm import SHORT_LIVED, SMALL_TABLES

SPARK_HOME = Path(pyspark.__file__).parent
START_SECONDS = 120


@contextmanager
def standalone_cluster(folder: Path, *, workers: int = 2, memory: str = "3g") -> Iterator[str]:
    """Start a cluster, wait until every worker has registered, and yield the master's address; end it on leaving.

    Raises:
        TimeoutError: A worker did not register in time; carries the end of its log.
    """
    port = _free_port()
    address = f"spark://127.0.0.1:{port}"
    base = "org.apache.spark.deploy"
    processes = [_start(folder / "master.log", f"{base}.master.Master", "--host", "127.0.0.1", "--port", str(port), "--webui-port", "0")]
    try:
        _wait_for(folder / "master.log", "Starting Spark master", processes[0])
        for i in range(workers):
            log = folder / f"worker-{i}.log"
            options = ["--host", "127.0.0.1", "-c", "1", "-m", memory, "--webui-port", "0", "--work-dir", str(folder / f"work-{i}")]
            processes.append(_start(log, f"{base}.worker.Worker", *options, address))
        for i, process in enumerate(processes[1:]):
            _wait_for(folder / f"worker-{i}.log", "Successfully registered with master", process)
        yield address
    finally:
        for process in reversed(processes):
            process.terminate()
        for process in processes:
            process.wait(timeout=30)


def submitted(
    master: str, job: Path, *arguments: str, packages: str, cwd: Path, worker_python: str = sys.executable, archives: str = ""
) -> Callable[..., subprocess.Popen[str]]:
    """Return what starts one job through ``spark-submit`` with Delta's package, as the README says; it takes where its output goes."""
    settings = {
        **SMALL_TABLES,
        "spark.executor.memory": "1g",
        "spark.sql.shuffle.partitions": "2",
        "spark.databricks.delta.snapshotPartitions": "1",
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.executor.extraJavaOptions": SHORT_LIVED,
    }
    settings |= {"spark.archives": archives} if archives else {}
    options = [text for name, value in settings.items() for text in ("--conf", f"{name}={value}")]
    command = [str(SPARK_HOME / "bin" / "spark-submit"), "--master", master, "--packages", packages, *options, str(job), *arguments]
    env = {**_environment(), "PYSPARK_DRIVER_PYTHON": sys.executable, "PYSPARK_PYTHON": worker_python}
    return partial(subprocess.Popen, command, cwd=cwd, env=env, text=True)


def spark_submit(master: str, job: Path, *arguments: str, timeout: int = 600, **settings: Any) -> subprocess.CompletedProcess[str]:
    """Run one job through ``spark-submit``, with settings as ``submitted`` takes them, and return what it printed."""
    with submitted(master, job, *arguments, **settings)(stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            output, errors = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            raise
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


def _start(log: Path, main_class: str, *arguments: str) -> subprocess.Popen[bytes]:
    with log.open("wb") as stream:
        command = [str(SPARK_HOME / "bin" / "spark-class"), main_class, *arguments]
        return subprocess.Popen(command, env=_environment(), stdout=stream, stderr=subprocess.STDOUT)


def _environment() -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("PYSPARK_", "SPARKNLP_FT_"))}
    spark = {"SPARK_HOME": str(SPARK_HOME), "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_DAEMON_JAVA_OPTS": SHORT_LIVED}
    return {**own, **spark, "PYSPARK_PYTHON": sys.executable}


def _wait_for(log: Path, text: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while text not in log.read_text(errors="replace"):
        if process.poll() is not None or time.monotonic() > deadline:
            raise TimeoutError(f"no {text!r} within {START_SECONDS} s; the log ends:\n{log.read_text(errors='replace')[-3000:]}")
        time.sleep(0.1)  # polls a log file: there is nothing else to wait on


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
