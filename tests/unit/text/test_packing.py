"""Windows of many rows at once are those of each row by itself, and so are their batches."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sparknlp_ft.config import TextConfig
from sparknlp_ft.text.batching import by_token_budget, pad, pad_flat
from sparknlp_ft.text.encoder import TextEncoder
from sparknlp_ft.text.inputs import Inputs
from sparknlp_ft.text.packed import PackedWindows, Ragged, ranges
from sparknlp_ft.text.packing import pack_windows
from tests.unit.text.tokenizers_for_tests import TEMPLATES, make_tokenizer

WINDOWS = ("head", "ht", "rs", "sliding")
ENCODERS = {
    (family, window, params): TextEncoder(
        make_tokenizer(family), TextConfig(max_length=12, window=window, window_params=list(params), prefix=prefix)
    )
    for family in TEMPLATES
    for window, params, prefix in [("head", (), "new"), ("head", (3,), ""), ("ht", (), ""), ("rs", (2,), "new"), ("sliding", (1,), "")]
}
lengths = st.lists(st.tuples(st.integers(0, 25), st.integers(0, 25)), max_size=12)


def same(one: Inputs, other: Inputs) -> None:
    assert one.ids.tolist() == other.ids.tolist() and one.kept.tolist() == other.kept.tolist()
    assert (one.at, one.truncated) == (other.at, other.truncated)
    assert (None if one.type_ids is None else one.type_ids.tolist()) == (None if other.type_ids is None else other.type_ids.tolist())


@pytest.mark.parametrize("key", ENCODERS, ids=str)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=lengths, paired=st.booleans())
def test_packed_windows_are_those_of_each_row(key: tuple, sizes: list[tuple[int, int]], paired: bool) -> None:
    encoder, rng = ENCODERS[key], np.random.default_rng(0)
    texts = [Ragged.of([rng.integers(5, 9, size).astype(np.int32) for size in column]) for column in zip(*sizes, strict=True)]
    texts = (texts or [Ragged.of([]), Ragged.of([])])[: 1 + paired]
    seeds = [(1, row) for row in range(len(sizes))]
    packed = pack_windows(encoder, *texts, seeds=seeds)
    assert len(packed) == len(sizes) and packed.counts.sum() == len(packed.ids)
    for row, found in enumerate(packed):
        expected = encoder.windows(*(text[row] for text in texts), seed=seeds[row])
        assert len(found) == len(expected) and packed.truncated[row] == expected[0].truncated
        for one, other in zip(found, expected, strict=True):
            same(one, other)
    for number, ids in enumerate(packed.ids):
        assert ids.tolist() == packed.window(number).ids.tolist()


def test_windows_that_were_made_one_by_one_can_be_packed() -> None:
    encoder = ENCODERS["bert", "ht", ()]
    made = [encoder.assemble(np.arange(5, 5 + size, dtype=np.int32)) for size in (3, 20)]
    packed = PackedWindows.of(made)
    for one, [other] in zip(made, packed, strict=True):
        same(one, other)
    assert [len(windows) for windows in packed.alone(np.asarray([1, 0]))] == [1, 1]


@given(st.lists(st.integers(1, 60), min_size=1, max_size=60), st.integers(1, 300))
def test_pieces_in_the_order_of_the_batches_are_padded_as_their_rows(sizes: list[int], budget: int) -> None:
    rows = [Inputs(np.arange(size, dtype=np.int32), np.full(size, 1, dtype=np.int32), truncated=False) for size in sizes]
    ids = Ragged.of([row.ids for row in rows])
    for batch in by_token_budget(sizes, budget):
        taken = ids.take(batch)
        flat = pad_flat(taken.values, np.ones(len(taken.values), dtype=np.int32), taken.lengths, 7)
        usual = pad([rows[i] for i in batch], 7)
        assert flat.keys() == usual.keys()
        assert all((flat[name] == usual[name]).all() for name in flat)


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(1, 4)), max_size=60), st.integers(1, 200))
def test_batches_are_as_large_as_the_budget_lets_them(rows: list[tuple[int, int]], budget: int) -> None:
    """Row by row: a batch ends where the next row would make it too large."""
    sizes, counts = [size for size, _ in rows], [count for _, count in rows]
    expected: list[list[int]] = []
    for row in sorted(range(len(rows)), key=lambda i: sizes[i]):
        if expected and (sum(counts[i] for i in expected[-1]) + counts[row]) * sizes[row] <= budget:
            expected[-1].append(row)
        else:
            expected.append([row])
    assert [batch.tolist() for batch in by_token_budget(sizes, budget, counts)] == expected


def test_ranges() -> None:
    assert ranges(np.asarray([5, 0, 2]), np.asarray([2, 0, 3])).tolist() == [5, 6, 2, 3, 4]
    assert ranges(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)).tolist() == []
