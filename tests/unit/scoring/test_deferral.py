"""The margin below which rows are deferred keeps its promise for rows that it was not found on."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sparknlp_ft.scoring.deferral import least_margin


@given(st.integers(5, 300), st.floats(0.0, 1.0), st.floats(0.0, 0.3), st.booleans(), st.integers(0, 2**32 - 1))
def test_of_rows_that_were_not_seen_few_enough_are_decided_otherwise(size: int, share: float, most: float, ties: bool, seed: int) -> None:
    """Exactly what is promised: of rows held out in turn, at most that share is wrong and not deferred."""
    rng = np.random.default_rng(seed)
    margins = np.round(rng.exponential(size=size), 1 if ties else 12)
    wrong = rng.random(size) < share * np.exp(-margins)
    stay = []
    for i in range(size):
        others = np.arange(size) != i
        threshold = least_margin(margins[others], wrong[others], most)
        stay.append(threshold is not None and bool(wrong[i]) and margins[i] >= threshold)
    assert np.mean(stay) <= most + 1e-9


def test_a_sample_that_is_too_small_to_tell_gives_no_margin() -> None:
    assert least_margin(np.ones(100), np.zeros(100, dtype=bool), 0.005) is None
    assert least_margin(np.ones(200), np.zeros(200, dtype=bool), 0.005) == 0.0
    assert least_margin(np.ones(5), np.zeros(5, dtype=bool), 0.0) is None


def test_no_more_rows_are_deferred_than_must_be() -> None:
    margins, wrong = np.arange(100.0), np.isin(np.arange(100), (3, 20, 50))
    assert [(margins < (least_margin(margins, wrong, most) or 0.0)).sum() for most in (0.01, 0.02, 0.03, 0.04)] == [51, 21, 4, 0]
