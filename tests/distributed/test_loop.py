"""The loop on a tiny model: ranks change neither gradients nor metrics, and stopping, resuming and saving are exact."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from sparknlp_ft.errors import DataError
from sparknlp_ft.models.folder import load_model
from sparknlp_ft.training import worker
from sparknlp_ft.training.comm import Comm, Solo
from sparknlp_ft.training.evaluation import evaluate
from sparknlp_ft.training.job import TrainJob, TrainResult
from sparknlp_ft.training.loop import accumulate_gradients
from sparknlp_ft.training.run_folder import prepare
from sparknlp_ft.training.worker import Parts, Seat, assemble, run_rank
from tests.ranks import as_ranks
from tests.training_jobs import tiny_job


def train_alone(job: TrainJob, run_dir: Path, **changes: Any) -> TrainResult:
    job = replace(job, run_dir=str(run_dir), **changes)
    prepare(job.run_dir, keep=job.resume)
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
    for size in (2, 4):
        assert as_ranks(size, metrics) == [pytest.approx(alone, abs=1e-6)] * size


def test_it_learns_keeps_the_best_model_and_every_rank_agrees(tmp_path: Path) -> None:
    job = tiny_job(tmp_path)
    prepare(job.run_dir, keep=False)
    results = [TrainResult.from_dict(values) for values in as_ranks(3, lambda comm: run_rank(job, comm))]
    assert results[0].epochs[-1]["metrics"]["accuracy"] > 0.9
    assert len({(result.best_epoch, result.best_dir, result.steps, result.rows) for result in results}) == 1
    assert results[0].rows == 300 and results[0].ranks == 3
    assert [path.name for path in Path(job.run_dir).glob("best-*")] == [f"best-{results[0].best_epoch}"]
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
    monkeypatch.setattr(worker, "train_active_rows", lambda *_: None)
    whole = train_alone(job, tmp_path / "whole")
    assert weights(some).keys() == weights(whole).keys()
    for name, tensor in weights(whole).items():
        torch.testing.assert_close(weights(some)[name], tensor, rtol=0, atol=2e-5)
    for mine, theirs in zip(some.epochs, whole.epochs, strict=True):
        assert mine["metrics"] == pytest.approx(theirs["metrics"], abs=1e-4)


def events(run_dir: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]


class Killed(Exception):
    pass


def test_killed_and_resumed_equals_uninterrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = replace(with_train(tiny_job(tmp_path), epochs=4), checkpoint_seconds=0.0)
    job = replace(job, config={**job.config, "model": {**job.config["model"], "dropout": 0.1}})
    whole = train_alone(job, tmp_path / "whole")
    write = worker._Recorder._write_step

    def die(self: Any) -> None:
        last = self.pending[-1]
        write(self)
        if last.step == 2 * 13 + 5:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(worker._Recorder, "_write_step", die)
        with pytest.raises(Killed):
            train_alone(job, tmp_path / "killed")
    before = len(events(tmp_path / "killed"))
    resumed = train_alone(job, tmp_path / "killed", resume=True)
    steps = [event for event in events(tmp_path / "killed")[before:] if event["event"] == "step"]
    assert [event["step"] for event in steps] == list(range(2 * 13 + 1, 4 * 13 + 1))
    assert (resumed.steps, resumed.rows, steps[-1]["rows"]) == (whole.steps, whole.rows, 4 * 100)
    assert [entry["metrics"] for entry in resumed.epochs] == [entry["metrics"] for entry in whole.epochs]
    assert all(torch.equal(weights(resumed)[name], tensor) for name, tensor in weights(whole).items())
    assert not (tmp_path / "killed" / "checkpoint").exists()


def test_a_checkpoint_of_another_run_or_a_damaged_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = replace(with_train(tiny_job(tmp_path), epochs=1), checkpoint_seconds=0.0)
    monkeypatch.setattr(worker._Recorder, "end", lambda self, progress: self.result(progress))
    train_alone(job, tmp_path / "run")
    with pytest.raises(DataError, match="another run: train differ"):
        train_alone(with_train(job, epochs=2), tmp_path / "run", resume=True)
    path = tmp_path / "run" / "checkpoint" / "state.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(DataError, match="damaged"):
        train_alone(job, tmp_path / "run", resume=True)


def test_no_rows_to_train_on_and_no_rows_to_validate_on(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no rows to train on"):
        train_alone(tiny_job(tmp_path / "a", train_rows=(0, 0)), tmp_path / "run")
    result = train_alone(with_train(tiny_job(tmp_path / "b", validation_rows=(0, 0)), epochs=2), tmp_path / "run")
    assert result.best_epoch == 2 and result.best_metrics == {} and Path(result.best_dir).is_dir()
