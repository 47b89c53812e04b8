"""Students taught by a teacher: what the loss is, that unlabelled rows take part, and what tells one training from another."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sparknlp_ft.config import Config
from sparknlp_ft.identity import fingerprint, of_training
from sparknlp_ft.models.folder import load_model
from sparknlp_ft.snapshot.build import _key
from sparknlp_ft.snapshot.encode import Teacher
from sparknlp_ft.tables.contracts import Roles
from sparknlp_ft.tables.delta import Pinned, TableRef
from sparknlp_ft.tasks import Rows, Setup, get_task
from sparknlp_ft.tasks.imitation import Imitation
from sparknlp_ft.text.encoder import Inputs
from sparknlp_ft.training.assembly import Seat, assemble
from sparknlp_ft.training.comm import Solo
from sparknlp_ft.training.job import TrainJob, TrainResult
from sparknlp_ft.training.worker import run_rank
from tests.families import LABELS, family_job, student_job
from tests.tiny import tiny_classifier_dir

FAMILIES = ("classification", "multi_label", "regression")
ONE = Inputs(np.arange(3, dtype=np.int32), None, truncated=False)


def trained(job: TrainJob) -> TrainResult:
    job.folder.prepare(keep=False)
    return TrainResult.from_dict(run_rank(job, Solo()))


def teachable(family: str) -> Imitation:
    task = get_task(family)
    assert isinstance(task, Imitation)
    return task


def imitation(family: str, student: torch.Tensor, lessons: np.ndarray, windows: tuple[int, ...], temperature: float = 2.0) -> torch.Tensor:
    setup = Setup(LABELS[family], {"mean": 1.0, "deviation": 2.0})
    rows = Rows([[ONE] * count for count in windows], lessons=lessons)
    return teachable(family).imitation_loss(student, rows, setup, temperature=temperature)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_loss_is_nothing_where_both_say_the_same_and_leads_there(family: str) -> None:
    task, setup = teachable(family), Setup(LABELS[family], {"mean": 1.0, "deviation": 2.0})
    said = torch.randn(5, max(1, len(LABELS[family])), generator=torch.Generator().manual_seed(0))
    lessons = task.lessons(said.numpy(), setup)
    assert lessons.dtype == np.float32 and lessons.shape == said.shape
    assert imitation(family, said, lessons, (1,) * 5) == pytest.approx(np.zeros(5), abs=1e-6)
    student = (said + 1.0 * torch.arange(said.shape[1]) + 0.5).requires_grad_()
    before = imitation(family, student, lessons, (1,) * 5)
    assert (before > 1e-3).all()
    before.sum().backward()
    assert student.grad is not None
    after = imitation(family, student.detach() - 0.3 * student.grad, lessons, (1,) * 5)
    assert (after < before).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_row_of_several_windows_is_held_against_their_mean(family: str) -> None:
    outputs = max(1, len(LABELS[family]))
    windows = torch.randn(3, outputs, generator=torch.Generator().manual_seed(1))
    lessons = teachable(family).lessons(np.ones((2, outputs), dtype=np.float32), Setup(LABELS[family], {"mean": 1.0, "deviation": 2.0}))
    two = imitation(family, windows, lessons, (2, 1))
    mean = torch.stack([windows[:2].mean(dim=0), windows[2]])
    assert two == pytest.approx(imitation(family, mean, lessons, (1, 1)), abs=1e-6)


def test_softer_scores_give_gradients_of_the_same_size() -> None:
    lessons = np.asarray([[2.0, -1.0]], dtype=np.float32)

    def gradient(temperature: float) -> float:
        student = torch.tensor([[0.2, 0.1]], requires_grad=True)
        imitation("classification", student, lessons, (1,), temperature).sum().backward()
        assert student.grad is not None
        return float(student.grad.abs().sum())

    assert 0.5 < gradient(8.0) / gradient(2.0) < 2.0


@pytest.mark.parametrize("family", FAMILIES)
def test_a_student_comes_nearer_to_its_teacher(tmp_path: Path, family: str) -> None:
    teacher = Path(trained(family_job(tmp_path / "teacher", family, layers=4, epochs=3)).best_dir)
    job = student_job(tmp_path, family, teacher, epochs=8, learning_rate=0.003)
    assert assemble(job, Solo(), Seat()).train.rows == 96, "rows without a target are rows of train"
    student = trained(job).best_dir
    assert load_model(student).network.config.num_hidden_layers == 2
    losses = [event["loss"] for event in job.folder.events() if event["event"] == "step"]
    assert len(losses) == 48 and np.mean(losses[-6:]) < 0.6 * np.mean(losses[:6])


def test_targets_of_train_decide_nothing(tmp_path: Path) -> None:
    job = student_job(tmp_path, "classification", tiny_classifier_dir(tmp_path, LABELS["classification"]))
    parts = assemble(job, Solo(), Seat())
    batch = next(parts.train.epoch(0)).batch
    assert batch.lessons is not None and batch.lessons.shape == (len(batch), 2)
    assert {target is None for target in batch.targets} == {True, False}
    index = np.arange(len(batch))
    parts.forward.network.eval()
    losses = parts.forward.losses(batch, index)
    assert torch.equal(losses, parts.forward.losses(replace(batch, targets=[None] * len(batch)), index))
    assert batch.take(index[::-1]).lessons is not None
    assert np.array_equal(batch.take(index[::-1]).lessons, batch.lessons[::-1])  # type: ignore[arg-type]


def test_what_is_taught_tells_trainings_apart_and_changes_no_other_name() -> None:
    def name(**model: object) -> str:
        config = Config.model_validate({"data": {"table": "t"}, "model": model})
        return fingerprint(of_training(config, "snapshot"))

    assert name(distil={"temperature": 4.0}) == name(), "of no student"
    names = {
        name(tuning="distil"),
        name(tuning="distil", distil={"layers": 2}),
        name(tuning="distil", distil={"temperature": 4.0}),
        name(tuning="distil", distil={"teacher": "models:/texts/3"}),
        name(tuning="distil", distil={"teacher": "models:/texts/4"}),
    }
    assert len(names) == 5 and name() not in names


def test_a_snapshot_is_another_one_with_another_teacher() -> None:
    config = Config.model_validate({"data": {"table": "t"}})
    pinned = Pinned(TableRef.parse("t", "lake"), "id", 3)
    roles = Roles((("text", "text"),), "label", ("id",), "split")

    def key(digest: str | None) -> str:
        def teach(texts: object, rows: object) -> np.ndarray:
            raise AssertionError

        teacher = None if digest is None else Teacher(f"called {digest}", digest, ("a",), ("text",), 1, teach)
        return _key(pinned, config, roles, "tokenizer", teacher)

    assert len({key(None), key("one"), key("other")}) == 3
    assert key("one") == key("one")
