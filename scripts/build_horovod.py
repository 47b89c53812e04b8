"""Install Horovod into this environment: from the wheel cache, or built once from its sdist (about 4 minutes).

Called by ``make setup``. Horovod 0.28.1 as published does not compile against current torch, whose headers need
C++20; raising ``CMAKE_CXX_STANDARD`` in two of its CMake files is all that it takes. The wheel depends on the exact
torch and Python it was built with, so the cache is keyed by (horovod, torch, python, CPU or NCCL).
"""

from __future__ import annotations

import hashlib
import importlib.metadata as metadata
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

VERSION = "0.28.1"
SDIST_SHA256 = "92a43f5a94c43907a56805bad15f19700c62ffc83b7ca483f9e104e229f67ef0"
CXX_STANDARD_FILES = ("CMakeLists.txt", "horovod/torch/CMakeLists.txt")
# cmake 4 refuses the old minimum versions that Horovod's third-party folders declare.
BUILD_TOOLS = ("cmake>=3.18,<4",)


def main() -> int:
    wheel_dir = cache_dir() / build_key()
    wheels = sorted(wheel_dir.glob("horovod-*.whl"))
    if wheels and installed_from(wheel_dir):
        return 0
    if not wheels:
        say(f"building Horovod {VERSION} for torch {metadata.version('torch')} (once, about 4 minutes)")
        start = time.monotonic()
        wheels = [build_wheel(wheel_dir)]
        say(f"built in {time.monotonic() - start:.0f} s, kept in {wheel_dir}")
    uv("pip", "install", "--quiet", "--no-deps", "--reinstall", "--python", sys.executable, str(wheels[0]))
    marker().write_text(wheel_dir.name)
    return 0


def cache_dir() -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "sparknlp_ft" / "horovod"


def build_key() -> str:
    python = f"cp{sys.version_info.major}{sys.version_info.minor}"
    device = "nccl" if shutil.which("nvcc") else "cpu"
    return f"{VERSION}-torch{metadata.version('torch')}-{python}-{device}"


def marker() -> Path:
    return Path(sys.prefix) / ".horovod-build"


def installed_from(wheel_dir: Path) -> bool:
    try:
        metadata.version("horovod")
    except metadata.PackageNotFoundError:
        return False
    return marker().is_file() and marker().read_text() == wheel_dir.name


def build_wheel(wheel_dir: Path) -> Path:
    """Download, check, patch and compile; the wheel appears in the cache only when whole."""
    with tempfile.TemporaryDirectory(prefix="horovod-build-") as scratch_name:
        scratch = Path(scratch_name)
        source = patched_source(scratch)
        tools = scratch / "tools"
        uv("pip", "install", "--quiet", "--python", sys.executable, "--target", str(tools), *BUILD_TOOLS)
        env = {
            **os.environ,
            "PATH": f"{tools / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(tools),
            "HOROVOD_WITH_PYTORCH": "1",
            "HOROVOD_WITHOUT_TENSORFLOW": "1",
            "HOROVOD_WITHOUT_MXNET": "1",
            "HOROVOD_WITHOUT_MPI": "1",
            "HOROVOD_WITH_GLOO": "1",
            "MAKEFLAGS": f"-j{os.cpu_count() or 2}",
        }
        if shutil.which("nvcc"):
            env["HOROVOD_GPU_OPERATIONS"] = "NCCL"
        command = [sys.executable, "setup.py", "-q", "bdist_wheel", "--dist-dir", str(scratch / "dist")]
        log = scratch / "build.log"
        with log.open("w") as stream:
            built = subprocess.run(command, cwd=source, env=env, stdout=stream, stderr=subprocess.STDOUT)
        if built.returncode:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-40:])
            raise SystemExit(f"{tail}\nHorovod did not build (exit {built.returncode}); the lines above say why.")
        wheel_dir.mkdir(parents=True, exist_ok=True)
        wheel = next((scratch / "dist").glob("*.whl"))
        partial = wheel_dir / (wheel.name + ".part")
        shutil.copyfile(wheel, partial)
        return partial.rename(wheel_dir / wheel.name)


def patched_source(scratch: Path) -> Path:
    pip = os.environ.get("SETUP_PIP", "pip").split()
    download = [*pip, "download", "--quiet", "--no-deps", "--no-binary", "horovod"]
    subprocess.run([*download, "--dest", str(scratch), f"horovod=={VERSION}"], check=True)
    archive = scratch / f"horovod-{VERSION}.tar.gz"
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    if digest != SDIST_SHA256:
        raise SystemExit(f"horovod sdist has sha256 {digest}, expected {SDIST_SHA256}: not building it.")
    with tarfile.open(archive) as tar:
        tar.extractall(scratch, filter="data")
    source = scratch / f"horovod-{VERSION}"
    for name in CXX_STANDARD_FILES:
        path = source / name
        patched, count = re.subn(r"set\(CMAKE_CXX_STANDARD 14\)", "set(CMAKE_CXX_STANDARD 20)", path.read_text())
        if count != 1:
            raise SystemExit(f"{name}: expected one 'CMAKE_CXX_STANDARD 14' in Horovod {VERSION}, found {count}.")
        path.write_text(patched)
    return source


def uv(*arguments: str) -> None:
    subprocess.run([os.environ.get("SETUP_UV", "uv"), *arguments], check=True)


def say(message: str) -> None:
    print(f"[setup] {message}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
