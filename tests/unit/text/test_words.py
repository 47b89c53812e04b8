"""Words of any script: nothing that is seen is lost, marks stay with their characters, unspaced scripts go by character."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparknlp_ft.text.words import WORD, WORD_OR_SIGN


@given(st.text())
def test_every_visible_character_is_in_one_word(text: str) -> None:
    found = [match.span() for match in WORD_OR_SIGN.finditer(text)]
    assert all(one[1] <= other[0] for one, other in pairwise(found))
    rest = "".join(
        text[end:start] for end, start in zip([0, *(end for _, end in found)], [*(start for start, _ in found), len(text)], strict=True)
    )
    assert not rest.strip()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("don't pay $3.50", ["don", "'", "t", "pay", "$", "3", ".", "50"]),
        ("北京市と東京", ["北", "京", "市", "と", "東", "京"]),
        ("मुझे हिन्दी पसंद", ["मुझे", "हिन्दी", "पसंद"]),
        ("Jose\u0301 Mari\u0301a", ["Jose\u0301", "Mari\u0301a"]),
        ("서울에 산다", ["서울에", "산다"]),
        ("❤\ufe0f ok", ["❤\ufe0f", "ok"]),
    ],
)
def test_words_of_scripts(text: str, words: list[str]) -> None:
    assert WORD_OR_SIGN.findall(text) == words
    assert WORD.findall(text) == [word for word in words if word[0].isalnum()]
