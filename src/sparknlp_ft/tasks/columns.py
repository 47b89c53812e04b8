"""Prediction columns as Arrow arrays, made of numpy's without a Python object per row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa


def chosen(labels: Sequence[str], numbers: np.ndarray) -> pa.Array:
    """Return the labels of these numbers, strings."""
    return pa.array(list(labels), pa.string()).take(pa.array(numbers))


def label_lists(labels: Sequence[str], applies: np.ndarray) -> pa.ListArray:
    """Return of each row the labels that apply, in their order; ``applies`` is bool [rows, labels]."""
    return pa.ListArray.from_arrays(_offsets(applies.sum(axis=1)), chosen(labels, np.nonzero(applies)[1]))


def score_maps(labels: Sequence[str], scores: np.ndarray, most: int | None = None) -> pa.MapArray:
    """Return of each row a map from label to score, float32.

    Args:
        labels: Label list.
        scores: [rows, labels].
        most: How many scores of a row are given, the highest first; None: all, in the order of the labels.
    """
    rows, size = scores.shape
    if most is None or most >= size:
        numbers = np.tile(np.arange(size), rows)
    else:
        numbers = np.argsort(-scores, axis=1, kind="stable")[:, :most]
        scores, size = np.take_along_axis(scores, numbers, axis=1), most
    values = pa.array(scores.astype(np.float32).reshape(-1))
    return pa.MapArray.from_arrays(_offsets(np.full(rows, size)), chosen(labels, numbers.reshape(-1)), values)


def _offsets(lengths: np.ndarray) -> pa.Array:
    return pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
