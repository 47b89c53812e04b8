"""Windows: what each keeps, for any length, budget and parameters, on single texts and on pairs, with any template."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparknlp_ft.config import TextConfig
from sparknlp_ft.errors import ConfigError
from sparknlp_ft.text.encoder import TextEncoder
from sparknlp_ft.text.windows import WINDOWS, get_window
from tests.unit.text.tokenizers_for_tests import make_tokenizer

lengths, budgets, spans, seeds = st.integers(2, 400), st.integers(1, 120), st.integers(1, 60), st.integers(0, 2**31)


def positions(name: str, length: int, budget: int, params: tuple[int, ...], seed: int = 0) -> list[np.ndarray]:
    return WINDOWS[name].positions(length, budget, params, np.random.default_rng(seed))


def spans_of(kept: np.ndarray) -> list[np.ndarray]:
    return np.split(kept, np.flatnonzero(np.diff(kept) != 1) + 1)


@given(lengths, budgets, st.integers(1, 200))
def test_head_keeps_the_first(length: int, budget: int, n: int) -> None:
    (kept,) = positions("head", length, budget, (n,))
    assert kept.tolist() == list(range(min(length, budget, n)))


@given(lengths, budgets, st.integers(1, 100), st.integers(1, 100))
def test_ht_keeps_first_and_last_without_overlap(length: int, budget: int, first: int, last: int) -> None:
    (kept,) = positions("ht", length, budget, (first, last))
    assert len(kept) == min(length, budget, first + last)
    assert len(np.unique(kept)) == len(kept) and (np.diff(kept) > 0).all()
    if first + last <= budget and first + last < length:
        assert kept.tolist() == [*range(first), *range(length - last, length)]


def test_ht_of_the_paper_fills_512() -> None:
    (kept,) = positions("ht", 1000, 510, (128, 382))
    assert kept.tolist() == [*range(128), *range(618, 1000)]


@given(lengths, budgets, spans, seeds)
def test_rs_fills_the_window_with_whole_spans_in_document_order(length: int, budget: int, span: int, seed: int) -> None:
    (kept,) = positions("rs", length, budget, (span,), seed)
    assert len(kept) == min(length, budget)
    assert (np.diff(kept) > 0).all()
    # Every span but one is whole, and that one gives its first tokens.
    cut = 0
    for start in range(0, length, span):
        inside = kept[(kept >= start) & (kept < start + span)]
        assert inside.tolist() == list(range(start, start + len(inside)))
        cut += 0 < len(inside) < min(span, length - start)
    assert cut <= 1


@given(lengths, budgets, spans, seeds)
def test_rsd_fills_the_window_and_shows_no_token_twice(length: int, budget: int, span: int, seed: int) -> None:
    (kept,) = positions("rsd", length, budget, (span,), seed)
    assert len(kept) == min(length, budget) == len(np.unique(kept))
    assert kept.min() >= 0 and kept.max() < length


@given(lengths, budgets, spans, seeds)
def test_rso_fills_the_window_with_spans(length: int, budget: int, span: int, seed: int) -> None:
    (kept,) = positions("rso", length, budget, (span,), seed)
    assert len(kept) == budget
    size = min(span, length)
    for start in range(0, budget, size):
        one = kept[start : start + size]
        assert (np.diff(one) == 1).all()


@given(lengths, budgets, st.integers(0, 60))
def test_sliding_loses_no_token_and_overlaps_as_asked(length: int, budget: int, overlap: int) -> None:
    windows = positions("sliding", length, budget, (overlap,))
    assert np.unique(np.concatenate(windows)).tolist() == list(range(length))
    assert all(len(kept) == min(length, budget) and (np.diff(kept) == 1).all() for kept in windows)
    for one, other in itertools.pairwise(windows[:-1]):
        assert len(np.intersect1d(one, other)) == min(overlap, budget - 1)


@given(st.sampled_from(["rs", "rsd", "rso"]), seeds)
def test_random_windows_depend_on_their_seed_alone(name: str, seed: int) -> None:
    assert positions(name, 300, 60, (16,), seed)[0].tolist() == positions(name, 300, 60, (16,), seed)[0].tolist()
    draws = {tuple(positions(name, 300, 60, (16,), seed + i)[0].tolist()) for i in range(5)}
    assert len(draws) > 1


@pytest.mark.parametrize("family", ["bert", "roberta", "t5"])
@pytest.mark.parametrize("window", WINDOWS)
@given(first=st.integers(0, 60), second=st.one_of(st.none(), st.integers(0, 60)), key=st.integers(-(2**62), 2**62))
def test_every_window_fits_keeps_the_template_and_is_fixed_by_key(
    family: str, window: str, first: int, second: int | None, key: int
) -> None:
    encoder = TextEncoder(make_tokenizer(family), TextConfig(max_length=16, window=window))
    ids, pair = np.arange(100, 100 + first, dtype=np.int32), None if second is None else np.arange(200, 200 + second, dtype=np.int32)
    windows = encoder.windows(ids, pair, seed=(42, key))
    again = encoder.windows(ids, pair, seed=(42, key))
    assert [one.ids.tolist() for one in windows] == [one.ids.tolist() for one in again]
    special = encoder.single if pair is None else encoder.pair
    last = ids if pair is None else pair
    for one in windows:
        assert len(one) <= 16
        assert one.ids[: len(special.prefix)].tolist() == list(special.prefix)
        assert one.ids[len(one) - len(special.suffix) :].tolist() == list(special.suffix)
        assert one.ids[one.at : one.at + len(one.kept)].tolist() == last[one.kept].tolist()
    shown = np.unique(np.concatenate([one.ids for one in windows]))
    lost = len(np.setdiff1d(np.concatenate([ids, [] if pair is None else pair]), shown))
    assert all(one.truncated == bool(lost) for one in windows)
    if first + (second or 0) + special.count <= 16:
        assert not lost and len(windows) == 1


def test_a_prefix_stands_before_every_window() -> None:
    encoder = TextEncoder(make_tokenizer("t5"), TextConfig(max_length=12, window="sliding", prefix="delta lake"))
    prefix = encoder.tokenize(["delta lake"])[0].tolist()
    for one in encoder.windows(np.arange(100, 130, dtype=np.int32)):
        assert one.ids[:2].tolist() == prefix and one.at == 2 and len(one) == 12


@pytest.mark.parametrize(
    ("window", "params", "message"),
    [
        ("haed", (), "Did you mean 'head'"),
        ("ht", (3,), r"takes \[head, tail\]"),
        ("rs", (0,), "at least 1"),
        ("ht", (300, 300), "more than text.max_length"),
        ("sliding", (-1,), "at least 0"),
    ],
)
def test_what_does_not_fit_is_refused(window: str, params: tuple[int, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        get_window(window, params, max_length=512)
