"""Run a Spark part of the tests on other versions of Spark and Delta, each in an environment of its own.

For each version an environment is made under ``build/matrix``: that version's pyspark and delta-spark, and over them the wheel, built
from the working tree and installed with its own dependencies. Everything else is held at what ``requirements.lock`` says, so that
uv links it from its cache. The tests then see the installed wheel and not ``src``. Run by ``make test-matrix``.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sparknlp_ft.versions import DELTA

ROOT = Path(__file__).parent.parent
BUILD = ROOT / "build" / "matrix"

#: The releases of Spark that are tried, each with the Delta that was made for it.
SPARK = {"3.5": "3.5.9", "4.0": "4.0.1", "4.1": "4.1.0", "4.2": "4.2.0"}

#: Never taken from the lock: they are what differs.
VARIED = frozenset({"pyspark", "delta-spark", "py4j"})

#: From files to a table, from a table to predictions, and what is asked of Delta: a matter of minutes, which CI has for one version.
QUICK = ("tests/spark/sources/test_ingest.py", "tests/spark/scoring/test_score.py", "tests/spark/tables")

#: What the whole matrix runs besides: merges, and the main job with its training.
LONGER = ("tests/spark/scoring/test_merge.py", "tests/spark/scoring/test_exactly_once.py", "tests/spark/test_main_job.py")


@dataclass(frozen=True)
class Runtime:
    """One environment of the matrix."""

    name: str
    spark: str
    delta: str

    @property
    def folder(self) -> Path:
        return BUILD / self.name

    @property
    def python(self) -> Path:
        return self.folder / "venv" / "bin" / "python"


def main(argv: Sequence[str] | None = None) -> int:
    """Test the versions that were asked for, and print a line for each; 1 if one of them failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--spark", choices=SPARK, help="one version, and the quick tests alone (default: all, and all tests)")
    parser.add_argument("--keep", action="store_true", help="use the environment that an earlier run made, with a new wheel")
    parser.add_argument("tests", nargs="*", help="files and options for pytest, in place of the usual ones")
    args = parser.parse_args(argv)
    runtimes = [Runtime(name, SPARK[name], DELTA[name]) for name in ([args.spark] if args.spark else SPARK)]
    tests, wheel = args.tests or (QUICK if args.spark else (*QUICK, *LONGER)), built_wheel()
    lines = [tried(runtime, wheel, tests, keep=args.keep) for runtime in runtimes]
    print("\n".join(line for line, _ in lines))
    return int(any(failed for _, failed in lines))


def built_wheel() -> Path:
    """Build the wheel from a copy of the tree, so that nothing stale of an earlier build is in it."""
    scratch, wheels = BUILD / "tree", BUILD / "wheels"
    for folder in (scratch, wheels):
        shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "src", scratch / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, scratch)
    uv("build", "--quiet", "--wheel", "--no-build-isolation", "--python", sys.executable, "--out-dir", str(wheels), str(scratch))
    [wheel] = wheels.glob("sparknlp_ft-*.whl")
    return wheel


def tried(runtime: Runtime, wheel: Path, tests: Sequence[str], *, keep: bool) -> tuple[str, bool]:
    """Make the environment and run the tests in it; returns what to say, and whether they failed."""
    print(f"[matrix] Spark {runtime.spark}, Delta {runtime.delta}", flush=True)
    start = time.monotonic()
    if not (keep and runtime.python.exists()):
        make_environment(runtime, wheel)
    uv("pip", "install", "--quiet", "--no-deps", "--reinstall-package", "sparknlp-ft", "--python", str(runtime.python), str(wheel))
    ready = time.monotonic()
    done = subprocess.run([str(runtime.python), "-m", "pytest", "-p", "no:cacheprovider", *tests], cwd=ROOT, env=environment(runtime))
    installing, testing = ready - start, time.monotonic() - ready
    word = "passed" if done.returncode == 0 else f"failed (exit {done.returncode})"
    line = f"[matrix] Spark {runtime.spark}, Delta {runtime.delta}: {word}; {installing:.0f} s to install, {testing:.0f} s of tests"
    return line, done.returncode != 0


def make_environment(runtime: Runtime, wheel: Path) -> None:
    """Make a bare environment and install Spark first, as on a cluster, then the wheel over it, and what only tests and ranks need."""
    runtime.folder.mkdir(parents=True, exist_ok=True)
    held = runtime.folder / "constraints.txt"
    held.write_text("\n".join([*locked(), f"pyspark=={runtime.spark}", f"delta-spark=={runtime.delta}"]) + "\n", encoding="utf-8")
    uv("venv", "--quiet", "--clear", "--python", sys.executable, str(runtime.folder / "venv"))
    install = ("pip", "install", "--quiet", "--python", str(runtime.python))
    uv(*install, "--constraint", str(held), "pyspark", "delta-spark")
    packages = [f"{wheel}[train,compare,report]", "pytest", "pytest-timeout", "hypothesis", "setuptools"]
    uv(*install, "--constraint", str(held), *packages)
    uv(*install, "--no-deps", "petastorm==0.13.1")
    subprocess.run([str(runtime.python), str(ROOT / "scripts" / "build_horovod.py")], check=True, env=environment(runtime))


def locked() -> list[str]:
    """Return what the lock holds, without hashes and without what the matrix varies."""
    pins = re.findall(r"^([A-Za-z0-9_.-]+)==(\S+)( ;[^\\\n]*)?", (ROOT / "requirements.lock").read_text(encoding="utf-8"), re.MULTILINE)
    return [f"{name}=={version}{marker.rstrip()}" for name, version, marker in pins if name not in VARIED]


def environment(runtime: Runtime) -> dict[str, str]:
    """Return a process's environment in which this runtime's Python and Spark are the only ones."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in {"PYTHONPATH", "SPARK_HOME", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE"}
    }
    return {**kept, "PATH": f"{runtime.python.parent}{os.pathsep}{kept['PATH']}", "SETUP_UV": uv_command()}


def uv(*arguments: str) -> None:
    """Run uv; its failure is this script's."""
    # Whoever points pip at a mirror means uv too.
    mirror = {"UV_DEFAULT_INDEX": os.environ["PIP_INDEX_URL"]} if "PIP_INDEX_URL" in os.environ else {}
    env = {**mirror, **os.environ, "UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1"}
    subprocess.run([uv_command(), *arguments], check=True, env=env)


def uv_command() -> str:
    """Return the uv that set-up uses."""
    return os.environ.get("SETUP_UV") or shutil.which("uv") or str(ROOT / ".uv" / "bin" / "uv")


if __name__ == "__main__":
    sys.exit(main())
