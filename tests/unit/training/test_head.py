"""A new head begins at the labels' means where these tell something, on any number of ranks, and nowhere else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sparknlp_ft.models.pooling import DIFFERENCE, MEAN, POOLING
from sparknlp_ft.snapshot.manifest import Manifest
from sparknlp_ft.tasks import get_task
from sparknlp_ft.training.assembly import Parts, Seat, assemble
from sparknlp_ft.training.comm import Comm, Solo
from sparknlp_ft.training.evaluation import evaluate
from sparknlp_ft.training.head import Means, begin_head, settle_pooling
from sparknlp_ft.training.job import TrainJob
from tests.ranks import as_ranks
from tests.snapshots import random_lanes, write_snapshot
from tests.tiny import tiny_classifier_dir, tiny_model_dir
from tests.training_jobs import tiny_job


@pytest.fixture
def job(tmp_path: Path) -> TrainJob:
    """A job on a sentence encoder, whose labels differ by the tokens of their rows."""
    base = tiny_model_dir(tmp_path)
    (base / "1_Pooling").mkdir()
    (base / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_mean_tokens": True}))
    return replace(tiny_job(tmp_path / "job"), base_dir=str(base))


def accuracy(parts: Parts) -> float:
    assert parts.validation is not None
    return evaluate(parts.forward, parts.validation, Solo(), max_tokens=1000)[0]["accuracy"]


def test_a_head_at_the_means_tells_labels_apart_before_the_first_step(job: TrainJob) -> None:
    parts = assemble(job, Solo(), Seat())
    training = parts.forward.network.training
    assert begin_head(parts, Solo()) > 0 and parts.forward.network.training == training
    assert accuracy(parts) > 0.9


@pytest.mark.parametrize(("pairs", "seen"), [(False, MEAN), (True, DIFFERENCE)])
def test_of_pairs_it_sees_how_far_their_means_are_apart(job: TrainJob, pairs: bool, seen: str) -> None:
    replace(Manifest.load(job.manifest_path), has_pair=pairs).save()
    network: Any = assemble(job, Solo(), Seat()).forward.network
    assert getattr(network.config, POOLING) == seen


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize(("tells", "seen"), [(True, DIFFERENCE), (False, MEAN)])
def test_where_the_difference_tells_no_labels_apart_it_sees_the_mean(
    job: TrainJob, tells: bool, seen: str, size: int, tmp_path: Path
) -> None:
    lanes = random_lanes((40, 37, 0, 23), seed=1, vocabulary=60)
    if not tells:
        lanes = [[(row, ids, row % 2) for row, ids, _ in lane] for lane in lanes]
    replace(write_snapshot(tmp_path / "pairs", {"train": lanes}), has_pair=True).save()
    pairs = replace(job, manifest_path=str(tmp_path / "pairs"))

    def settled(comm: Comm) -> str:
        parts = assemble(pairs, comm, Seat())
        settle_pooling(parts, comm)
        network: Any = parts.forward.network
        return str(getattr(network.config, POOLING))

    assert (as_ranks(size, settled) if size > 1 else [settled(Solo())]) == [seen] * size
    told = replace(pairs, config={**pairs.config, "model": {**pairs.config["model"], "pooling": "difference"}})
    parts = assemble(told, Solo(), Seat())
    settle_pooling(parts, Solo())
    network: Any = parts.forward.network
    assert getattr(network.config, POOLING) == DIFFERENCE


def test_ranks_do_not_change_where_it_begins(job: TrainJob) -> None:
    def weights(comm: Comm) -> np.ndarray:
        parts = assemble(job, comm, Seat())
        begin_head(parts, comm)
        network: Any = parts.forward.network
        return np.concatenate([p.detach().numpy().ravel() for p in network.classifier.parameters()])

    alone = weights(Solo())
    for size in (2, 4):
        for found in as_ranks(size, weights):
            np.testing.assert_allclose(found, alone, rtol=0, atol=1e-4)


def test_it_stays_as_drawn_where_it_is_told_so_or_sees_the_first_token_or_was_trained_before(job: TrainJob, tmp_path: Path) -> None:
    for change in ({"head": "drawn"}, {"pooling": "first"}):
        config = {**job.config, "model": {**job.config["model"], **change}}
        assert begin_head(assemble(replace(job, config=config), Solo(), Seat()), Solo()) == 0
    trained = tiny_classifier_dir(tmp_path, ("no", "yes"))
    config = {**job.config, "model": {**job.config["model"], "pooling": "mean"}}
    assert begin_head(assemble(replace(job, config=config, base_dir=str(trained)), Solo(), Seat()), Solo()) == 0


def test_means_that_tell_nothing_are_not_believed() -> None:
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(200, 32, generator=generator)
    marks = torch.nn.functional.one_hot(torch.randint(4, (200,), generator=generator)).bool()
    near, known = Means(vectors, marks).left_out()
    assert bool(known.all())
    own, other = near[marks].mean(), near[~marks].mean()
    assert own <= other + 0.02  # with itself among its label's rows, each would be nearest to that


def test_a_row_is_held_against_its_label_without_itself() -> None:
    generator = torch.Generator().manual_seed(1)
    vectors = torch.randn(9, 5, generator=generator)
    targets = [0, 0, 0, 1, 1, 1, 1, 2, 2]
    marks = torch.from_numpy(get_task("classification").marks(targets, ("a", "b", "c")))
    means = Means(vectors, marks)
    near, _ = means.left_out()
    others = vectors[1:3].mean(dim=0) - means.centre
    expected = (vectors[0] - means.centre) @ others / others.norm() / means.spread
    torch.testing.assert_close(near[0, 0], expected)


def test_labels_with_one_row_or_none_do_no_harm() -> None:
    task = get_task("multi_label")
    marks = torch.from_numpy(task.marks([np.array([1, 0, 0]), np.array([1, 1, 0]), np.array([1, 0, 0])], ("a", "b", "c")))
    means = Means(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), marks)
    near, known = means.left_out()
    assert known.tolist() == [True, False, True] and bool(torch.isfinite(near).all())
    assert means.directions[2].tolist() == [0, 0]
