"""Whose fault an error is: a row's own, which is marked, or the machine's, for which no row is blamed.

A row is blamed when it fails by itself while a text known to be good passes, and while not every other text fails alike.
Memory that runs out and a device that gives up are told by their words, in an exception as in a table's ``error`` column:
a row that bears such an error is scored again by the next run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

Part = TypeVar("Part")

#: What memory that runs out is called: by Python, C++, torch, CUDA's libraries, ONNX Runtime and OpenVINO.
_MEMORY = (
    r"\bMemoryError\b|OutOfMemory|out of memory|not enough memory|can't allocate memory|[Ff]ailed to allocate|bad_alloc|bad allocation"
    r"|ALLOC_FAILED"
)
#: What a device that gives up is called.
_DEVICE = (
    r"AcceleratorError|(CUDA|HIP|cuDNN|CUBLAS|NCCL|MPS|XPU)\w* (error|failure)|(CUDA|CUBLAS|CUDNN|CUSPARSE|CUSOLVER|NCCL)_(STATUS|ERROR)_"
    r"|device-side assert|illegal memory access|uncorrectable ECC|device is (lost|busy|unavailable)|driver shutting down"
)
#: Both, as one expression that Python and Java read alike.
MACHINE_WORDS = f"({_MEMORY})|({_DEVICE})"

#: Rows with different texts that are tried alone before the first row of a window is blamed.
WITNESSES = 8


class MachineFault(RuntimeError):
    """The machine fails, or the model on it whatever the text: no row is at fault, and the task is to be tried elsewhere."""


def is_memory(error: BaseException) -> bool:
    """Whether memory ran out."""
    return re.search(_MEMORY, _words(error)) is not None


def is_device(error: BaseException) -> bool:
    """Whether the device gave up, rather than refused."""
    return not is_memory(error) and re.search(_DEVICE, _words(error)) is not None


def is_machine(error: BaseException) -> bool:
    """Whether an error says by its words that it is the machine's."""
    return is_memory(error) or is_device(error)


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


class Doubt:
    """What is asked before rows of one window are halved or blamed.

    The calls it makes are few: one with a good text at a fault of the device and before each row that is blamed, and up to
    ``WITNESSES`` before the first.
    """

    def __init__(self, alone: Callable[[int], object], texts: Sequence[object], probe: Callable[[], object] | None = None) -> None:
        """Take the ways to ask.

        Args:
            alone: Tries one row by itself.
            texts: What tells the rows apart, one value a row.
            probe: Tries a text known to be good; None: there is no such text, and only an error that says by its words that it
                is the machine's is held against the machine.
        """
        self._alone, self._texts, self._probe = alone, texts, probe
        self._heard = False

    def worth_again(self, error: Exception) -> bool:
        """Whether the rows that failed are to be tried once more as they are.

        Raises:
            MachineFault: The device fails with a good text too.
        """
        if self._probe is None or not is_machine(error):
            return False
        self._ask_probe(error)
        return is_device(error)

    def may_blame(self, row: int, error: Exception) -> None:
        """Return if a row that fails by itself is the one to blame.

        Raises:
            MachineFault: A good text fails too, or all others that were tried.
        """
        self._ask_probe(error)
        if self._heard or (self._probe is None and not is_machine(error)):
            return
        self._heard = True
        witnesses = self._others(row)
        if len(witnesses) == WITNESSES and all(self._fails(one) for one in witnesses):
            raise MachineFault(f"{WITNESSES + 1} texts that have nothing in common fail, each by itself: {_words(error)}") from error

    def _ask_probe(self, error: Exception) -> None:
        if self._probe is None:
            return
        try:
            self._probe()
        except Exception as again:
            raise MachineFault(f"a text known to be good fails as well, so no row is at fault: {_words(again)}") from error

    def _others(self, row: int) -> list[int]:
        """Return rows with texts of their own, spread over the window."""
        first = {text: at for at, text in reversed(list(enumerate(self._texts))) if text != self._texts[row]}
        rows = sorted(first.values())
        return [rows[at * len(rows) // WITNESSES] for at in range(WITNESSES)] if len(rows) >= WITNESSES else []

    def _fails(self, row: int) -> bool:
        try:
            self._alone(row)
        except Exception:  # whatever it is: that it fails is what was asked
            return True
        return False


def within_memory(batch: np.ndarray, forward: Callable[[np.ndarray], Part]) -> list[tuple[np.ndarray, Part]]:
    """Run a batch; where memory runs out, run its halves, down to single rows.

    Args:
        batch: Numbers of rows, int [rows].
        forward: Runs some of them.

    Returns:
        The parts in which it ran, in order, and what came of each.
    """
    try:
        return [(batch, forward(batch))]
    except Exception as error:
        if len(batch) < 2 or not is_memory(error):
            raise
    # Behind the handler: the error holds the frames, and these the tensors that were in the way.
    _release()
    middle = len(batch) // 2
    return [*within_memory(batch[:middle], forward), *within_memory(batch[middle:], forward)]


def _release() -> None:
    """Give memory that torch holds in reserve back to its device."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
