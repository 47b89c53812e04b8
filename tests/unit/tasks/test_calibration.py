"""Scores mean something, and labels do not depend on what is made of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sparknlp_ft.tasks import Rows, Setup, get_task
from sparknlp_ft.tasks.calibration import LEAST, calibration_error, sigmoid_temperature, softmax_temperature

LABELS = ("a", "b", "c")
LOGITS = arrays(np.float32, st.tuples(st.integers(1, 8), st.just(3)), elements=st.floats(-30, 30, width=32))
FAMILIES = {"classification": "label", "multi_label": "labels"}


def decoded(family: str, logits: np.ndarray, **settings: Any) -> Any:
    return get_task(family).decode(logits, Rows([[] for _ in logits]), Setup(LABELS, settings))


@pytest.mark.parametrize("family", FAMILIES)
@given(logits=LOGITS, temperature=st.floats(LEAST, 1 / LEAST))
def test_no_label_changes_by_a_temperature(family: str, logits: np.ndarray, temperature: float) -> None:
    plain, calibrated = decoded(family, logits), decoded(family, logits, temperature=temperature)
    assert plain[FAMILIES[family]].tolist() == calibrated[FAMILIES[family]].tolist()
    assert decoded(family, logits, temperature=1.0).equals(plain)


@given(logits=LOGITS, temperature=st.floats(LEAST, 1 / LEAST))
def test_the_score_is_that_of_the_label_and_the_largest(logits: np.ndarray, temperature: float) -> None:
    found = decoded("classification", logits, temperature=temperature)
    for label, score, scores in found.itertuples(index=False):
        assert score == pytest.approx(scores[label], rel=1e-5) == pytest.approx(max(scores.values()), rel=1e-5)
        assert sum(scores.values()) == pytest.approx(1, abs=1e-5)


def overconfident(rows: int, factor: float) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are ``factor`` times too large, and labels drawn from what they should be."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(rows, 3)) * 2
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return logits * factor, np.array([rng.choice(3, p=row) for row in shares])


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_a_temperature_finds_what_logits_are_too_large_by(factor: float) -> None:
    logits, target = overconfident(4000, factor)
    assert softmax_temperature(logits, target) == pytest.approx(factor, rel=0.1)
    outcomes = {"logits": logits.astype(np.float32), "target": target}
    found = get_task("classification").tune(outcomes, LABELS)
    error = found["calibration"]
    assert found["temperature"] == pytest.approx(factor, rel=0.1)
    assert error["ece_after"] < 0.03 and (factor == 1.0 or error["ece_after"] < error["ece_before"] / 2)


def test_labels_that_apply_by_themselves_have_one_temperature() -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(3000, 3)) * 2
    target = (rng.random(logits.shape) < 1 / (1 + np.exp(-logits))).astype(np.uint8)
    assert sigmoid_temperature(logits * 2, target) == pytest.approx(2, rel=0.15)
    score = (1 / (1 + np.exp(-2 * logits))).astype(np.float32)
    found = get_task("multi_label").tune({"target": target, "score": score}, LABELS)
    assert set(found["thresholds"]) == set(LABELS) and found["calibration"]["ece_after"] < found["calibration"]["ece_before"]


def test_a_few_rows_that_are_all_right_do_not_make_scores_certain() -> None:
    logits, target = np.eye(3)[[0, 1, 2] * 4] * 4.0, np.array([0, 1, 2] * 4)
    assert 0.5 < softmax_temperature(logits, target) < 1.0


def test_the_error_is_the_gap_between_what_is_said_and_what_is_so() -> None:
    assert calibration_error(np.full(10, 0.8), np.arange(10) < 8) == pytest.approx(0)
    assert calibration_error(np.full(10, 0.9), np.arange(10) < 5) == pytest.approx(0.4)
    assert calibration_error(np.ones(4), np.ones(4)) == 0.0
    assert calibration_error(np.zeros(0), np.zeros(0)) == 0.0
