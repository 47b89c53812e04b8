"""From single inputs to padded batches: the one batching path of training, evaluation and scoring."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sparknlp_ft.text.inputs import Inputs


def by_token_budget(
    lengths: Sequence[int] | np.ndarray, max_tokens: int, counts: Sequence[int] | np.ndarray | None = None
) -> list[np.ndarray]:
    """Group rows of similar length so that each padded batch holds at most ``max_tokens`` tokens.

    Args:
        lengths: Length in tokens of each row's longest window.
        max_tokens: Windows times longest window of a batch; a single larger row gets a batch of its own.
        counts: Windows of each row; one each if not given.

    Returns:
        Row numbers of each batch, shortest rows first; every row number exactly once. Rows of equal length keep
        their order, so the result depends on nothing but the lengths.
    """
    order = np.argsort(np.asarray(lengths), kind="stable")
    ordered = np.asarray(lengths)[order]
    upto = np.arange(len(order) + 1) if counts is None else np.concatenate([[0], np.cumsum(np.asarray(counts)[order])])
    batches: list[np.ndarray] = []
    start = 0
    while start < len(order):
        # Rows from here on are at least as long, so no batch from here has more of them than this.
        stop = min(len(order), start + max(1, max_tokens // max(1, int(ordered[start]))) + 1)
        tokens = (upto[start + 1 : stop + 1] - upto[start]) * ordered[start:stop]
        end = start + max(1, int(np.searchsorted(tokens, max_tokens, side="right")))
        batches.append(order[start:end])
        start = end
    return batches


def pad(rows: Sequence[Inputs], pad_id: int) -> dict[str, np.ndarray]:
    """Stack inputs to int64 arrays of shape [rows, longest row].

    Returns:
        ``input_ids``, ``attention_mask`` (absent where no row is shorter than the others: attention without a mask is
        faster) and, if the rows have them, ``token_type_ids``.
    """
    lengths = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
    types = None if rows[0].type_ids is None else np.concatenate([row.type_ids for row in rows if row.type_ids is not None])
    return pad_flat(np.concatenate([row.ids for row in rows]), types, lengths, pad_id)


def pad_flat(ids: np.ndarray, types: np.ndarray | None, lengths: np.ndarray, pad_id: int) -> dict[str, np.ndarray]:
    """Do the same for inputs that lie one behind the other: ids and types, [tokens], and the length of each input."""
    width = int(lengths.max())
    there = np.arange(width) < lengths[:, None]
    batch = {"input_ids": _spread(ids, there, pad_id)}
    if not there.all():
        batch["attention_mask"] = there.astype(np.int64)
    if types is not None:
        batch["token_type_ids"] = _spread(types, there, 0)
    return batch


def _spread(values: np.ndarray, there: np.ndarray, elsewhere: int) -> np.ndarray:
    result = np.full(there.shape, elsewhere, dtype=np.int64)
    result[there] = values
    return result
