"""What fails is halved until the rows at fault are left; the others are tried in as few parts as that allows."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sparknlp_ft.scoring.halving import by_halves, spread


@given(size=st.integers(0, 70), bad=st.sets(st.integers(0, 69), max_size=4))
def test_all_rows_come_in_order_and_only_those_at_fault_are_marked(size: int, bad: set[int]) -> None:
    def attempt(rows: slice) -> list[str]:
        numbers = list(range(size))[rows]
        if bad & set(numbers):
            raise ValueError("bad")
        return [f"row {number}" for number in numbers]

    parts = by_halves(size, attempt, lambda row, error: [f"{error} {row}"])
    assert [one for part in parts for one in part] == [f"{'bad' if row in bad else 'row'} {row}" for row in range(size)]
    if size and not bad & set(range(size)):
        assert len(parts) == 1


def test_values_are_put_at_their_rows_as_they_are() -> None:
    found = spread([[1, 2], "x"], np.asarray([2, 0]), 4)
    assert found.tolist() == ["x", None, [1, 2], None]
