"""Many rows at once: arrays of different lengths held in one, so that no Python object is made for each row."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, overload

import numpy as np

from sparknlp_ft.text.inputs import Inputs

if TYPE_CHECKING:
    from typing import Self


@dataclass(frozen=True, eq=False)
class Ragged(Sequence[np.ndarray]):
    """Arrays of different lengths, one behind the other; as a sequence, a view of each.

    Attributes:
        values: All values, [total].
        lengths: How many are of each array, int64 [arrays].
    """

    values: np.ndarray
    lengths: np.ndarray

    @classmethod
    def of(cls, arrays: Sequence[np.ndarray]) -> Self:
        """Join arrays of int32; there may be none."""
        values = np.concatenate(arrays) if len(arrays) else np.zeros(0, dtype=np.int32)
        return cls(values, np.fromiter(map(len, arrays), dtype=np.int64, count=len(arrays)))

    @cached_property
    def starts(self) -> np.ndarray:
        """Where each array begins, int64 [arrays]."""
        return np.cumsum(self.lengths) - self.lengths

    def __len__(self) -> int:
        return len(self.lengths)

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[np.ndarray]: ...
    def __getitem__(self, index: int | slice) -> np.ndarray | Sequence[np.ndarray]:
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        start = self.starts[index]
        return self.values[start : start + self.lengths[index]]

    def __iter__(self) -> Iterator[np.ndarray]:
        ends = np.cumsum(self.lengths).tolist()
        return (self.values[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)) if ends else iter(())

    def take(self, numbers: np.ndarray) -> Ragged:
        """Return the arrays of these numbers, in their order."""
        lengths = self.lengths[numbers]
        return Ragged(self.values[ranges(self.starts[numbers], lengths)], lengths)


def ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return the numbers from each start on, as many as its length says, one range behind the other; int64 [sum of lengths]."""
    ends = np.cumsum(lengths)
    return np.repeat(starts - (ends - lengths), lengths) + np.arange(ends[-1] if len(ends) else 0)


class _WindowLists(Sequence[list[Inputs]]):
    """A sequence of each row's windows, made when they are asked for."""

    @abstractmethod
    def row(self, index: int) -> list[Inputs]:
        """Return the windows of one row."""

    @overload
    def __getitem__(self, index: int) -> list[Inputs]: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[list[Inputs]]: ...
    def __getitem__(self, index: int | slice) -> list[Inputs] | Sequence[list[Inputs]]:
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        if not -len(self) <= index < len(self):
            raise IndexError(index)  # what ends the loop over a sequence
        return self.row(index)


@dataclass(frozen=True, eq=False)
class PackedWindows(_WindowLists):
    """The windows of many rows; as a sequence, the list of each row's, made when it is asked for.

    Attributes:
        ids: Token ids of each window, with the special tokens.
        types: Token types, parallel to ``ids.values``; None where the model takes none.
        at: Where the tokens of the last text begin in each window, int64 [windows].
        kept: How many of these there are, int64 [windows]; they are the text's first ones, unless
        special: holds the window, which was made by itself, under its number.
        counts: Windows of each row, int64 [rows].
        truncated: Whether tokens of the row are in none of its windows, bool [rows].
    """

    ids: Ragged
    types: np.ndarray | None
    at: np.ndarray
    kept: np.ndarray
    special: Mapping[int, Inputs]
    counts: np.ndarray
    truncated: np.ndarray

    @classmethod
    def of(cls, inputs: Sequence[Inputs]) -> Self:
        """Pack windows that were made one by one, each a row of its own; there is at least one."""
        types = None if inputs[0].type_ids is None else np.concatenate([one.type_ids for one in inputs if one.type_ids is not None])
        at, kept = (np.asarray(values, dtype=np.int64) for values in ([one.at for one in inputs], [len(one.kept) for one in inputs]))
        truncated = np.asarray([one.truncated for one in inputs], dtype=bool)
        ids = Ragged.of([one.ids for one in inputs])
        return cls(ids, types, at, kept, dict(enumerate(inputs)), np.ones(len(inputs), dtype=np.int64), truncated)

    @cached_property
    def first(self) -> np.ndarray:
        """Number of each row's first window, int64 [rows]."""
        return np.cumsum(self.counts) - self.counts

    @cached_property
    def owner(self) -> np.ndarray:
        """Row of each window, int64 [windows]."""
        return np.repeat(np.arange(len(self.counts)), self.counts)

    def __len__(self) -> int:
        return len(self.counts)

    def row(self, index: int) -> list[Inputs]:
        begin = int(self.first[index])
        return [self.window(number) for number in range(begin, begin + int(self.counts[index]))]

    def window(self, number: int) -> Inputs:
        """Return one window by its number among all."""
        if (made := self.special.get(number)) is not None:
            return made
        start, length = self.ids.starts[number], self.ids.lengths[number]
        types = None if self.types is None else self.types[start : start + length]
        kept, truncated = np.arange(self.kept[number]), bool(self.truncated[self.owner[number]])
        return Inputs(self.ids[number], types, truncated=truncated, at=int(self.at[number]), kept=kept)

    def of_rows(self, rows: np.ndarray) -> PackedWindows:
        """Return the windows of these rows, in their order."""
        numbers = ranges(self.first[rows], self.counts[rows])
        types = None if self.types is None else Ragged(self.types, self.ids.lengths).take(numbers).values
        special = {new: self.special[old] for new, old in enumerate(numbers.tolist()) if old in self.special} if self.special else {}
        return PackedWindows(
            self.ids.take(numbers), types, self.at[numbers], self.kept[numbers], special, self.counts[rows], self.truncated[rows]
        )

    def alone(self, numbers: np.ndarray) -> Sequence[list[Inputs]]:
        """Return these windows, each as a row of its own."""
        return _Alone(self, numbers)


@dataclass(frozen=True, eq=False)
class _Alone(_WindowLists):
    windows: PackedWindows
    numbers: np.ndarray

    def __len__(self) -> int:
        return len(self.numbers)

    def row(self, index: int) -> list[Inputs]:
        return [self.windows.window(int(self.numbers[index]))]
