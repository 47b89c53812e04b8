"""What an evaluation came to, row by row or summed: joined, counted, and brought together where rows have the same."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

#: Results of an evaluation, by name; arrays of numbers, equal lengths, an entry a row, or for as many rows as ``weight`` says.
Outcomes = dict[str, np.ndarray]


def join_outcomes(parts: Sequence[Outcomes]) -> Outcomes:
    """Return the outcomes of all parts' rows, one part after the other; there is at least one part."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def entries_of(outcomes: Outcomes) -> int:
    """Return how many entries outcomes have."""
    return len(next(iter(outcomes.values()), ()))


def weights_of(outcomes: Outcomes) -> np.ndarray:
    """Return the rows that each entry stands for, int64 [entries]."""
    return outcomes.get("weight", np.ones(entries_of(outcomes), dtype=np.int64))


def summed(outcomes: Outcomes, keys: Sequence[str]) -> Outcomes:
    """Return one entry for all rows with equal ``keys``, integer columns, with the mean of every other column."""
    weight = weights_of(outcomes)
    owner, groups = np.zeros(len(weight), dtype=np.int64), 1
    if keys:
        found, owner = np.unique(np.stack([outcomes[name] for name in keys], axis=1), axis=0, return_inverse=True)
        owner, groups = owner.reshape(-1), len(found)
    total = np.zeros(groups, dtype=np.int64)
    np.add.at(total, owner, weight)
    result: Outcomes = {name: found[:, i] for i, name in enumerate(keys)}
    order = np.argsort(owner, kind="stable")
    starts = np.searchsorted(owner[order], np.arange(groups))
    for name, values in outcomes.items():
        if name not in (*keys, "weight"):
            shape = (-1, *[1] * (values.ndim - 1))
            sums = np.add.reduceat((values * weight.reshape(shape).astype(np.float64))[order], starts, axis=0)
            result[name] = sums / total.reshape(shape)
    return {**result, "weight": total}
