"""The margin below which rows are deferred keeps its promise for rows that it was not found on."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sparknlp_ft.scoring.deferral import least_margin


@given(st.integers(5, 300), st.floats(0.0, 1.0), st.floats(0.0, 0.3), st.booleans(), st.integers(0, 2**32 - 1))
def test_of_rows_that_were_not_seen_few_enough_are_decided_otherwise(size: int, share: float, most: float, ties: bool, seed: int) -> None:
    """Exactly what is promised: of rows held out in turn, at most that share is decided otherwise by the two engines together."""
    rng = np.random.default_rng(seed)
    margins = np.round(rng.exponential(size=size), 1 if ties else 12)
    quick, sure = (rng.random(size) < part * np.exp(-margins) for part in (share, share / 4))
    otherwise = []
    for i in range(size):
        others = np.arange(size) != i
        margin = least_margin(margins[others], quick[others], sure[others], most)
        otherwise.append(margin is not None and bool(sure[i] if margins[i] < margin else quick[i]))
    assert np.mean(otherwise) <= most + 1e-9


def nobody(size: int) -> np.ndarray:
    return np.zeros(size, dtype=bool)


def test_a_sample_that_is_too_small_to_tell_gives_no_margin() -> None:
    assert least_margin(np.ones(100), nobody(100), nobody(100), 0.005) is None
    assert least_margin(np.ones(200), nobody(200), nobody(200), 0.005) == 0.0
    assert least_margin(np.ones(5), nobody(5), nobody(5), 0.0) is None


def test_no_more_rows_are_deferred_than_must_be() -> None:
    margins, quick = np.arange(100.0), np.isin(np.arange(100), (3, 20, 50))

    def deferred(most: float, sure: np.ndarray) -> float | None:
        margin = least_margin(margins, quick, sure, most)
        return None if margin is None else (margins < margin).sum()

    assert [deferred(most, nobody(100)) for most in (0.01, 0.02, 0.03, 0.04)] == [51, 21, 4, 0]
    one = np.arange(100) == 50  # where the sure engine is wrong too, deferring does not help
    assert [deferred(most, one) for most in (0.01, 0.02, 0.03, 0.04)] == [None, 21, 4, 0]
