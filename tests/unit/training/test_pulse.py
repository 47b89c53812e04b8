"""The driver's ear: silence, and a rank that others wait for after it has failed, end a launch with the right reason."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sparknlp_ft.config import LaunchConfig
from sparknlp_ft.errors import DataError, RankLost
from sparknlp_ft.training import launch as launching
from sparknlp_ft.training import pulse
from sparknlp_ft.training.interrupts import Interrupts
from sparknlp_ft.training.job import TrainJob
from sparknlp_ft.training.launcher import Launcher, Start
from sparknlp_ft.training.pulse import Watch
from sparknlp_ft.training.run_folder import RunFolder


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(pulse, "time", SimpleNamespace(monotonic=lambda: self.now))

    def after(self, seconds: float, watch: Watch) -> str | None:
        self.now += seconds
        return watch.look()


def test_a_rank_is_silent_once_it_was_heard_and_no_longer_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, clock = RunFolder.at(str(tmp_path)), Clock(monkeypatch)
    watch = Watch(run, ["rank-0", "rank-1"], 60.0)
    assert clock.after(1000, watch) is None  # Nobody has come up.
    for count in range(3):
        run.beat("rank-0", count)
        run.beat("rank-1", 0)
        assert clock.after(30, watch) is None
    run.beat("rank-0", 3)
    assert clock.after(30, watch) == "rank-1 is silent" and watch.silent == "rank-1"


@pytest.mark.parametrize(("error", "ended"), [("DataError", True), ("HorovodInternalError", False)])
def test_ranks_have_a_while_to_leave_after_one_has_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: str, ended: bool) -> None:
    run, clock = RunFolder.at(str(tmp_path)), Clock(monkeypatch)
    watch = Watch(run, ["rank-0"], 60.0)
    assert clock.after(30, watch) is None
    run.write_error(1, type(error, (Exception,), {})("lane 1 is short"))
    assert clock.after(3, watch) is None and clock.after(pulse.LEAVING_SECONDS - 1, watch) is None
    assert (clock.after(2, watch) is not None) == ended and watch.silent is None


class Hanging(Launcher):
    """Ranks of which one fails and the other hangs, as Horovod's do where a sum was asked for while the failing one left."""

    in_slots, beats = True, True

    def start(self, start: Start) -> dict[str, Any]:
        start.job.folder.beat("rank-1", 0)
        start.job.folder.write_error(1, DataError("lane 1 is short"))
        assert start.abort.wait(60)
        raise start.job.folder.first_error(ranks=2, launcher=RuntimeError("terminated"))


@pytest.mark.parametrize("seconds", [60.0, 1e-6])
def test_what_a_rank_said_is_raised_also_where_another_had_to_be_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    monkeypatch.setattr(launching, "get_launcher", lambda name: Hanging())
    monkeypatch.setattr(pulse, "BEAT_SECONDS", 0.0)
    monkeypatch.setattr(pulse, "LEAVING_SECONDS", 0.0)
    job = cast(TrainJob, SimpleNamespace(folder=RunFolder.at(str(tmp_path / "run")), resume=False))
    attempt = launching.Attempt(lambda event: None, Interrupts(job.folder))
    with pytest.raises(DataError, match="lane 1 is short") as caught:
        attempt.run(job, LaunchConfig(ranks=2, stall_seconds=seconds), None)
    assert not isinstance(caught.value, RankLost)
