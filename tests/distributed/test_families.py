"""Every task family through the training loop on tiny models: ranks change nothing, it learns, and what is saved scores alike."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sparknlp_ft.scoring.engine import load_engine
from sparknlp_ft.scoring.rows import score_rows
from sparknlp_ft.tasks.task import objects
from sparknlp_ft.training.assembly import Seat, assemble
from sparknlp_ft.training.comm import Comm, Solo
from sparknlp_ft.training.evaluation import evaluate
from sparknlp_ft.training.forward import Forward
from sparknlp_ft.training.job import TrainJob, TrainResult
from sparknlp_ft.training.loop import accumulate_gradients
from sparknlp_ft.training.worker import run_rank
from tests.families import LABELS, family_job, rows_of
from tests.ranks import as_ranks


def trained(job: TrainJob) -> TrainResult:
    job.folder.prepare(keep=False)
    return TrainResult.from_dict(run_rank(job, Solo()))


@pytest.mark.parametrize("family", LABELS)
def test_any_number_of_ranks_has_the_same_gradient_and_the_same_metrics(tmp_path: Path, family: str) -> None:
    job = family_job(tmp_path, family, lanes=8)

    def work(comm: Comm) -> tuple[np.ndarray, dict[str, float], dict[str, Any]]:
        parts = assemble(job, comm, Seat())
        assert parts.validation is not None
        metrics, tuned = evaluate(parts.forward, parts.validation, comm, max_tokens=100)
        accumulate_gradients(parts.forward, parts.optimizer, next(parts.train.epoch(0)), rank=comm.rank, config=job.resolved.train)
        comm.allreduce_sum_(parts.optimizer.gradients.flat)
        return parts.optimizer.gradients.flat.numpy().copy(), metrics, tuned

    gradient, metrics, tuned = work(Solo())
    assert np.linalg.norm(gradient) > 0 and metrics
    for size in (2, 3, 7):
        for other_gradient, other_metrics, other_tuned in as_ranks(size, work):
            np.testing.assert_allclose(other_gradient, gradient, rtol=0, atol=1e-5 * max(1.0, float(np.abs(gradient).max())))
            assert other_metrics == pytest.approx(metrics, abs=1e-6)
            assert other_tuned == tuned


@pytest.mark.parametrize("family", LABELS)
def test_of_the_same_outputs_the_same_metrics_to_the_last_digits(tmp_path: Path, family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    job = family_job(tmp_path, family, lanes=8)
    outputs: dict[int, Any] = {}

    def results(self: Any, batch: Any, *, max_tokens: int) -> np.ndarray:
        """Of each row what one rank computed of it: what others compute in other batches differs in its own last digits."""
        if not outputs.keys() >= set(batch.row.tolist()):
            outputs.update(zip(batch.row.tolist(), forward(self, batch, max_tokens=max_tokens), strict=True))
        found = [outputs[row] for row in batch.row.tolist()]
        return objects(found) if family in ("token_classification", "question_answering", "summarization") else np.stack(found)

    forward = Forward.results
    monkeypatch.setattr(Forward, "results", results)

    def work(comm: Comm) -> tuple[dict[str, float], dict[str, Any]]:
        parts = assemble(job, comm, Seat())
        assert parts.validation is not None
        return evaluate(parts.forward, parts.validation, comm, max_tokens=100)

    metrics, tuned = work(Solo())
    for size in (2, 3, 7):
        for other_metrics, other_tuned in as_ranks(size, work):
            assert other_metrics == pytest.approx(metrics, rel=1e-9, abs=1e-9) and other_tuned == tuned


#: What a tiny random model reaches on these rows in the epochs given, rounded down a good deal.
LEARNT = {
    "classification": ("accuracy", 0.9, 6),
    "multi_label": ("f1_micro", 0.8, 12),
    "regression": ("pearson", 0.7, 12),
    "token_classification": ("f1_micro", 0.8, 8),
    "question_answering": ("f1", 0.8, 12),
    "summarization": ("rouge1", 0.5, 10),
}


@pytest.mark.parametrize("family", LABELS)
def test_it_learns_and_the_saved_model_scores_as_training_evaluated(tmp_path: Path, family: str) -> None:
    metric, least, epochs = LEARNT[family]
    job = family_job(tmp_path, family, rows=240, epochs=epochs)
    result = trained(job)
    assert result.best_metrics[metric] > least
    engine = load_engine(result.best_dir, batch_tokens=300, precision="float32", device="cpu")
    rows = rows_of(family, 60, seed=2)  # the validation rows
    columns = [[row[0] for row in rows], [row[1] for row in rows]][: 2 if family == "question_answering" else 1]
    frame = score_rows(engine, columns)
    assert (frame["status"] == "ok").all()
    predictions = [as_value(value) for value in frame[engine.task.prediction_fields.split()[0]]]
    outcomes = engine.task.outcomes_of_values([row[2] for row in rows], predictions, engine.setup.labels, [1] * len(rows))
    metrics = engine.task.metrics(outcomes, engine.setup.labels)
    for name in engine.task.shown_metrics:
        if name != "loss":
            assert metrics[name] == pytest.approx(result.best_metrics[name], abs=1e-6), name


def as_value(value: Any) -> str:
    import json

    return value if isinstance(value, str) else json.dumps(value)


@pytest.mark.parametrize("family", LABELS)
def test_rows_in_any_order_give_the_same_predictions(tmp_path: Path, family: str) -> None:
    job = family_job(tmp_path, family)
    engine = load_engine(
        trained(replace(job, config={**job.config, "train": {**job.config["train"], "epochs": 1}})).best_dir,
        batch_tokens=300,
        precision="float32",
        device="cpu",
    )
    rows = rows_of(family, 40, seed=5, longest=80)  # longer than a window
    columns = [[row[0] for row in rows], [row[1] for row in rows]][: 2 if family == "question_answering" else 1]
    order = np.random.default_rng(0).permutation(40)
    straight = score_rows(engine, columns, rows=list(range(40)))
    shuffled = score_rows(engine, [[column[i] for i in order] for column in columns], rows=order.tolist())
    first = engine.task.prediction_fields.split()[0]
    for place, i in enumerate(order):
        one, other = straight[first][i], shuffled[first][place]
        if family == "regression":
            assert one == pytest.approx(other, abs=1e-4)
        elif family == "token_classification":
            assert [(e["start"], e["end"], e["label"]) for e in one] == [(e["start"], e["end"], e["label"]) for e in other]
            assert all(rows[i][0][e["start"] : e["end"]] == e["text"] for e in one)
        else:
            assert one == other
    if family == "question_answering":
        for i, answer in enumerate(straight["answer"]):
            assert not answer or rows[i][1][straight["start"][i] : straight["end"][i]] == answer  # type: ignore[index]


@pytest.mark.parametrize("window", ["ht", "rs", "rsd", "rso", "sliding"])
def test_every_window_trains_and_scores(tmp_path: Path, window: str) -> None:
    job = family_job(tmp_path, "classification", text={"window": window, "max_length": 12}, epochs=1)
    result = trained(job)
    rows = rows_of("classification", 30, seed=4, longest=60)
    engine = load_engine(result.best_dir, batch_tokens=100, precision="float32", device="cpu")
    texts = [row[0] for row in rows]
    one, other = (score_rows(engine, [texts], rows=list(range(30))) for _ in range(2))
    assert one.equals(other) and (one["status"] == "ok").all()
    assert one["truncated"].any() == (window != "sliding")


@pytest.mark.parametrize("settings", [{"loss": "focal"}, {"class_weights": "balanced"}])
@pytest.mark.parametrize("family", ["classification", "multi_label"])
def test_weights_and_focal_loss_train(tmp_path: Path, family: str, settings: dict[str, str]) -> None:
    result = trained(family_job(tmp_path, family, epochs=2, **settings))
    assert np.isfinite(result.best_metrics["loss"])
