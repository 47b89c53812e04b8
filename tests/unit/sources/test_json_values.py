"""JSON that Spark refuses or changes in silence: keys that come twice, halves of characters."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparknlp_ft.sources.json_values import RepeatedKey, mend, mend_json, read_json

strings = st.text(alphabet=st.one_of(st.characters(), st.sampled_from(["\\", '"', "\ud83d", "\ude00", "u", "d", "8"])))


@given(st.recursive(strings, lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.sampled_from(["a", "b"]), inner))))
def test_halves_become_one_character_each_and_all_else_stays(value: Any) -> None:
    # Escapes: JSON writes a character beyond the 16 bits as two, which are not halves.
    text = json.dumps(value)
    mended = json.loads(mend_json(text))
    assert mended == mend(json.loads(text))
    json.dumps(mended, ensure_ascii=False).encode()
    if mend(value) == value:
        assert mend_json(text) == text


@pytest.mark.parametrize(
    ("text", "mended"),
    [
        (r'"a\ud83db"', r'"a\ufffdb"'),
        (r'"\ud83d\ude00"', r'"\ud83d\ude00"'),
        (r'"\ude00\ud83d"', r'"\ufffd\ufffd"'),
        (r'"\\ud83d"', r'"\\ud83d"'),
        (r'"\\\uD83d"', r'"\\\ufffd"'),
        (r'"\ud83d\ud83d\ude00"', r'"\ufffd\ud83d\ude00"'),
    ],
)
def test_which_escapes_are_halves(text: str, mended: str) -> None:
    assert mend_json(text) == mended


@pytest.mark.parametrize("text", ['{"a": 1, "a": 2}', '{"a": 1, "A": 2}', '[{"b": {"a": 1, "c": 2, "a": 3}}]'])
def test_a_key_that_comes_twice_is_refused(text: str) -> None:
    with pytest.raises(RepeatedKey, match="twice"):
        read_json(text)


def test_equal_keys_of_different_objects_are_no_matter() -> None:
    assert read_json('{"a": {"a": 1}, "b": [{"a": 2}, {"a": 3}]}') == {"a": {"a": 1}, "b": [{"a": 2}, {"a": 3}]}
