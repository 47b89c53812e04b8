"""From texts to model inputs: the one tokenisation that training, evaluation and scoring share.

Two steps, because they happen at different times: ``tokenize`` turns texts into full token ids without special tokens
(once, in Spark, kept in the snapshot; or on the fly in scoring); ``assemble`` cuts them to ``max_length`` with the
window and adds the special tokens as the tokenizer itself would (at batch time).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sparknlp_ft.config import TextConfig
from sparknlp_ft.errors import ConfigError, ModelError
from sparknlp_ft.text.inputs import Inputs, SpecialTokens, Tokens
from sparknlp_ft.text.packed import Ragged
from sparknlp_ft.text.plain import CONTROL, TEXT, PlainText, control_ids, control_offsets
from sparknlp_ft.text.windows import get_window

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

#: Files that, together, decide what a tokenizer does.
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "spiece.model",
    "spm.model",
    "tokenizer.model",
    "sentencepiece.bpe.model",
)


class TextEncoder:
    """Tokenizer, window and maximal length of one model.

    Args:
        tokenizer: A tokenizer of transformers.
        config: ``max_length`` and window.
        default_window: Window where the configuration names none.
        special_tokens: How special tokens are read that a text writes out: as ``TEXT``, or as ``CONTROL``, which is the way of
            models that were trained so.

    Raises:
        ConfigError: ``max_length`` leaves no room for text, or is more than the model takes.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, config: TextConfig, *, default_window: str = "head", special_tokens: str = TEXT
    ) -> None:
        self.tokenizer = tokenizer
        self.plain = None if special_tokens == CONTROL else PlainText(tokenizer)
        self.config = config
        self.window = get_window(config.window or default_window, config.window_params, max_length=config.max_length)
        with_types = "token_type_ids" in tokenizer.model_input_names
        self.prefix = tuple(_bare(tokenizer, config.prefix)) if config.prefix else ()
        self.single = _probe_single(tokenizer, with_types)
        self.pair = _probe_pair(tokenizer, with_types)
        most = self.pair.count + len(self.prefix)
        if config.max_length <= most:
            raise ConfigError(f"text.max_length: {config.max_length} leaves no room beside {most} special tokens; take at least {most + 2}")
        if config.max_length > tokenizer.model_max_length:
            raise ConfigError(
                f"text.max_length: {config.max_length} is more than the {tokenizer.model_max_length} tokens this model takes; "
                f"set text.max_length={tokenizer.model_max_length} or less"
            )

    @classmethod
    def load(cls, model_dir: str | Path, config: TextConfig, *, default_window: str = "head", special_tokens: str = TEXT) -> TextEncoder:
        """Read the tokenizer of a model folder (no code of the folder is run).

        Raises:
            ModelError: The folder has no tokenizer that can be read.
        """
        return cls(load_tokenizer(model_dir), config, default_window=default_window, special_tokens=special_tokens)

    @property
    def pad_id(self) -> int:
        return int(self.tokenizer.pad_token_id or 0)

    @property
    def tells_pairs(self) -> bool:
        """Whether token types tell the two texts of a pair apart."""
        types = self.pair.types
        return types is not None and types[1] != types[3]

    def tokenize(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Return each text's full token ids, without special tokens; int32, one array of its own length per text."""
        return list(self.tokenize_all(texts))

    def tokenize_all(self, texts: Sequence[str]) -> Ragged:
        """Return the same as ``tokenize``, in one piece: for many texts, of which none is looked at by itself."""
        if not len(texts):
            return Ragged.of([])
        return control_ids(self.tokenizer, texts) if self.plain is None else self.plain.ids(texts)

    def tokenize_with_offsets(self, texts: Sequence[str]) -> list[Tokens]:
        """Return each text's full token ids with the characters they come from.

        Raises:
            ModelError: The tokenizer does not know characters (only tokenizers written in Python do not).
        """
        if not len(texts):
            return []
        if not self.tokenizer.is_fast:
            raise ModelError(
                f"tokenizer {type(self.tokenizer).__name__} cannot tell which characters a token comes from, which entities and answers "
                "need; take a base model with a tokenizer.json"
            )
        encoded = control_offsets(self.tokenizer, texts) if self.plain is None else self.plain.offsets(texts)
        pairs = zip(encoded["input_ids"], encoded["offset_mapping"], strict=True)
        return [Tokens(np.asarray(ids, dtype=np.int32), np.asarray(spans, dtype=np.int32).reshape(-1, 2)) for ids, spans in pairs]

    def decode(self, ids: Sequence[Sequence[int]]) -> list[str]:
        """Return the texts of token ids, special tokens left out."""
        return self.tokenizer.batch_decode(ids, skip_special_tokens=True)

    def room(self, special: SpecialTokens) -> int:
        """Return how many tokens of texts a window holds beside special tokens."""
        return self.config.max_length - special.count - len(self.prefix)

    def assemble(self, ids: np.ndarray, pair: np.ndarray | None = None, *, seed: Sequence[int] = (0,)) -> Inputs:
        """Return the first of ``windows``, which is the only one unless the window function gives many."""
        return self.windows(ids, pair, seed=seed)[0]

    def windows(self, ids: np.ndarray, pair: np.ndarray | None = None, *, seed: Sequence[int] = (0,)) -> list[Inputs]:
        """Cut to ``max_length`` and add the special tokens.

        Of a pair, the longer text is cut first; where a text gives many windows that is the second one, beside a first one
        that takes at most half of the room.

        Args:
            ids: Full token ids of the text, without specials.
            pair: The same of the second text, if there is one.
            seed: What a random window is seeded by: (seed, epoch, row) in training, (seed, row) elsewhere.

        Returns:
            At least one window.
        """
        special = self.single if pair is None else self.pair
        budget = self.room(special)
        rng = np.random.default_rng([abs(int(s)) for s in seed]) if len(ids) + (0 if pair is None else len(pair)) > budget else None
        if pair is None:
            cuts = self._cut(len(ids), budget, rng)
            truncated = len(np.unique(np.concatenate(cuts))) < len(ids) if rng is not None else False
            return [self._joined(special, ids[kept], None, truncated=truncated, kept=kept) for kept in cuts]
        room = longest_first(len(ids), len(pair), budget)
        if self.window.many:
            beside = min(len(ids), max(budget // 2, budget - len(pair)))
            room = (beside, budget - beside)
            first = ids[: room[0]]
        else:
            first = ids[self._cut(len(ids), room[0], rng)[0]]
        cuts = self._cut(len(pair), room[1], rng)
        shown = len(np.unique(np.concatenate(cuts))) if rng is not None else len(pair)
        truncated = len(first) < len(ids) or shown < len(pair)
        return [self._joined(special, first, pair[kept], truncated=truncated, kept=kept) for kept in cuts]

    def _cut(self, length: int, budget: int, rng: np.random.Generator | None) -> list[np.ndarray]:
        if length <= budget or rng is None:
            return [np.arange(length)]
        if budget <= 0:  # Of a pair, the other text has taken all the room.
            return [np.zeros(0, dtype=np.int64)]
        return self.window.positions(length, budget, self.config.window_params, rng)

    def _joined(self, special: SpecialTokens, first: np.ndarray, second: np.ndarray | None, *, truncated: bool, kept: np.ndarray) -> Inputs:
        parts: list[Sequence[int] | np.ndarray] = [
            special.prefix,
            [*self.prefix, *first] if self.prefix else first,
            special.middle,
            () if second is None else second,
            special.suffix,
        ]
        joined = np.concatenate([np.asarray(part, dtype=np.int32) for part in parts])
        at = len(special.prefix) + len(self.prefix)
        if second is not None:
            at += len(first) + len(special.middle)
        return Inputs(joined, _type_ids(parts, special), truncated=truncated, at=at, kept=kept)


def load_tokenizer(model_dir: str | Path) -> PreTrainedTokenizerBase:
    """Read the tokenizer of a local model folder.

    Raises:
        ModelError: The folder has none, or it cannot be read.
    """
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(str(model_dir), local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise ModelError(f"no tokenizer can be read from {str(model_dir)!r}: {error}. Save one beside the model.") from error


def tokenizer_fingerprint(model_dir: str | Path) -> str:
    """Return a digest of the tokenizer's files and of how texts are read: two folders with equal digests tokenise alike."""
    digest = hashlib.sha256(b"special tokens: " + TEXT.encode() + b"\0")
    for name in TOKENIZER_FILES:
        path = Path(model_dir) / name
        if path.is_file():
            digest.update(name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def _probe_single(tokenizer: PreTrainedTokenizerBase, with_types: bool) -> SpecialTokens:
    """Read off where special tokens go, by encoding a probe: right for any tokenizer, whatever its template."""
    bare = _bare(tokenizer, "a")
    full = tokenizer("a")
    at = _find(bare, full["input_ids"])
    prefix, suffix = full["input_ids"][:at], full["input_ids"][at + len(bare) :]
    types = None
    if with_types:
        kinds = full["token_type_ids"]
        types = (kinds[0], kinds[at], kinds[at], kinds[at], kinds[-1])
    return SpecialTokens(tuple(prefix), (), tuple(suffix), types)


def _probe_pair(tokenizer: PreTrainedTokenizerBase, with_types: bool) -> SpecialTokens:
    first, second = _bare(tokenizer, "a"), _bare(tokenizer, "b")
    full = tokenizer("a", "b")
    ids = full["input_ids"]
    start = _find(first, ids)
    after = start + len(first)
    other = after + _find(second, ids[after:])
    types = None
    if with_types:
        kinds = full["token_type_ids"]
        middle = kinds[after] if other > after else kinds[start]
        types = (kinds[0], kinds[start], middle, kinds[other], kinds[-1])
    return SpecialTokens(tuple(ids[:start]), tuple(ids[after:other]), tuple(ids[other + len(second) :]), types)


def _bare(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _find(needle: list[int], hay: list[int]) -> int:
    for at in range(len(hay) - len(needle) + 1):
        if needle and hay[at : at + len(needle)] == needle:
            return at
    raise ModelError(f"the tokenizer encodes a probe as {needle}, but {hay} with special tokens: its template cannot be read off")


def longest_first(first: int, second: int, budget: int) -> tuple[int, int]:
    """Share ``budget`` tokens between two texts by cutting the longer one first."""
    if first + second <= budget:
        return first, second
    half = budget // 2
    if first <= half:
        return first, budget - first
    if second <= budget - half:
        return budget - second, second
    return half, budget - half


def _type_ids(parts: Sequence[Sequence[int] | np.ndarray], special: SpecialTokens) -> np.ndarray | None:
    if special.types is None:
        return None
    return np.repeat(np.asarray(special.types, dtype=np.int32), [len(part) for part in parts])
