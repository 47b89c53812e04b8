"""Sequence-length functions: which tokens of a text that is too long are kept.

A window function maps (number of tokens, budget, parameters, random generator) to the positions that are kept: one array
of at most ``budget`` positions for each window that the network is shown. It is called for a text of more tokens than
the budget alone, at batch time, in training, evaluation and scoring alike; special tokens are added afterwards.
To add one: write the function, and name it with its parameters in ``WINDOWS``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from sparknlp_ft.errors import ConfigError, nearest

WindowFunction = Callable[[int, int, Sequence[int], np.random.Generator], list[np.ndarray]]

#: Span of the random windows where none is given, as in the system they come from.
SPAN = 16


@dataclass(frozen=True)
class Window:
    """A window function.

    Attributes:
        positions: The function.
        parameters: What ``text.window_params`` holds, by name; all may be left out together.
        random: Whether it draws, so that training sees other tokens in each epoch.
        many: Whether a text may give several windows, whose outputs are pooled.
        least: Smallest value of a parameter.
    """

    positions: WindowFunction
    parameters: tuple[str, ...]
    random: bool = False
    many: bool = False
    least: int = 1


def head(length: int, budget: int, params: Sequence[int], rng: np.random.Generator) -> list[np.ndarray]:
    """Keep the first ``n`` tokens (default: as many as fit)."""
    return [np.arange(min([length, budget, *params]))]


def head_tail(length: int, budget: int, params: Sequence[int], rng: np.random.Generator) -> list[np.ndarray]:
    """Keep the first ``head`` and the last ``tail`` tokens (Sun et al., arXiv:1905.05583); default: a quarter, and the rest.

    Where the two are more than fits beside the special tokens, both give way in proportion.
    """
    first, last = params or (budget // 4, budget - budget // 4)
    if first + last > budget:
        first = round(budget * first / (first + last))
        last = budget - first
    if first + last >= length:
        return [np.arange(length)]
    return [np.concatenate([np.arange(first), np.arange(length - last, length)])]


def random_spans(length: int, budget: int, params: Sequence[int], rng: np.random.Generator) -> list[np.ndarray]:
    """Cut into consecutive spans, draw spans without repetition until the budget is full, keep them in document order.

    The span that is drawn last gives its first tokens, as many as still fit: the window is always full.
    """
    (span,) = params or (SPAN,)
    starts = np.arange(0, length, span)
    kept: list[np.ndarray] = []
    room = min(budget, length)
    for start in rng.permutation(starts):
        piece = np.arange(start, min(start + span, length))[:room]
        kept.append(piece)
        room -= len(piece)
        if not room:
            break
    return [np.sort(np.concatenate(kept))]


def random_spans_delete(length: int, budget: int, params: Sequence[int], rng: np.random.Generator) -> list[np.ndarray]:
    """Draw a span anywhere, take it out, draw again from what is left (which closes up); in draw order, no token twice."""
    (span,) = params or (SPAN,)
    left = np.arange(length)
    kept: list[np.ndarray] = []
    room = min(budget, length)
    while room:
        size = min(span, room, len(left))
        start = int(rng.integers(0, len(left) - size + 1))
        kept.append(left[start : start + size])
        left = np.delete(left, slice(start, start + size))
        room -= size
    return [np.concatenate(kept)]


def random_spans_overlapping(length: int, budget: int, params: Sequence[int], rng: np.random.Generator) -> list[np.ndarray]:
    """Draw spans anywhere, overlapping or not, until the budget is full; in draw order."""
    (span,) = params or (SPAN,)
    kept: list[np.ndarray] = []
    room = budget
    while room:
        size = min(span, room, length)
        start = int(rng.integers(0, length - size + 1))
        kept.append(np.arange(start, start + size))
        room -= size
    return [np.concatenate(kept)]


def sliding(length: int, budget: int, params: Sequence[int], rng: np.random.Generator) -> list[np.ndarray]:
    """Cover the text with windows of ``budget`` tokens that share ``overlap`` tokens (default: a quarter); none is lost.

    The last window ends with the text and is as long as the others, so it may share more.
    """
    overlap = min(params[0] if params else budget // 4, budget - 1)
    starts = list(range(0, max(length - budget, 0), budget - overlap))
    return [np.arange(start, min(start + budget, length)) for start in [*starts, max(length - budget, 0)]]


WINDOWS: dict[str, Window] = {
    "head": Window(head, ("n",)),
    "ht": Window(head_tail, ("head", "tail")),
    "rs": Window(random_spans, ("span",), random=True),
    "rsd": Window(random_spans_delete, ("span",), random=True),
    "rso": Window(random_spans_overlapping, ("span",), random=True),
    "sliding": Window(sliding, ("overlap",), many=True, least=0),
}


def get_window(name: str, params: Sequence[int] = (), *, max_length: int | None = None) -> Window:
    """Return the window called ``name``, its parameters checked.

    Raises:
        ConfigError: There is no such window, or its parameters do not fit it.
    """
    if name not in WINDOWS:
        raise ConfigError(f"text.window: {name!r} is not a window.{nearest(name, WINDOWS)} Valid: {', '.join(WINDOWS)}")
    window = WINDOWS[name]
    if params and len(params) != len(window.parameters):
        expected = ", ".join(window.parameters)
        raise ConfigError(f"text.window_params: {list(params)} for window {name!r}, which takes [{expected}], or [] for its defaults")
    if any(value < window.least for value in params):
        raise ConfigError(f"text.window_params: {list(params)} for window {name!r}; each must be at least {window.least}")
    if max_length is not None and sum(params) > max_length:
        raise ConfigError(
            f"text.window_params: {list(params)} for window {name!r} come to {sum(params)} tokens, more than text.max_length {max_length}"
        )
    return window
