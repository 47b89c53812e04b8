"""Real Horovod ranks in Spark tasks: they train, they agree with one rank, and what goes wrong in one reaches the driver."""

import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import horovod
import pyarrow.parquet as pq
import pytest

from sparknlp_ft.errors import DataError, LaunchError, RankError
from sparknlp_ft.models.folder import load_model
from sparknlp_ft.storage import Folder
from sparknlp_ft.training.job import TrainJob, TrainResult
from sparknlp_ft.training.launch import OnEvent, launch
from sparknlp_ft.training.run_folder import RunFolder
from tests.training_jobs import tiny_job


def run(job: TrainJob, spark: Any, *, on_event: OnEvent | None = None, **changes: Any) -> tuple[TrainResult, list[dict[str, Any]]]:
    events: list[dict[str, Any]] = []
    config = job.resolved.launch.model_copy(update={"restarts": 0, **changes})
    return launch(job, config, spark, slots=lambda: 2, on_event=on_event or events.append), events


def gathered() -> list[list[bytes] | None]:
    from sparknlp_ft.training.launchers.horovod import HorovodComm

    comm = HorovodComm()
    return [comm.gather(bytes([comm.rank]) * (size * (comm.rank + 1))) for size in (3, 0, 10_000)]


def test_rank_0_is_sent_what_all_have_and_the_others_nothing() -> None:
    first, *others = horovod.run(gathered, np=3, use_gloo=True)
    assert first == [[bytes([rank]) * (size * (rank + 1)) for rank in range(3)] for size in (3, 0, 10_000)]
    assert others == [[None] * 3] * 2


@pytest.mark.parametrize("storage", ["", "whole://"], ids=["disk", "whole objects"])
def test_two_ranks_learn_what_one_learns_and_the_driver_sees_it(tmp_path: Path, spark: Any, storage: str) -> None:
    job = tiny_job(tmp_path)
    job = replace(job, run_dir=storage + job.run_dir, manifest_path=storage + job.manifest_path, base_dir=storage + job.base_dir)
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    result, events = run(job, spark)
    assert handlers == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    losses = [event["loss"] for event in events if event["event"] == "step"]
    assert losses[-1] < 0.3 * losses[0] and len(losses) == 39
    assert [event["epoch"] for event in events if event["event"] == "epoch"] == [1, 2, 3]
    assert (result.ranks, result.steps, result.rows, result.threads) == (2, 39, 300, 1)
    assert result.best_metrics["accuracy"] > 0.9
    with Folder(result.best_dir).local() as best:
        load_model(best)
    alone, alone_events = run(replace(job, run_dir=str(tmp_path / "alone")), None, backend="solo")
    assert alone.ranks == 1
    # The first step sees the same global batch and the same weights: same loss, same gradient.
    for name in ("loss", "gradient_norm"):
        assert alone_events[1][name] == pytest.approx(events[1][name], rel=1e-5)
    assert run(replace(job, resume=True), spark)[0] == result


def test_an_error_in_a_rank_arrives_with_its_own_message_and_kind(tmp_path: Path, spark: Any) -> None:
    job = tiny_job(tmp_path)
    path = next(Path(job.manifest_path).glob("split=train/lane=1/*.parquet"))  # Lane 1 is rank 1's.
    pq.write_table(pq.read_table(path).slice(1), path, row_group_size=20)
    with pytest.raises(DataError, match=r"^snapshot lane 1: row group 1 of .* should give 17 rows, and 16 came"):
        run(job, spark)
    assert [error["type"] for error in job.folder.errors() if error["rank"] == 1] == ["DataError"]


def test_an_unforeseen_error_in_a_rank_arrives_with_its_traceback(tmp_path: Path, spark: Any) -> None:
    job = tiny_job(tmp_path)
    next(Path(job.manifest_path).glob("split=train/lane=3/*.parquet")).write_bytes(b"not a Parquet file")
    with pytest.raises(RankError, match=r"(?s)^rank 1: ArrowInvalid: .*Traceback") as caught:
        run(job, spark)
    assert not isinstance(caught.value, DataError)


def test_a_killed_rank_is_told_from_one_that_fails(tmp_path: Path, spark: Any) -> None:
    job = tiny_job(tmp_path, epochs=500)
    killed: list[int] = []

    def kill_rank_1(event: dict[str, Any]) -> None:
        if event["event"] == "step" and not killed:
            killed.append((job.folder.started(1) or {})["process"])
            os.kill(killed[0], signal.SIGKILL)

    with pytest.raises(RankError, match="(?s)^rank 1 left without a word: .*Process name: 1.*Exit code: 137"):
        run(job, spark, on_event=kill_rank_1)


def test_more_ranks_than_slots_are_refused_at_once(tmp_path: Path) -> None:
    job = tiny_job(tmp_path)
    with pytest.raises(LaunchError, match="3 ranks need 3 slots at the same time, and this Spark cluster has 2; set launch.ranks=2"):
        run(job, None, ranks=3)
    assert not Path(job.run_dir).exists()


prepare = RunFolder.prepare


def test_a_folder_that_ranks_do_not_share_is_refused(tmp_path: Path, spark: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    job = tiny_job(tmp_path)
    # What a rank finds where the driver's folder is not mounted: an empty one, or that of another launch.
    monkeypatch.setattr(RunFolder, "prepare", lambda folder, keep: prepare(folder, keep=keep)[:-1])
    with pytest.raises(LaunchError, match="is not a folder that all ranks share with the driver .*rank 0.*rank 1"):
        run(job, spark)
