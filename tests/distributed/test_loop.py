"""The loop on a tiny model: ranks change neither gradients nor metrics, and stopping, resuming and saving are exact."""

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from sparknlp_ft.errors import DataError
from sparknlp_ft.models.folder import load_model
from sparknlp_ft.training import assembly, recorder
from sparknlp_ft.training.assembly import Parts, Seat, assemble
from sparknlp_ft.training.comm import Comm, Solo
from sparknlp_ft.training.evaluation import evaluate
from sparknlp_ft.training.job import TrainJob, TrainResult
from sparknlp_ft.training.loop import accumulate_gradients
from sparknlp_ft.training.run_folder import RunFolder
from sparknlp_ft.training.worker import run_rank
from tests.ranks import as_ranks
from tests.training_jobs import tiny_job


def train_alone(job: TrainJob, run_dir: Path, **changes: Any) -> TrainResult:
    job = replace(job, run_dir=str(run_dir), **changes)
    job.folder.prepare(keep=job.resume)
    return TrainResult.from_dict(run_rank(job, Solo()))


def weights(result: TrainResult) -> dict[str, torch.Tensor]:
    return load_file(Path(result.best_dir) / "model.safetensors")


def with_train(job: TrainJob, **settings: Any) -> TrainJob:
    return replace(job, config={**job.config, "train": {**job.config["train"], **settings}})


def first_gradient(parts: Parts, comm: Comm, *, tokens: int = 4096) -> np.ndarray:
    config = parts.job.resolved.train.model_copy(update={"micro_batch_tokens": tokens})
    accumulate_gradients(parts.forward, parts.optimizer, next(parts.train.epoch(0)), rank=comm.rank, config=config)
    comm.allreduce_sum_(parts.optimizer.gradients.flat)
    return parts.optimizer.gradients.flat.numpy().copy()


def test_gradients_of_a_global_batch_are_equal_on_any_number_of_ranks(tmp_path: Path) -> None:
    job = tiny_job(tmp_path, batch_size=32)
    alone = first_gradient(assemble(job, Solo(), Seat()), Solo())
    assert np.linalg.norm(alone) > 0.1
    for size in (2, 3, 4):
        for gradient in as_ranks(size, lambda comm: first_gradient(assemble(job, comm, Seat()), comm)):
            np.testing.assert_allclose(gradient, alone, rtol=0, atol=1e-5)


def test_accumulation_in_small_passes_gives_the_same_gradient(tmp_path: Path) -> None:
    parts = assemble(tiny_job(tmp_path, batch_size=32), Solo(), Seat())
    np.testing.assert_allclose(first_gradient(parts, Solo(), tokens=40), first_gradient(parts, Solo()), rtol=0, atol=1e-5)


@pytest.mark.parametrize("validation_rows", [(9, 1, 8, 5), (0, 1, 0, 0), (0, 0, 0, 0)])
def test_metrics_of_the_same_weights_are_equal_on_any_number_of_ranks(tmp_path: Path, validation_rows: tuple[int, ...]) -> None:
    job = tiny_job(tmp_path, validation_rows=validation_rows)

    def metrics(comm: Comm) -> dict[str, float]:
        parts = assemble(job, comm, Seat())
        assert parts.validation is not None
        return evaluate(parts.forward, parts.validation, comm, max_tokens=100)[0]

    alone = metrics(Solo())
    assert bool(alone) == any(validation_rows)
    for size in (2, 3, 4):
        assert as_ranks(size, metrics) == [pytest.approx(alone, abs=1e-6)] * size


