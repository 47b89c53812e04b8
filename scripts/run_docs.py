"""Run every command that README.md, CONTRIBUTING.md and docs/ show, in a clone that was set up (``make setup``).

    .venv/bin/python scripts/run_docs.py [--only WORD]

Each different command is run once, in the order of the pages, behind an ingest and a training of the example table, which many of
them need. What a page leaves to its reader (a host, a run) is put in; what needs something that a plain machine has not (a workspace,
a container runtime, a registry that has the package) is not run, and its reason is printed. It ends with a table, and with an error
if a command failed.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.servers import MlflowServer  # noqa: E402

FIRST = ("sparknlp-ft ingest --config conf/tickets.yaml", "sparknlp-ft train --config conf/tickets.yaml")

#: Commands that are not run, by what they begin with or hold, and why.
NOT_RUN = {
    "databricks ": "needs a Databricks workspace",
    "docker ": "needs a container runtime",
    "kubectl ": "needs a Kubernetes cluster",
    "--master k8s": "needs a Kubernetes cluster",
    "--master yarn": "needs a YARN cluster",
    "export ": "sets variables for the lines behind it",
    "pip install 'sparknlp-ft": "the package is in no registry yet; make test-wheel installs it from its wheel",
    "conf/imdb.yaml": "needs the IMDb reviews, half a day of training without a GPU",
    "conf/compare_banking77.yaml": "needs Banking77, hours of training without a GPU",
    "conf/package_ner.yaml": "needs a model from a hub",
    "bench.": "a benchmark, of half an hour and more",
    "write_benchmarks.py": "part of the benchmarks; a test holds the pages against its output",
    "venv-pack": "part of make test-archive",
    "-m venv env": "part of make test-archive",
    "--archives": "part of make test-archive",
    "s3a://": "needs a bucket; make test-services does the same",
    "s3://": "needs a bucket; make test-services does the same",
    "make demo": "run by itself: make demo",
    **{f"make {name}": "run by .ci/run" for name in ("test", "check", "unit")},
}

#: Put in for what a page leaves open. Banking77 is not everybody's, and the example does the same.
INSTEAD = {"conf/banking77.yaml": "conf/tickets.yaml"}

#: Seconds after which a server, or a stream that goes on until it is stopped, is stopped.
WATCHED = {"mlflow ui": 60, "--every": 90}


@dataclass
class Ran:
    """What came of a command."""

    page: str
    command: str
    seconds: float = 0.0
    code: int | None = None
    reason: str = ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="commands that hold this word")
    only = parser.parse_args().only
    ran, environment = [], _environment()
    with _cluster(environment) as host, _mlflow() as uri:
        places = {"HOST:7077": host, "http://127.0.0.1:5001": uri}
        for page, command in _commands(only):
            reason = next((why for part, why in NOT_RUN.items() if part in command), "")
            one = Ran(page, command, reason=reason)
            if not reason:
                _run(one, places, environment)
            ran.append(one)
            print(_line(one), flush=True)
    failed = [one for one in ran if one.code]
    print(f"\n{sum(one.code == 0 for one in ran)} commands ran, {len(failed)} failed, {sum(bool(one.reason) for one in ran)} were not run")
    return 1 if failed else 0


def _commands(only: str) -> Iterator[tuple[str, str]]:
    """Yield each different command with the first page that has it; those come first that others need."""
    seen = set()
    for page, line in [*(("", line) for line in FIRST), *_lines()]:
        command = shlex.join(shlex.split(line, comments=True)).replace(".venv/bin/", "")
        if command not in seen and only in command:
            seen.add(command)
            yield page, command


def _lines() -> Iterator[tuple[str, str]]:
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))):
        for block in re.findall(r"^```sh\n(.*?)^```", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE):
            yield from ((path.name, line) for line in block.splitlines() if line.strip())


def _run(one: Ran, places: Mapping[str, str], environment: Mapping[str, str]) -> None:
    command = one.command
    for part, other in {**INSTEAD, **places}.items():
        command = command.replace(part, other)
    if "RUN_ID" in command or "0123456789abcdef" in command:
        command = re.sub("RUN_ID|0123456789abcdef0123456789abcdef", _last_run(), command)
    started = time.monotonic()
    seconds = next((seconds for part, seconds in WATCHED.items() if part in command), None)
    with (ROOT / "build" / "run_docs.log").open("a", encoding="utf-8") as log:
        print(f"$ {command}", file=log, flush=True)
        process = subprocess.Popen(
            ["bash", "-c", f"exec {command}"], cwd=ROOT, env=dict(environment), stdout=log, stderr=log, start_new_session=True
        )
        one.code = process.wait() if seconds is None else _watch(process, command, seconds)
    one.seconds = time.monotonic() - started


def _watch(process: subprocess.Popen[bytes], command: str, seconds: float) -> int:
    """Wait until a server answers, or for a while where it is a stream; then end it as Ctrl-C does. 0: it did what it should."""
    until, answered = time.monotonic() + seconds, "mlflow ui" not in command
    while time.monotonic() < until and process.poll() is None:
        if "mlflow ui" in command and (answered := _answers()):
            break
        time.sleep(1)
    if process.poll() is not None:
        return process.returncode or 1  # neither ends by itself
    os.killpg(process.pid, signal.SIGINT)
    process.wait(60)
    return 0 if answered else 1


def _answers() -> bool:
    try:
        with urllib.request.urlopen("http://127.0.0.1:5000", timeout=1) as found:
            return bool(found.status == 200)
    except OSError:
        return False


def _last_run() -> str:
    """Return the run of the newest version of the example's model."""
    from mlflow import MlflowClient

    versions = MlflowClient(f"sqlite:///{ROOT}/mlflow/mlflow.db").search_model_versions("name='classification-tickets'")
    return str(max(versions, key=lambda version: int(version.version)).run_id)


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    (ROOT / "build").mkdir(exist_ok=True)
    return {**kept, "PATH": f"{ROOT}/.venv/bin:{kept['PATH']}", "VIRTUAL_ENV": f"{ROOT}/.venv"}


@contextmanager
def _cluster(environment: Mapping[str, str]) -> Iterator[str]:
    """Give the address of a standalone cluster of this machine: a master and a worker of two cores."""
    kinds = {
        "master.Master": ["--host", "127.0.0.1", "--port", "7077", "--webui-port", "0"],
        "worker.Worker": ["--cores", "2", "--host", "127.0.0.1", "spark://127.0.0.1:7077"],
    }
    with (ROOT / "build" / "run_docs_cluster.log").open("w", encoding="utf-8") as log:
        started = [
            subprocess.Popen(
                ["spark-class", f"org.apache.spark.deploy.{kind}", *more], cwd=ROOT, env=dict(environment), stdout=log, stderr=log
            )
            for kind, more in kinds.items()
        ]
        try:
            yield "127.0.0.1:7077"
        finally:
            for process in started:
                process.terminate()
                process.wait()


@contextmanager
def _mlflow() -> Iterator[str]:
    """Give the address of a tracking server."""
    with tempfile.TemporaryDirectory(prefix="run-docs-") as folder:
        server = MlflowServer(Path(folder))
        server.start()
        try:
            yield server.uri
        finally:
            server.kill()


def _line(one: Ran) -> str:
    came = f"not run: {one.reason}" if one.reason else f"{one.seconds:6.1f} s  exit {one.code}"
    return f"{came}  |  {one.command}"


if __name__ == "__main__":
    sys.exit(main())
