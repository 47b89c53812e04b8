"""From single inputs to padded batches: the one batching path of training, evaluation and scoring."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sparknlp_ft.text.encoder import Inputs


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
    upto = np.arange(len(order) + 1) if counts is None else np.concatenate([[0], np.cumsum(np.asarray(counts)[order])])
    batches: list[np.ndarray] = []
    start = 0
    for end in range(1, len(order) + 1):
        if end == len(order) or (upto[end + 1] - upto[start]) * lengths[order[end]] > max_tokens:
            batches.append(order[start:end])
            start = end
    return batches


def pad(rows: Sequence[Inputs], pad_id: int) -> dict[str, np.ndarray]:
    """Stack inputs to int64 arrays of shape [rows, longest row].

    Returns:
        ``input_ids``, ``attention_mask`` (absent where no row is shorter than the others: attention without a mask is
        faster) and, if the rows have them, ``token_type_ids``.
    """
    width = max(len(row) for row in rows)
    ids = np.full((len(rows), width), pad_id, dtype=np.int64)
    mask = np.zeros((len(rows), width), dtype=np.int64)
    types = np.zeros((len(rows), width), dtype=np.int64)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = row.ids
        mask[i, : len(row)] = 1
        if row.type_ids is not None:
            types[i, : len(row)] = row.type_ids
    batch = {"input_ids": ids}
    if not mask.all():
        batch["attention_mask"] = mask
    if rows[0].type_ids is not None:
        batch["token_type_ids"] = types
    return batch
