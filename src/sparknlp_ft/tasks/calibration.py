"""Scores that mean something: a temperature that logits are divided by, fitted on validation rows (Guo et al., arXiv:1706.04599).

It orders nothing anew: which label is chosen does not depend on it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

#: Temperatures lie between this and one over it.
LEAST = 0.1
#: How far the logarithm of a temperature strays from 0 before rows have spoken: a few rows that are all right would want 0.
DEVIATION = 1.0
#: Bins of the expected calibration error.
BINS = 15


def softmax_temperature(logits: np.ndarray, target: np.ndarray) -> float:
    """Return the temperature of one label of several.

    Args:
        logits: [rows, labels].
        target: Index of each row's label, [rows].
    """

    def loss(temperature: float) -> float:
        scaled = logits / temperature
        return float((log_sum_exp(scaled) - scaled[np.arange(len(target)), target]).sum())

    return _fitted(loss)


def sigmoid_temperature(logits: np.ndarray, target: np.ndarray) -> float:
    """Return the temperature of labels that apply each by itself; logits and targets (0 or 1) [rows, labels].

    Of a row's labels all but a few are clear cases: together they speak as one row.
    """

    def loss(temperature: float) -> float:
        scaled = logits / temperature
        return float((np.logaddexp(0, scaled) - scaled * target).mean(axis=1).sum())

    return _fitted(loss)


def _fitted(loss: Callable[[float], float]) -> float:
    from scipy.optimize import minimize_scalar

    def penalised(exponent: float) -> float:
        return loss(float(np.exp(exponent))) + 0.5 * (exponent / DEVIATION) ** 2

    found = minimize_scalar(penalised, bounds=(np.log(LEAST), -np.log(LEAST)), method="bounded")
    return round(float(np.exp(found.x)), 4)


def calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """Return the expected calibration error: how far shares of right answers are from what was said of them, over bins of equal width.

    Args:
        confidence: What was said, from 0 to 1; any shape.
        right: Whether it was so, of the same shape.
    """
    confidence, right = confidence.ravel(), right.ravel().astype(np.float64)
    if not len(confidence):
        return 0.0
    place = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    gaps = np.bincount(place, weights=confidence - right, minlength=BINS)
    return float(np.abs(gaps).sum() / len(confidence))


def settled(temperature: float, before: float, after: float) -> dict[str, Any]:
    """Return what is kept with a model: its temperature, and the calibration error on the rows it was fitted on, without it and with it."""
    return {"temperature": temperature, "calibration": {"ece_before": before, "ece_after": after}}


def log_sum_exp(logits: np.ndarray) -> np.ndarray:
    """Return the logarithm of the sum of exponentials of each row of logits, [rows]."""
    peak = logits.max(axis=1)
    return peak + np.log(np.exp(logits - peak[:, None]).sum(axis=1))
