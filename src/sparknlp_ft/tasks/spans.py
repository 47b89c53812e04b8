"""Entities in a text: as character spans, and as BIO tags of the words that a tokenizer's pieces belong to.

Words are those of ``text.words``, the same for every tokenizer. A tag belongs to a word's first piece; the pieces that
follow have none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, order=True)
class Entity:
    """A span of characters, end exclusive, and what it is."""

    start: int
    end: int
    label: str


def first_pieces(words: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Return the number of each word's first piece, int64 of shape [words]; -1 for a word that no piece begins in.

    Args:
        words: As ``text.words.words_of`` gives them.
        offsets: Characters of each piece, [pieces, 2], in text order; a piece may begin with blanks (as SentencePiece's do).
    """
    first = np.full(len(words), -1, dtype=np.int64)
    if not len(words) or not len(offsets):
        return first
    # The first piece that ends behind the word's start holds its first character; it is the word's if no earlier word took it.
    at = np.searchsorted(offsets[:, 1], words[:, 0], side="right")
    taken = -1
    for word, piece in enumerate(at.tolist()):
        if piece < len(offsets) and piece != taken and offsets[piece, 0] < words[word, 1]:
            first[word] = taken = piece
    return first


def tags_of(words: np.ndarray, entities: Sequence[Entity], labels: Sequence[str]) -> np.ndarray:
    """Return each word's tag, int64 of shape [words]: 0 outside, 1 + 2l at the begin and 2 + 2l inside of label l.

    A word that an entity touches belongs to it. Where entities overlap, the longer one counts, then the earlier.
    """
    index = {label: i for i, label in enumerate(labels)}
    tags = np.zeros(len(words), dtype=np.int64)
    for entity in sorted(entities, key=lambda one: (one.start - one.end, one.start)):
        inside = np.flatnonzero((words[:, 0] < entity.end) & (words[:, 1] > entity.start))
        if len(inside) and not tags[inside].any():
            tags[inside] = 2 + 2 * index[entity.label]
            tags[inside[0]] -= 1
    return tags


def runs_of(tags: np.ndarray) -> list[tuple[int, int, int]]:
    """Return (first word, word after the last, label) of each entity; an inside tag that nothing begins begins one itself."""
    runs: list[tuple[int, int, int]] = []
    for word, tag in enumerate(tags.tolist()):
        if tag == 0:
            continue
        label, inside = (tag - 1) // 2, tag % 2 == 0
        if inside and runs and runs[-1][1] == word and runs[-1][2] == label:
            runs[-1] = (runs[-1][0], word + 1, label)
        else:
            runs.append((word, word + 1, label))
    return runs


def count_matches(actual: Sequence[tuple], predicted: Sequence[tuple], labels: Mapping[Any, int]) -> np.ndarray:
    """Return hits, predicted and actual entities of each label, int64 of shape [labels, 3].

    Entities are (start, end, label); a hit has all three right.
    """
    counts = np.zeros((len(labels), 3), dtype=np.int64)
    for column, found in enumerate((set(actual) & set(predicted), predicted, actual)):
        for one in found:
            counts[labels[one[2]], column] += 1
    return counts
