"""What an engine is, and what it computes with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from sparknlp_ft.tasks import Rows, Setup, Task
from sparknlp_ft.text.packed import PackedWindows

#: Padded windows, int64 [windows, longest], by the name of the network's input; and the same windows as rows of their own.
Batch = tuple[Mapping[str, np.ndarray], Rows]


@dataclass(frozen=True)
class Scored:
    """What an engine returns, row by row in the order of the texts."""

    results: np.ndarray  #: Results as the task makes them: [rows, …], or objects.
    truncated: np.ndarray  #: bool [rows]: the text had more tokens than the model was shown
    tokens: np.ndarray  #: int64 [rows]: tokens of the row's shortest text, special ones aside; 0: nothing to score
    offsets: list[np.ndarray] | None = None  #: Characters of each token of the last text, where the task needs them.


@dataclass(frozen=True)
class Ready:
    """Texts as an engine computes on them: tokenised, cut into windows."""

    windows: PackedWindows
    tokens: np.ndarray  #: As in ``Scored``.
    offsets: list[np.ndarray] | None = None


class Engine(Protocol):
    """Texts in, results out."""

    @property
    def task(self) -> Task: ...

    @property
    def setup(self) -> Setup: ...

    def predict(self, texts: Sequence[str], pairs: Sequence[str] | None = None, *, rows: Sequence[int] | None = None) -> Scored:
        """Return the results of texts, or of pairs of texts.

        A row's result depends on its own text alone, up to rounding: not on the rows beside it.

        Args:
            texts: First or only text of each row.
            pairs: Second text of each row, for models trained on pairs.
            rows: Hash of each row's key, which seeds random windows; None: no row has one.
        """


@runtime_checkable
class ReadsAhead(Engine, Protocol):
    """An engine whose texts can be made ready beforehand, by another thread than the one that computes."""

    def ready(self, texts: Sequence[str], pairs: Sequence[str] | None = None, *, rows: Sequence[int] | None = None) -> Ready:
        """Return texts made ready; arguments as ``predict`` takes them."""

    def compute(self, ready: Ready) -> Scored:
        """Return what ``predict`` returns of these texts."""


class Runtime(Protocol):
    """Computes what the network says of padded windows."""

    def outputs(self, batches: Iterator[Batch]) -> list[np.ndarray]:
        """Return float32 outputs of each batch, [windows, …]: what ``Task.read`` leaves of them."""
