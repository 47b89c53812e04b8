"""What fails on many rows is tried on halves, until only the rows at fault are left; and results at their rows' places."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import numpy as np

from sparknlp_ft.scoring.faults import Doubt, MachineFault

Part = TypeVar("Part")


def by_halves(
    size: int, attempt: Callable[[slice], Part], at_fault: Callable[[int, Exception], Part], doubt: Doubt | None = None
) -> list[Part]:
    """Return what comes of rows, part by part, in order.

    Args:
        size: Number of rows; without any there is no part.
        attempt: Makes something of a stretch of rows, or raises.
        at_fault: Says what becomes of one row that raises by itself.
        doubt: Is asked whether the rows are to blame at all; None: they are.

    Raises:
        MachineFault: They are not.
    """

    def tried(start: int, end: int) -> Part | Exception:
        try:
            return attempt(slice(start, end))
        except MachineFault:
            raise
        except Exception as error:  # whatever a row does to what is tried on it: it becomes a marked row
            return error

    def halved(start: int, end: int) -> list[Part]:
        found = tried(start, end)
        if isinstance(found, Exception) and doubt is not None and doubt.worth_again(found):
            found = tried(start, end)
        if not isinstance(found, Exception):
            return [found]
        if end - start == 1:
            if doubt is not None:
                doubt.may_blame(start, found)
            return [at_fault(start, found)]
        middle = start + (end - start) // 2
        del found  # It holds the frames of the attempt, and these whatever filled the memory.
        return [*halved(start, middle), *halved(middle, end)]

    return halved(0, size) if size else []


def spread(values: Iterable[object], rows: Iterable[int], size: int) -> np.ndarray:
    """Put values at their rows, None elsewhere; element by element, so that numpy does not look into lists."""
    result = np.full(size, None, dtype=object)
    for row, value in zip(rows, values, strict=True):
        result[row] = value
    return result
