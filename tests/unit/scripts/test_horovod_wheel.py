"""scripts/horovod_wheel.py: the wheel and the list of what training with it needs, the build itself apart."""

from __future__ import annotations

import runpy
import sys
import types
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def test_the_list_holds_the_torch_that_the_wheel_fits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def build_wheel(folder: Path) -> Path:
        wheel = folder / "horovod-0.28.1-cp311-cp311-linux_x86_64.whl"
        wheel.write_bytes(b"wheel")
        return wheel

    monkeypatch.setitem(sys.modules, "uv", types.SimpleNamespace(find_uv_bin=lambda: "uv"))
    monkeypatch.setitem(sys.modules, "build_horovod", types.SimpleNamespace(build_wheel=build_wheel))
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("SETUP_UV", "SETUP_PIP"):
        monkeypatch.setenv(name, "restored behind the test")
    monkeypatch.setattr(sys, "argv", ["horovod_wheel.py", str(ROOT), str(tmp_path / "horovod")])
    runpy.run_path(str(ROOT / "scripts" / "horovod_wheel.py"), run_name="job")
    wheel = tmp_path / "horovod" / "horovod-0.28.1-cp311-cp311-linux_x86_64.whl"
    assert wheel.read_bytes() == b"wheel"
    listed = (tmp_path / "horovod" / "requirements.txt").read_text().splitlines()
    assert listed[-2:] == [f"torch=={version('torch')}", str(wheel)]
    assert listed[:-2] == (ROOT / "resources" / "requirements.txt").read_text().splitlines()


def test_the_build_that_it_calls_is_there() -> None:
    assert "def build_wheel(wheel_dir: Path) -> Path:" in (ROOT / "scripts" / "build_horovod.py").read_text(encoding="utf-8")
