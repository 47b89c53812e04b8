"""How long and how fast to train where the configuration leaves it open."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparknlp_ft.config import Config
from sparknlp_ft.snapshot.manifest import Manifest, SnapshotFile, Split
from sparknlp_ft.tasks import Statistics
from sparknlp_ft.training.job import TrainResult
from sparknlp_ft.training.plan import LEAST_EPOCHS, LEAST_STEPS, MOST_EPOCHS, batch_of, epochs_of, planned, rate_of, told

MINILM, BASE, LARGE = 10_600_000, 85_000_000, 302_000_000


def manifest(rows: int, labels: int = 2) -> Manifest:
    split = Split(((SnapshotFile("part", (rows,)),),), {})
    names = tuple(f"label {i}" for i in range(labels))
    return Manifest("/there", "t", "0", 0, "classification", "none", False, names, Statistics(rows), {"train": split})


def config(task: str = "classification", model: dict[str, Any] | None = None, **train: Any) -> Config:
    return Config.model_validate({"data": {"table": "t", "task": task}, "model": model or {}, "train": train})


def test_what_the_file_says_stays() -> None:
    train = planned(config(epochs=3, learning_rate=0.5, batch_size=7), manifest(60), MINILM).train
    assert (train.length, train.rate, train.step_rows) == (3, 0.5, 7)


def test_a_plan_is_made_once() -> None:
    once = planned(config(), manifest(600), MINILM)
    assert planned(once, manifest(1_000_000), LARGE) == once
    assert None not in (once.train.epochs, once.train.learning_rate, once.train.batch_size, once.train.label_smoothing)


@given(st.integers(1, 10**7), st.integers(1, 512), st.integers(0, 1000))
def test_steps_are_enough_within_the_bounds_of_epochs(rows: int, batch_size: int, labels: int) -> None:
    epochs = epochs_of(rows, batch_size, labels)
    assert LEAST_EPOCHS <= epochs <= MOST_EPOCHS
    assert epochs == MOST_EPOCHS or epochs * math.ceil(rows / batch_size) >= LEAST_STEPS
    assert epochs_of(rows + 1000, batch_size, labels) <= epochs <= epochs_of(rows, batch_size, labels + 10)


@given(st.integers(1, 10**7), st.integers(0, 1000))
def test_steps_have_fewer_rows_only_where_the_most_epochs_of_them_were_too_few(rows: int, labels: int) -> None:
    batch = batch_of(rows, labels)
    assert batch in (8, 16, 32)
    assert batch == 32 or epochs_of(rows, 2 * batch, labels) == MOST_EPOCHS
    assert batch == 8 or epochs_of(rows, batch, labels) * math.ceil(rows / batch) >= LEAST_STEPS
    assert batch_of(rows + 1000, labels) >= batch >= batch_of(rows, labels + 10)


def test_larger_models_take_smaller_steps() -> None:
    rates = [rate_of(config(), weights) for weights in (1000, MINILM, BASE, LARGE)]
    assert rates[:2] == [3e-4, 3e-4] and rates == sorted(rates, reverse=True)
    assert 4e-5 <= rates[2] <= 6e-5 and 1e-5 <= rates[3] <= 2e-5
    assert rate_of(config(), 0) == 3e-4
    assert rate_of(config("summarization"), LARGE) == 3e-4
    assert rate_of(config(model={"tuning": "frozen"}), BASE) > rate_of(config(model={"tuning": "lora"}), BASE) > rates[2]


def test_labels_are_smoothed_where_they_are_classes_and_nothing_else_is_said() -> None:
    plans = [config(), config(loss="focal"), config(label_smoothing=0.0), config("multi_label"), config(model={"tuning": "distil"})]
    assert [planned(one, manifest(600), MINILM).train.label_smoothing for one in plans] == [0.1, 0.0, 0.0, 0.0, 0.0]
    assert [planned(config(), manifest(600, labels), MINILM).train.label_smoothing for labels in (12, 13)] == [0.1, 0.0]


def test_the_plan_is_told_in_one_line() -> None:
    made = planned(config(), manifest(600), MINILM)
    epochs = made.train.length
    assert (
        told(made, manifest(600)) == f"600 rows: {epochs} epochs, {19 * epochs} steps of 32 rows, learning rate 0.0003, label smoothing 0.1"
    )


@pytest.mark.parametrize(
    ("losses", "stopped", "expected"),
    [
        ((0.9, 0.5), False, (0.9, 0.5)),
        ((0.9, 0.5), True, None),
        ((0.5, 0.499), False, None),
        ((0.0004, 0.0001), False, None),
        ((0.5,), False, None),
        ((None, None), False, None),
    ],
)
def test_a_loss_that_was_still_falling_is_told(losses: tuple[float | None, ...], stopped: bool, expected: object) -> None:
    epochs = [{"epoch": i, "metrics": {} if loss is None else {"loss": loss}} for i, loss in enumerate(losses, 1)]
    result = TrainResult("", 1, "accuracy", epochs, 1, 1, 1.0, 1.0, 1, "cpu", "float32", 1, stopped)
    assert result.still_falling == expected


@pytest.mark.parametrize(
    ("metric", "values", "kept", "expected"),
    [
        ("accuracy", (1.0, 0.95), 2, (1, 1.0)),
        ("accuracy", (0.9, 0.9), 2, None),
        ("rmse", (0.4, 0.5), 2, (1, 0.4)),
        ("accuracy", (None, None), 2, None),  # There are no validation rows.
    ],
)
def test_an_epoch_that_had_more_than_the_one_that_is_kept_is_told(
    metric: str, values: tuple[float | None, ...], kept: int, expected: object
) -> None:
    epochs = [{"epoch": i, "metrics": {} if value is None else {metric: value}} for i, value in enumerate(values, 1)]
    assert TrainResult("", kept, metric, epochs, 1, 1, 1.0, 1.0, 1, "cpu", "float32", 1, False).luckier == expected
