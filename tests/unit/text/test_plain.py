"""Special tokens that a text writes out are text: for every kind of tokenizer, in training as in scoring; all other ids stay."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from sparknlp_ft.config import TextConfig
from sparknlp_ft.models.folder import load_model
from sparknlp_ft.models.meta import META_FILE, load_meta
from sparknlp_ft.text.encoder import TextEncoder, load_tokenizer, tokenizer_fingerprint
from sparknlp_ft.text.plain import CONTROL
from tests.tiny import ARCHITECTURES, tiny_classifier_dir, tiny_model_dir

LETTERS = [chr(code) for code in range(33, 127)]
WORDS = ["my", "card", "help"]


def template(cls: tuple[str, int], sep: tuple[str, int], *, first: bool = True) -> processors.TemplateProcessing:
    head = f"{cls[0]} " if first else ""
    return processors.TemplateProcessing(single=f"{head}$A {sep[0]}", pair=f"{head}$A {sep[0]} $B {sep[0]}", special_tokens=[cls, sep])


def bpe() -> PreTrainedTokenizerFast:
    """As RoBERTa's: bytes, special tokens in the vocabulary, a mask that takes the blank before it."""
    specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    vocabulary = {piece: number for number, piece in enumerate([*specials, *sorted(pre_tokenizers.ByteLevel.alphabet())])}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], ignore_merges=True))  # With it a whole word is looked up first.
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tokenizer.post_processor = template(("<s>", 0), ("</s>", 2))
    mask = AddedToken("<mask>", lstrip=True, special=True)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", cls_token="<s>", pad_token="<pad>", eos_token="</s>", sep_token="</s>",
        unk_token="<unk>", mask_token=mask, model_max_length=256,
    )  # fmt: skip


def unigram(specials: list[str], *, unknown: int, angles: bool, **names: str) -> PreTrainedTokenizerFast:
    """As T5's and DeBERTa's: pieces with scores, special tokens among them with the best of all, NFKC before."""
    letters = LETTERS if angles else [letter for letter in LETTERS if letter not in "<>"]
    pieces = [(name, 0.0) for name in specials] + [("▁", -2.0), *((f"▁{word}", -3.0) for word in WORDS), *((one, -5.0) for one in letters)]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=unknown))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.NFKC(), pre_tokenizers.Metaspace()
    last = names["eos_token"]
    tokenizer.post_processor = template((last, specials.index(last)), (last, specials.index(last)), first=False)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=256, **names)


MADE: dict[str, Callable[[], PreTrainedTokenizerFast]] = {
    "bpe": bpe,
    "t5": lambda: unigram(
        ["<pad>", "</s>", "<unk>", "<extra_id_0>", "<extra_id_1>"], unknown=2, angles=False, pad_token="<pad>", eos_token="</s>",
        unk_token="<unk>", extra_special_tokens=["<extra_id_0>", "<extra_id_1>"],
    ),
    "deberta": lambda: unigram(
        ["[PAD]", "[CLS]", "[SEP]", "[UNK]"], unknown=3, angles=True, pad_token="[PAD]", eos_token="[SEP]", cls_token="[CLS]",
        sep_token="[SEP]", unk_token="[UNK]", mask_token="[MASK]",
    ),
}  # fmt: skip
KINDS = [*MADE, *ARCHITECTURES]


@functools.cache
def encoders(kind: str) -> tuple[TextEncoder, TextEncoder, TextEncoder]:
    """As training, as scoring and as older models read texts."""
    import tempfile

    folder = Path(tempfile.mkdtemp())
    if kind in MADE:
        MADE[kind]().save_pretrained(folder)
    else:
        folder = tiny_model_dir(folder, kind)
    config = TextConfig(max_length=128)
    return TextEncoder.load(folder, config), TextEncoder.load(folder, config), TextEncoder.load(folder, config, special_tokens=CONTROL)


def specials(encoder: TextEncoder) -> dict[str, int]:
    tokenizer = encoder.tokenizer
    return dict(zip(tokenizer.all_special_tokens, tokenizer.all_special_ids, strict=True))


plain = st.text(alphabet=st.sampled_from("abz 7.-ä🙂é\n<>[]/|_"), max_size=12)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_special_tokens_in_a_text_are_text(kind: str, data: st.DataObject) -> None:
    training, scoring, control = encoders(kind)
    names = specials(training)
    parts = data.draw(st.lists(st.one_of(plain, st.sampled_from([*names, *(f" {name} " for name in names), *WORDS])), max_size=6))
    text = "".join(parts)
    ids = training.tokenize([text, "my card"])[0].tolist()
    assert ids == scoring.tokenize([text])[0].tolist()
    unknown = training.tokenizer.unk_token_id
    assert not {number for number in names.values() if number != unknown} & set(ids)
    spans = training.tokenize_with_offsets([text])[0]
    assert spans.ids.tolist() == ids and len(spans.offsets) == len(ids)
    assert all(0 <= start <= end <= len(text) for start, end in spans.offsets.tolist())
    assert (spans.offsets[1:, 0] >= spans.offsets[:-1, 0]).all()
    if not any(name in text for name in names):
        assert ids == control.tokenize([text])[0].tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_each_special_token_is_its_characters(kind: str) -> None:
    training, _, control = encoders(kind)
    for name, number in specials(training).items():
        assert number in control.tokenize([f"my {name} card"])[0].tolist()
        ids = training.tokenize([f"my {name} card"])[0].tolist()
        assert number not in ids or number == training.tokenizer.unk_token_id
        assert len(ids) > 3
        # The template's own special tokens stay where they belong.
        assert training.assemble(training.tokenize(["my card"])[0]).ids.tolist() == training.tokenizer("my card")["input_ids"]


def test_letters_that_become_a_special_token_when_normalised_are_text() -> None:
    training, _, control = encoders("t5")
    eos = specials(training)["</s>"]
    assert eos in control.tokenize(["＜／ｓ＞"])[0]
    assert eos not in training.tokenize(["my ＜／ｓ＞ card"])[0]


def test_added_words_that_are_not_special_stay_whole(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(tiny_model_dir(tmp_path))
    tokenizer.add_tokens(["qwertz"])
    encoder = TextEncoder(tokenizer, TextConfig(max_length=64))
    assert encoder.tokenize(["my qwertz [SEP]"])[0].tolist()[1] == tokenizer.convert_tokens_to_ids("qwertz")


def test_models_made_before_keep_their_way(tmp_path: Path) -> None:
    folder = tiny_classifier_dir(tmp_path)
    assert load_meta(folder).special_tokens == "text"
    assert 3 not in load_model(folder).setup.encoder.tokenize(["a [SEP] b"])[0]  # type: ignore[union-attr]
    meta = folder / META_FILE
    meta.write_text(meta.read_text().replace('"special_tokens": "text"', '"seed": null'))
    assert load_meta(folder).special_tokens == "control"
    assert 3 in load_model(folder).setup.encoder.tokenize(["a [SEP] b"])[0]  # type: ignore[union-attr]


def test_snapshots_of_the_time_before_are_not_used_again(tmp_path: Path) -> None:
    import hashlib

    folder = tiny_model_dir(tmp_path)
    before = hashlib.sha256()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        before.update(name.encode() + b"\0" + hashlib.sha256((folder / name).read_bytes()).digest())
    assert tokenizer_fingerprint(folder) != before.hexdigest()[:16]
