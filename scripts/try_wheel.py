"""Build the wheel and install it where a cluster's Spark and torch are already: both must stay what they were.

Makes a bare environment with a real Spark of a runtime and a stand-in for its torch (a package of that name and version and nothing
else: what is tried is what installing asks for), installs the wheel as pip does by default, and compares. Then the command line is run
in it, without Petastorm, Horovod, Optuna and TensorBoard. Downloads some hundred MB; run by ``make test-wheel``.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent

#: As a runtime has them: neither is the version that this project is developed with.
SPARK, TORCH = "4.0.1", "2.7.1"

#: What scoring must not need.
UNWANTED = ("petastorm", "horovod", "optuna", "tensorboard", "datasets", "peft", "delta-spark")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the trial and return an exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", help="where to work; default: a folder that is deleted in the end")
    parser.add_argument("--spark", default=SPARK, help=f"version of the runtime's Spark (default: {SPARK})")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="try-wheel-") as scratch:
        return trial(Path(args.folder or scratch), args.spark)


def trial(folder: Path, spark: str) -> int:
    """Build, install, compare, run; prints what it finds."""
    wheels, python = folder / "wheels", folder / "runtime" / "bin" / "python"
    run([sys.executable, "-m", "venv", str(folder / "runtime")])
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet"]
    run([*pip, "wheel", "--no-deps", "--wheel-dir", str(wheels), str(ROOT)])
    run([*pip, "install", f"pyspark=={spark}", str(stand_in("torch", TORCH, wheels))])
    before = versions(python)
    [wheel] = wheels.glob("sparknlp_ft-*.whl")
    run([*pip, "install", str(wheel)])
    after = versions(python)
    changed = {name: (old, after.get(name)) for name, old in before.items() if after.get(name) != old}
    unwanted = sorted(set(UNWANTED) & after.keys())
    for name in ("pyspark", "torch"):
        print(f"{name}: {before[name]} before the wheel, {after[name]} after it")
    print(f"{len(after) - len(before)} packages came with the wheel; changed: {changed or 'none'}; unwanted: {unwanted or 'none'}")
    works = all(done(python, *arguments) for arguments in (["--version"], ["score", "--dry-run", "data.table=t"], ["status", "--help"]))
    return int(bool(changed or unwanted or not works))


def stand_in(name: str, version: str, folder: Path) -> Path:
    """Write a wheel of this name and version that holds an empty module."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}/__init__.py": f"__version__ = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: try_wheel\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = []
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        rows.append(f"{path},sha256={digest},{len(text.encode())}")
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for inner, text in {**files, f"{info}/RECORD": "\n".join([*rows, f"{info}/RECORD,,"]) + "\n"}.items():
            archive.writestr(inner, text)
    return path


def versions(python: Path) -> dict[str, str]:
    """Return the packages of an environment with their versions."""
    code = "import importlib.metadata as m; [print(d.metadata['Name'].lower().replace('_', '-'), d.version) for d in m.distributions()]"
    lines = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    return dict(line.split(" ", 1) for line in lines)


def done(python: Path, *arguments: str) -> bool:
    """Whether the command line does something in that environment; says what it says."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    found = subprocess.run([str(python), "-m", "sparknlp_ft.cli", *arguments], capture_output=True, text=True, cwd=python.parent, env=env)
    print(f"sparknlp-ft {' '.join(arguments)}: exit {found.returncode}; {(found.stdout + found.stderr).strip().splitlines()[-1:]}")
    return found.returncode == 0


def run(command: Sequence[str]) -> None:
    """Run a command; its failure is this script's."""
    subprocess.run(command, check=True)


if __name__ == "__main__":
    sys.exit(main())
