"""Run folders as they are left: logged, finished, cut off, at work; and what of them may be deleted."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from sparknlp_ft.config import Config
from sparknlp_ft.pipelines.status import Status
from sparknlp_ft.steps.tidying import left_by_killed, spare_folders
from sparknlp_ft.training.leftovers import CUT_OFF, FINISHED, LOGGED, WORKING, left_in
from sparknlp_ft.training.run_folder import RunFolder, Runs

STAGE = f"messages_predictions__scoring_{'0' * 12}"


@pytest.fixture
def config(tmp_path: Path) -> Config:
    runs = Runs.at(str(tmp_path / "runs"))
    for name in ("cut", "done", "logged"):
        RunFolder(runs.folder / name).track(name)
    source = tmp_path / "state"
    source.mkdir()
    (source / "state.safetensors").write_text("x")
    RunFolder(runs.folder / "cut").checkpoints.publish("000004", source)
    RunFolder(runs.folder / "done").write_result({"best_epoch": 1})
    RunFolder(runs.folder / "logged").write_result({"best_epoch": 1})
    RunFolder(runs.folder / "logged").close("logged")
    runs.write_report("train-x", "<p>", "{}")
    for name in ("messages/_delta_log", "_snapshots/abc", STAGE):
        (tmp_path / "lake" / name).mkdir(parents=True)
        (tmp_path / "lake" / name / "file").write_text("x" * 100)
    return Config.model_validate({"data": {"table": "t", "root": str(tmp_path / "lake")}, "launch": {"run_dir": str(tmp_path / "runs")}})


@pytest.fixture
def someone() -> Iterator[psutil.Process]:
    """Another process that lives."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield psutil.Process(process.pid)
    process.communicate(b"\n")


def test_states_of_run_folders(config: Config) -> None:
    left = {one.run.folder.name: one for one in left_in(config.launch.run_dir)}
    assert {name: one.state for name, one in left.items()} == {"cut": CUT_OFF, "done": FINISHED, "logged": LOGGED}
    assert {name: one.run_id for name, one in left.items()} == {"cut": "cut", "done": "done", "logged": "logged"}
    assert left["cut"].checkpoints == 1


def test_only_what_nothing_needs_may_go(config: Config) -> None:
    spare = {one.folder.name: one for one in spare_folders(config, 0)}
    assert set(spare) == {"logged", "abc", STAGE}
    assert spare["abc"].size == 100
    assert spare_folders(config, 1) == []
    old = time.time() - 3 * 86_400
    os.utime(Path(config.data.root) / "_snapshots" / "abc" / "file", (old, old))
    assert [one.folder.name for one in spare_folders(config, 2)] == ["abc"]


def test_no_snapshot_goes_while_a_training_is_at_work(config: Config, someone: psutil.Process) -> None:
    run = RunFolder.at(f"{config.launch.run_dir}/cut")
    run.announce({"host": socket.gethostname(), "process": someone.pid, "since": someone.create_time(), "time": time.time()})
    assert {one.state for one in left_in(config.launch.run_dir) if one.run.folder.name == "cut"} == {WORKING}
    assert {one.folder.name for one in spare_folders(config, 0)} == {"logged", STAGE}


def test_status_says_how_to_go_on_with_what_was_killed(config: Config) -> None:
    told = Status([], [], [], list(left_in(config.launch.run_dir)), list(left_by_killed(config)), None)
    lines = str(told).splitlines()
    unfinished = lines[lines.index("unfinished") + 1 :]
    assert len(unfinished) == 3
    assert "cut: cut off, 1 checkpoint(s); the same command goes on" in unfinished[0]
    assert "done: finished, not registered, 0 checkpoint(s); the same command registers its model" in unfinished[1]
    assert f"{STAGE}: left by a job that was killed; the same command takes over what is whole of it" in unfinished[2]
    assert STAGE in told._repr_html_()
