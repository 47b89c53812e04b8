"""Which texts of a small table go to validation."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparknlp_ft.tables.cut import LEAST_SHARE, MOST_ROWS, MOST_SHARE, WANTED_ROWS, chosen_texts, validation_rows


@given(st.integers(10, 10**6), st.integers(0, 100))
def test_the_share_falls_as_the_table_grows(rows: int, labels: int) -> None:
    found = validation_rows(rows, labels)
    assert round(LEAST_SHARE * rows) <= found <= max(round(MOST_SHARE * rows), round(LEAST_SHARE * rows))
    assert validation_rows(rows + 100, labels) >= found
    assert found >= min(WANTED_ROWS, round(MOST_SHARE * rows))


def test_a_huge_table_gives_no_more_than_is_of_use() -> None:
    assert validation_rows(10**9, 10) == MOST_ROWS == validation_rows(2 * 10**6, 2)


GROUPS = st.lists(st.tuples(st.integers(0, 400), st.sampled_from("aaaaaabbbc"), st.integers(1, 3)), min_size=1, max_size=300)


@given(GROUPS)
def test_each_label_gives_its_part_and_keeps_a_text(drawn: list[tuple[int, str, int]]) -> None:
    groups = [(text, [label], rows) for text, label, rows in {text: (text, label, rows) for text, label, rows in drawn}.values()]
    chosen = set(chosen_texts(groups))
    wanted = validation_rows(sum(rows for *_, rows in groups), len({label for _, [label], _ in groups}))
    assert sum(rows for text, _, rows in groups if text in chosen) <= wanted + 3
    for label in {label for _, [label], _ in groups}:
        own = {text for text, [one], _ in groups if one == label}
        assert own - chosen


def test_of_many_rows_labels_have_their_share() -> None:
    groups = [(i, ["often" if i % 10 else "rare"], 1) for i in range(1000)]
    chosen = chosen_texts(groups)
    assert len(chosen) == pytest.approx(validation_rows(1000, 2), abs=2)
    assert Counter(groups[text][1][0] for text in chosen)["rare"] == pytest.approx(len(chosen) / 10, abs=1)


def test_a_text_with_several_labels_is_on_one_side_and_counts_for_the_rarest() -> None:
    groups = [(i, ["a"], 1) for i in range(20)] + [(3, ["b"], 1), (100, ["b"], 1)]
    chosen = chosen_texts(groups)
    assert len(set(chosen)) == len(chosen)


@pytest.mark.parametrize(
    ("groups", "expected"),
    [([], ()), ([(7, ["a"], 5)], ()), ([(9, ["a"], 1), (8, ["b"], 1)], ()), ([(i, [], 1) for i in range(4)], (0,))],
)
def test_tables_that_are_too_small_give_none(groups: list[tuple[int, list[str], int]], expected: tuple[int, ...]) -> None:
    assert chosen_texts(groups) == expected
