"""Tokens and special tokens: the same ids as the tokenizer itself gives, for every template."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sparknlp_ft.config import TextConfig
from sparknlp_ft.errors import ConfigError, ModelError
from sparknlp_ft.text.encoder import TextEncoder, load_tokenizer, tokenizer_fingerprint
from tests.unit.text.tokenizers_for_tests import TEMPLATES, WORDS, make_tokenizer

ENCODERS = {family: TextEncoder(make_tokenizer(family), TextConfig(max_length=12)) for family in TEMPLATES}
texts = st.lists(st.sampled_from([*WORDS, "new"]), max_size=25).map(" ".join)


@pytest.mark.parametrize("family", TEMPLATES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=texts)
def test_single_text_is_encoded_as_the_tokenizer_does(family: str, text: str) -> None:
    encoder = ENCODERS[family]
    inputs = encoder.assemble(encoder.tokenize([text])[0])
    expected = encoder.tokenizer(text, truncation=True, max_length=12)
    assert inputs.ids.tolist() == expected["input_ids"]
    assert inputs.truncated == (len(text.split()) > 12 - encoder.single.count)
    if inputs.type_ids is not None:
        assert inputs.type_ids.tolist() == expected["token_type_ids"]


@pytest.mark.parametrize("family", TEMPLATES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=texts, second=texts)
def test_pairs_that_fit_are_encoded_as_the_tokenizer_does(family: str, first: str, second: str) -> None:
    encoder = ENCODERS[family]
    a, b = encoder.tokenize([first, second])
    inputs = encoder.assemble(a, b)
    assert len(inputs) == min(12, len(a) + len(b) + encoder.pair.count)
    if not inputs.truncated:
        expected = encoder.tokenizer([first], [second])  # in lists: bare, an empty second text would be dropped
        expected = {name: values[0] for name, values in expected.items()}
        assert inputs.ids.tolist() == expected["input_ids"]
        if inputs.type_ids is not None:
            assert inputs.type_ids.tolist() == expected["token_type_ids"]


def test_token_types_tell_the_texts_of_a_pair_apart_where_the_template_does() -> None:
    assert {family for family, encoder in ENCODERS.items() if encoder.tells_pairs} == {"bert"}


def test_the_longer_text_of_a_pair_is_cut_first() -> None:
    encoder = ENCODERS["bert"]
    short, long = encoder.tokenize(["a b", "c " * 20])
    ids = encoder.assemble(short, long).ids.tolist()
    assert ids[1:3] == short.tolist()
    assert len(ids) == 12


def test_no_texts_give_no_arrays() -> None:
    assert ENCODERS["bert"].tokenize([]) == []


def test_an_empty_text_is_its_special_tokens() -> None:
    assert ENCODERS["bert"].assemble(np.zeros(0, dtype=np.int32)).ids.tolist() == [2, 3]


@pytest.mark.parametrize(("max_length", "expected"), [(4, None), (65, "text.max_length=64 or less")])
def test_max_length_must_fit_the_model(max_length: int, expected: str | None) -> None:
    if expected is None:
        assert TextEncoder(make_tokenizer("bert"), TextConfig(max_length=max_length)).config.max_length == max_length
        return
    with pytest.raises(ConfigError, match=expected):
        TextEncoder(make_tokenizer("bert"), TextConfig(max_length=max_length))


@pytest.mark.parametrize("window", ["head", "ht", "rs", "rsd", "rso", "sliding"])
def test_a_pair_fits_wherever_it_fits_at_all(window: str) -> None:
    encoder = TextEncoder(make_tokenizer("bert"), TextConfig(max_length=4, window=window, window_params=[0] if window == "sliding" else []))
    for lengths in ((1, 9), (9, 1), (9, 9)):
        for inputs in encoder.windows(*(np.full(n, 7, np.int32) for n in lengths)):
            assert len(inputs) <= 4


def test_a_folder_without_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no tokenizer"):
        load_tokenizer(tmp_path)


def test_fingerprint_follows_the_files_and_not_the_folder(tmp_path: Path) -> None:
    for name in ("one", "two", "other"):
        make_tokenizer("t5" if name == "other" else "bert").save_pretrained(tmp_path / name)
    prints = [tokenizer_fingerprint(tmp_path / name) for name in ("one", "two", "other")]
    assert prints[0] == prints[1] != prints[2]
