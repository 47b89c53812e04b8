"""Token-budget batches and padding: every row once, within the budget, masks only where needed."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sparknlp_ft.text.batching import by_token_budget, pad
from sparknlp_ft.text.encoder import Inputs


@given(st.lists(st.integers(1, 300), max_size=200), st.integers(1, 2000))
def test_every_row_is_in_exactly_one_batch_within_the_budget(lengths: list[int], budget: int) -> None:
    batches = by_token_budget(lengths, budget)
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[row] for row in batch) <= budget


@given(st.lists(st.integers(1, 50), min_size=1, max_size=100))
def test_batches_go_from_short_to_long(lengths: list[int]) -> None:
    flat = [lengths[row] for batch in by_token_budget(lengths, 100) for row in batch]
    assert flat == sorted(lengths)


def row(*ids: int) -> Inputs:
    return Inputs(np.asarray(ids, dtype=np.int32), np.ones(len(ids), dtype=np.int32), truncated=False)


def test_pad_masks_the_padding_and_nothing_else() -> None:
    batch = pad([row(5, 6, 7), row(8)], pad_id=9)
    assert batch["input_ids"].tolist() == [[5, 6, 7], [8, 9, 9]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch["token_type_ids"].tolist() == [[1, 1, 1], [1, 0, 0]]


def test_rows_of_one_length_need_no_mask() -> None:
    assert "attention_mask" not in pad([row(1, 2), row(3, 4)], pad_id=0)