def test_it_learns_keeps_the_best_model_and_every_rank_agrees(tmp_path: Path) -> None:
    job = tiny_job(tmp_path)
    job.folder.prepare(keep=False)
    results = [TrainResult.from_dict(values) for values in as_ranks(3, lambda comm: run_rank(job, comm))]
    assert results[0].epochs[-1]["metrics"]["accuracy"] > 0.9
    assert len({(result.best_epoch, result.best_dir, result.steps, result.rows) for result in results}) == 1
    assert results[0].rows == 300 and results[0].ranks == 3
    assert [path.name for path in Path(job.run_dir).glob("best-*/")] == [f"best-{results[0].best_epoch}"]
    assert load_model(results[0].best_dir).labels == ("no", "yes")
    alone = train_alone(job, tmp_path / "alone")
    for name, tensor in weights(alone).items():
        torch.testing.assert_close(weights(results[0])[name], tensor, rtol=0, atol=2e-3)  # AdamW enlarges rounding.


def test_training_the_rows_in_use_alone_gives_the_result_of_training_the_whole_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sparknlp_ft.training.active_rows.MOST_OF_TABLE", 1.0)
    job = with_train(tiny_job(tmp_path), weight_decay=0.5, learning_rate=0.001)
    assert 0 < len(assemble(job, Solo(), Seat()).active.rows) < 100  # type: ignore[union-attr]
    some = train_alone(job, tmp_path / "some")
    monkeypatch.setattr(assembly, "train_active_rows", lambda *_: None)
    whole = train_alone(job, tmp_path / "whole")
    assert weights(some).keys() == weights(whole).keys()
    for name, tensor in weights(whole).items():
        torch.testing.assert_close(weights(some)[name], tensor, rtol=0, atol=2e-5)
    for mine, theirs in zip(some.epochs, whole.epochs, strict=True):
        assert mine["metrics"] == pytest.approx(theirs["metrics"], abs=1e-4)


def events(run_dir: Path) -> list[dict[str, Any]]:
    return list(RunFolder.at(str(run_dir)).events())


class Killed(Exception):
    pass


def with_launch(job: TrainJob, **settings: Any) -> TrainJob:
    return replace(job, config={**job.config, "launch": {**job.config["launch"], "checkpoint_seconds": 1e9, **settings}})


def killed_in(job: TrainJob, run_dir: Path, monkeypatch: pytest.MonkeyPatch, *, step: int, ranks: int = 1) -> None:
    """Train until a step has been written, and die."""
    write = recorder.Recorder._write_step

    def die(self: Any) -> None:
        last = self.pending[-1]
        write(self)
        if last.step == step:
            self.checkpoints.finish()
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(recorder.Recorder, "_write_step", die)
        with pytest.raises((Killed, threading.BrokenBarrierError)):
            train_on(ranks, job, run_dir)


def train_on(ranks: int, job: TrainJob, run_dir: Path, **changes: Any) -> TrainResult:
    if ranks == 1:
        return train_alone(job, run_dir, **changes)
    job = replace(job, run_dir=str(run_dir), **changes)
    job.folder.prepare(keep=job.resume)
    return TrainResult.from_dict(as_ranks(ranks, lambda comm: run_rank(job, comm))[0])


def steps_written(run_dir: Path, after: int = 0) -> list[int]:
    return [event["step"] for event in events(run_dir)[after:] if event["event"] == "step"]


@pytest.mark.parametrize(
    ("every", "killed_at", "goes_on_at"),
    [(13, 31, 27), (5, 17, 16), (5, 15, 11), (4, 13, 13), (4, 26, 25), (7, 3, 1), (1, 29, 29)],
    ids=["end of epoch", "within", "as a checkpoint is due", "last step of an epoch", "at its end", "before the first", "every step"],
)
def test_killed_and_resumed_equals_uninterrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every: int, killed_at: int, goes_on_at: int
) -> None:
    job = with_launch(with_train(tiny_job(tmp_path), epochs=4, weight_decay=0.1), checkpoint_steps=every)
    job = replace(job, config={**job.config, "model": {**job.config["model"], "dropout": 0.1}})
    whole = train_alone(job, tmp_path / "whole")
    killed_in(job, tmp_path / "killed", monkeypatch, step=killed_at)
    before = len(events(tmp_path / "killed"))
    resumed = train_alone(job, tmp_path / "killed", resume=True)
    assert steps_written(tmp_path / "killed", before) == list(range(goes_on_at, 4 * 13 + 1))
    assert (resumed.steps, resumed.rows) == (whole.steps, whole.rows)
    assert [event["rows"] for event in events(tmp_path / "killed") if event["event"] == "step"][-1] == 4 * 100
    assert_same(resumed, whole)
    assert not (tmp_path / "killed" / "checkpoints").exists()


