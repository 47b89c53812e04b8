"""Processes spread over the GPUs of a machine, and a process that is gone has left its place."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sparknlp_ft.errors import LaunchError
from sparknlp_ft.scoring import placement

HOLD = """
import sys
from pathlib import Path
from sparknlp_ft.scoring.placement import take
print(take(["a", "b"], Path(sys.argv[1])), flush=True)
sys.stdin.read()
"""


def test_processes_spread_over_the_gpus_and_leave_their_places(tmp_path: Path) -> None:
    holders = []
    for expected in ("0", "1", "0"):
        holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        holders.append(holder)
        assert holder.stdout is not None and holder.stdout.readline().strip() == expected
    holders[1].kill()
    holders[1].wait()
    assert placement.take(["a", "b"], tmp_path) == 1
    for holder in (holders[0], holders[2]):
        holder.communicate("")


def test_there_is_an_end_to_sharing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "MOST", 1)
    monkeypatch.setattr(placement, "_HELD", [])
    assert placement.take(["a"], tmp_path) == 0
    with pytest.raises(LaunchError, match="shared by 1 processes each"):
        placement.take(["a"], tmp_path)


def test_without_gpus_there_is_nothing_to_take(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    placement.gpu_of_process.cache_clear()
    assert placement.gpu_of_process() is None
    placement.gpu_of_process.cache_clear()
