"""Windows and special tokens for many rows at once: ``TextEncoder.windows`` of each, without a Python object for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sparknlp_ft.text.packed import PackedWindows, Ragged, ranges
from sparknlp_ft.text.windows import head

if TYPE_CHECKING:
    from sparknlp_ft.text.encoder import TextEncoder
    from sparknlp_ft.text.inputs import Inputs


def pack_windows(
    encoder: TextEncoder, ids: Ragged, pair: Ragged | None = None, *, seeds: Sequence[Sequence[int]] | None = None
) -> PackedWindows:
    """Cut rows to ``max_length`` and add the special tokens; the same windows as ``encoder.windows`` gives of each row.

    Rows that fit, and all rows of window ``head``, are laid out together; each other row is cut by itself.

    Args:
        encoder: Window, maximal length and special tokens.
        ids: Full token ids of each row's text, without specials.
        pair: The same of the second texts, if there are any.
        seeds: What each row's random window is seeded by; None: (0,).
    """
    second = Ragged(ids.values[:0], np.zeros_like(ids.lengths)) if pair is None else pair
    special = encoder.single if pair is None else encoder.pair
    shown = _shown(encoder, ids.lengths, second.lengths, encoder.room(special))
    truncated = (shown[0] < ids.lengths) | (shown[1] < second.lengths)
    alone = np.zeros_like(truncated) if encoder.window.positions is head else truncated.copy()
    cut = [
        encoder.windows(ids[row], None if pair is None else pair[row], seed=seeds[row] if seeds else (0,))
        for row in np.flatnonzero(alone).tolist()
    ]
    truncated[alone] = [windows[0].truncated for windows in cut]
    counts = np.ones(len(ids), dtype=np.int64)
    counts[alone] = [len(windows) for windows in cut]
    plain = np.flatnonzero(~alone)
    numbers, sizes = (np.cumsum(counts) - counts)[plain], [size[plain] for size in shown]
    before = np.full(len(plain), len(special.prefix) + len(encoder.prefix))
    at, kept = (before, sizes[0]) if pair is None else (before + sizes[0] + len(special.middle), sizes[1])
    page = _Page(int(counts.sum()), numbers, [window for windows in cut for window in windows])
    page.open(special.count + len(encoder.prefix) + sizes[0] + sizes[1])
    kinds = special.types or (0, 0, 0, 0, 0)
    page.tokens(special.prefix, kinds[0])
    page.tokens(encoder.prefix, kinds[1])
    page.texts(ids, plain, sizes[0], kinds[1])
    page.tokens(special.middle, kinds[2])
    page.texts(second, plain, sizes[1], kinds[3])
    page.tokens(special.suffix, kinds[4])
    types = page.types if special.types else None
    more = page.per_window(at, [one.at for one in page.others]), page.per_window(kept, [len(one.kept) for one in page.others])
    return PackedWindows(Ragged(page.ids, page.lengths), types, *more, page.by_number(), counts, truncated)


class _Page:
    """The windows of all rows, one behind the other: those that are filled together, place by place, and the others.

    Args:
        size: Number of all windows.
        numbers: Those of the windows that are filled together.
        others: All others, in order.
    """

    def __init__(self, size: int, numbers: np.ndarray, others: Sequence[Inputs]) -> None:
        self.numbers, self.others = numbers, others
        there = np.ones(size, dtype=bool)
        there[numbers] = False
        self.there = np.flatnonzero(there)

    def per_window(self, together: np.ndarray, others: Sequence[int]) -> np.ndarray:
        """Return a value for each window, int64."""
        result = np.zeros(len(self.numbers) + len(self.there), dtype=np.int64)
        result[self.numbers] = together
        result[self.there] = others
        return result

    def open(self, lengths: np.ndarray) -> None:
        """Make room for all windows, and put the others in their places; ``lengths`` are those of the windows filled together."""
        self.lengths = self.per_window(lengths, [len(one) for one in self.others])
        starts = np.cumsum(self.lengths) - self.lengths
        self.next = starts[self.numbers]
        self.ids, self.types = (np.zeros(int(self.lengths.sum()), dtype=np.int32) for _ in range(2))
        for start, one in zip(starts[self.there].tolist(), self.others, strict=True):
            self.ids[start : start + len(one)] = one.ids
            self.types[start : start + len(one)] = 0 if one.type_ids is None else one.type_ids

    def tokens(self, tokens: Sequence[int], kind: int) -> None:
        """Put the same tokens at the next places of each window."""
        for token in tokens:
            self.ids[self.next], self.types[self.next] = token, kind
            self.next = self.next + 1

    def texts(self, texts: Ragged, rows: np.ndarray, sizes: np.ndarray, kind: int) -> None:
        """Put the first tokens of each row's text there, as many as ``sizes`` says."""
        places = ranges(self.next, sizes)
        self.ids[places] = texts.values[ranges(texts.starts[rows], sizes)]
        if kind:
            self.types[places] = kind
        self.next = self.next + sizes

    def by_number(self) -> dict[int, Inputs]:
        return dict(zip(self.there.tolist(), self.others, strict=True))


def _shown(encoder: TextEncoder, one: np.ndarray, other: np.ndarray, room: int) -> tuple[np.ndarray, np.ndarray]:
    """Return how many tokens each row shows of texts of these lengths, where it is cut as window ``head`` cuts."""
    half = room // 2
    # The longer text is cut first, as ``TextEncoder.windows`` does.
    of_one = np.where(one <= half, one, np.where(other <= room - half, room - other, half))
    fits = one + other <= room
    shares = np.where(fits, one, of_one), np.where(fits, other, room - of_one)
    most = min([room, *encoder.config.window_params]) if encoder.window.positions is head else room
    cut = [np.where(length <= share, length, np.minimum(share, most)) for length, share in zip((one, other), shares, strict=True)]
    return cut[0], cut[1]