def assert_same(one: TrainResult, other: TrainResult) -> None:
    assert [entry["metrics"] for entry in one.epochs] == [entry["metrics"] for entry in other.epochs]
    assert all(torch.equal(weights(one)[name], tensor) for name, tensor in weights(other).items())


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1), (2, 3)])
def test_a_run_goes_on_with_another_number_of_ranks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: int, after: int) -> None:
    job = with_launch(with_train(tiny_job(tmp_path), epochs=2, learning_rate=0.001), checkpoint_steps=5)
    whole = train_on(before, job, tmp_path / "whole")
    killed_in(job, tmp_path / "killed", monkeypatch, step=17, ranks=before)
    resumed = train_on(after, job, tmp_path / "killed", resume=True)
    assert (resumed.steps, resumed.ranks) == (whole.steps, after)
    for name, tensor in weights(whole).items():
        torch.testing.assert_close(weights(resumed)[name], tensor, rtol=0, atol=1e-4)  # AdamW enlarges rounding.


def test_a_run_that_is_asked_to_stop_takes_a_checkpoint_on_all_ranks_at_the_same_step(tmp_path: Path) -> None:
    job = with_train(tiny_job(tmp_path), epochs=2)
    whole = train_on(2, job, tmp_path / "whole")
    stopped = replace(job, run_dir=str(tmp_path / "stopped"))
    stopped.folder.prepare(keep=False)

    def work(comm: Comm) -> dict[str, Any]:
        asked = iter([*[False] * 8, *[True] * 99])
        # It is enough that one of them is told.
        return run_rank(stopped, comm, stop_asked=lambda: next(asked) if comm.rank == 1 else False)

    assert as_ranks(2, work) == [{"stopped": 9}] * 2
    assert_same(train_on(2, job, tmp_path / "stopped", resume=True), whole)
    assert steps_written(tmp_path / "stopped") == list(range(1, 27))


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = with_launch(with_train(tiny_job(tmp_path), epochs=2), checkpoint_steps=5)
    killed_in(job, tmp_path / "run", monkeypatch, step=13 + 5)
    with pytest.raises(DataError, match="another run: train differ"):
        train_alone(with_train(job, epochs=3), tmp_path / "run", resume=True)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("harm", [cut, empty, flip, Path.unlink])
@pytest.mark.parametrize("name", ["checkpoints/000001-000000007/state.safetensors", "checkpoints/000001-000000007.whole.json"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str, harm: Callable[[Path], None]
) -> None:
    job = with_launch(with_train(tiny_job(tmp_path), epochs=2), checkpoint_steps=10)
    whole = train_alone(job, tmp_path / "whole")
    killed_in(job, tmp_path / "run", monkeypatch, step=22)
    assert sorted(path.name for path in (tmp_path / "run" / "checkpoints").glob("*/")) == ["000000-000000010", "000001-000000007"]
    harm(tmp_path / "run" / name)
    monkeypatch.setattr(logging.getLogger("sparknlp_ft"), "propagate", True)
    assert_same(train_alone(job, tmp_path / "run", resume=True), whole)
    assert "checkpoint 000001-000000007" in caplog.text and "is left aside" in caplog.text


def test_no_rows_to_train_on_and_no_rows_to_validate_on(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no rows to train on"):
        train_alone(tiny_job(tmp_path / "a", train_rows=(0, 0)), tmp_path / "run")
    result = train_alone(with_train(tiny_job(tmp_path / "b", validation_rows=(0, 0)), epochs=2), tmp_path / "run")
    assert result.best_epoch == 2 and result.best_metrics == {} and Path(result.best_dir).is_dir()
