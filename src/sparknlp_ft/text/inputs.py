"""What a text is turned into: its tokens, and what the network is shown of them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Tokens:
    """A text's full token ids, int32 [tokens], and the characters of each, int32 [tokens, 2], end exclusive."""

    ids: np.ndarray
    offsets: np.ndarray


@dataclass(frozen=True)
class Inputs:
    """What the network is shown of a row: all, or one window of it.

    Attributes:
        ids: Token ids with the special tokens, int32 [length].
        type_ids: Token types, int32 [length]; None where the model takes none.
        truncated: Whether tokens of the row are in none of its windows.
        at: Where the tokens of the last text begin.
        kept: Positions of those tokens among all tokens of the last text, int64.
    """

    ids: np.ndarray
    type_ids: np.ndarray | None
    truncated: bool
    at: int = 0
    kept: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class SpecialTokens:
    """The special tokens around one text, or around and between two, with their token types."""

    prefix: tuple[int, ...]
    middle: tuple[int, ...]
    suffix: tuple[int, ...]
    types: tuple[int, int, int, int, int] | None  # of prefix, first, middle, second, suffix

    @property
    def count(self) -> int:
        return len(self.prefix) + len(self.middle) + len(self.suffix)
