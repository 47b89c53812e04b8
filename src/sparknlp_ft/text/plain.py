"""A text is data, never control: what looks like a special token in a row ('[SEP]', '</s>') is tokenised as the characters it is.

Tokenizers look for their special tokens in texts; transformers turns that off (``split_special_tokens``). Where the vocabulary
itself holds such a piece, as SentencePiece's does, the model of the tokenizer finds it all the same: such a text is cut
within the piece, and its parts are tokenised one by one. Ids of all other texts are what they were.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from sparknlp_ft.text.packed import Ragged

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

#: How literal special tokens are read: as text, or (by models trained before there was a choice) as what they control.
TEXT, CONTROL = "text", "control"

#: Texts of one call to the tokenizer: what it makes of them besides their ids is large, and is not kept.
AT_ONCE = 2048

#: Ids and characters (start, end) of a text's tokens.
Pieces = tuple[list[int], list[tuple[int, int]]]


class PlainText:
    """Tokenises texts as data.

    Args:
        tokenizer: A tokenizer of transformers.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer
        added = getattr(tokenizer, "added_tokens_decoder", {})
        special = {int(number): str(token) for number, token in added.items() if token.special}
        special |= dict(zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=True))
        #: That of unknown characters stands for a text's own ones, too.
        self.unknown = tokenizer.unk_token_id
        self.special = np.asarray(sorted(number for number in special if number != self.unknown), dtype=np.int32)
        self.literals = sorted({name for name in special.values() if name}, key=len, reverse=True)

    def ids(self, texts: Sequence[str]) -> Ragged:
        """Return the ids of each text (at least one), int32, without special tokens."""
        found = _ids(self.tokenizer, texts, split=True)
        cut = self._controlled(texts, found)
        if not cut:
            return found
        each = list(found)
        for number in cut:
            each[number] = np.asarray(self._cut(texts[number])[0], dtype=np.int32)
        return Ragged.of(each)

    def offsets(self, texts: Sequence[str]) -> dict[str, list[Any]]:
        """Return ``input_ids`` of each text (at least one), and the characters of each id: its ``offset_mapping``."""
        result = _called(self.tokenizer, texts, offsets=True)
        result["input_ids"] = [np.asarray(ids, dtype=np.int32) for ids in result["input_ids"]]
        for number in self._controlled(texts, Ragged.of(result["input_ids"])):
            ids, result["offset_mapping"][number] = self._cut(texts[number])
            result["input_ids"][number] = np.asarray(ids, dtype=np.int32)
        return result

    def _controlled(self, texts: Sequence[str], ids: Ragged) -> list[int]:
        """Return the numbers of the texts among whose ids are special ones."""
        found = np.flatnonzero(self._table[ids.values])
        rows = np.searchsorted(np.cumsum(ids.lengths), found, side="right")
        named = self.tokenizer.unk_token
        unknown = [number for number, text in enumerate(texts) if named and named in text and self.unknown in ids[number]]
        return sorted({*rows.tolist(), *unknown})

    @functools.cached_property
    def _table(self) -> np.ndarray:
        """Whether each id of the vocabulary is special."""
        table = np.zeros(max(len(self.tokenizer), *(self.special + 1), 1), dtype=bool)
        table[self.special] = True
        return table

    def _cut(self, text: str) -> Pieces:
        """Tokenise a text in parts, none of which gives a special token."""
        result = _called(self.tokenizer, [text], offsets=self.tokenizer.is_fast)
        ids = result["input_ids"][0]
        spans = [tuple(span) for span in result["offset_mapping"][0]] if self.tokenizer.is_fast else []
        places = self._places(text, ids, spans)
        if not places:
            return ids, spans
        ids, spans = [], []
        for start, end in zip([0, *places], [*places, len(text)], strict=True):
            part, inner = self._cut(text[start:end])
            ids += part
            spans += [(start + first, start + last) for first, last in inner]
        return ids, spans

    def _places(self, text: str, ids: Sequence[int], spans: Sequence[tuple[int, int]]) -> list[int]:
        """Return where to cut: behind the first character of each piece that is a special token."""
        if not self.tokenizer.is_fast:
            controlled = np.isin(ids, self.special).any() or self.tokenizer.unk_token in text
            found = [text.find(literal) + 1 for literal in self.literals if literal in text]
            return sorted(set(found)) if controlled else []
        places = set()
        for number, (start, end) in zip(ids, spans, strict=True):
            piece = text[start:end]
            start += len(piece) - len(piece.lstrip())  # SentencePiece's pieces begin with the blank before them.
            if end - start > 1 and (number in self.special or (number == self.unknown and text[start:end] == self.tokenizer.unk_token)):
                places.add(start + 1)
        return sorted(places)


def control_ids(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> Ragged:
    """Return the same as ``PlainText.ids``, with special tokens where the texts have their names."""
    return _ids(tokenizer, texts, split=False)


def control_offsets(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> dict[str, list[Any]]:
    """Return the same as ``PlainText.offsets``, with special tokens where the texts have their names."""
    return _called(tokenizer, texts, offsets=True, split=False)


def _ids(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], *, split: bool) -> Ragged:
    """Tokenise without what transformers makes of each text besides its ids, where nothing but the backend decides on these."""
    from transformers import PreTrainedTokenizerFast

    if getattr(type(tokenizer), "_encode_plus", None) is not PreTrainedTokenizerFast._encode_plus:
        return Ragged.of([np.asarray(ids, dtype=np.int32) for ids in _called(tokenizer, texts, offsets=False, split=split)["input_ids"]])
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    backend.encode_special_tokens = split
    lists = [
        encoding.ids
        for start in range(0, len(texts), AT_ONCE)
        for encoding in backend.encode_batch_fast(list(texts[start : start + AT_ONCE]), add_special_tokens=False)
    ]
    values = np.fromiter(chain.from_iterable(lists), dtype=np.int32)
    return Ragged(values, np.fromiter(map(len, lists), dtype=np.int64, count=len(lists)))


def _called(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], *, offsets: bool, split: bool = True) -> dict[str, list[Any]]:
    more = {"return_offsets_mapping": True} if offsets else {}
    encoded = tokenizer(
        list(texts),
        add_special_tokens=False,
        return_attention_mask=False,
        return_token_type_ids=False,
        verbose=False,
        split_special_tokens=split,
        **more,
    )
    return {name: list(encoded[name]) for name in ("input_ids", *(["offset_mapping"] if offsets else []))}
