"""Sequence-length functions: which tokens of a text that is too long are kept.

A window maps (token ids without specials, budget, parameters, random generator) to at most ``budget`` ids. It runs at
batch time on the full ids, in training, evaluation and scoring alike. To add one: write the function, name it in
``WINDOWS``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from sparknlp_ft.errors import ConfigError, nearest

Window = Callable[[np.ndarray, int, Sequence[int], np.random.Generator], np.ndarray]


def head(ids: np.ndarray, budget: int, params: Sequence[int], rng: np.random.Generator) -> np.ndarray:
    """Keep the first ``params[0]`` tokens (default: as many as fit)."""
    return ids[: min(budget, params[0]) if params else budget]


WINDOWS: dict[str, Window] = {"head": head}


def get_window(name: str) -> Window:
    """Return the window called ``name``.

    Raises:
        ConfigError: There is no such window.
    """
    if name not in WINDOWS:
        raise ConfigError(f"text.window: {name!r} is not a window.{nearest(name, WINDOWS)} Valid: {', '.join(WINDOWS)}")
    return WINDOWS[name]
