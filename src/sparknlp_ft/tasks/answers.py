"""Answers to questions: how they are compared, and how the best spans are found. Exact match and F1 are those of SQuAD."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from sparknlp_ft.text.words import answer_tokens


def exact_match_and_f1(prediction: str, answers: Sequence[str]) -> tuple[float, float]:
    """Return exact match and F1 of a prediction against the answer it fits best; no answers: the right one is empty."""
    best = (0.0, 0.0)
    predicted = answer_tokens(prediction)
    for answer in answers or [""]:
        actual = answer_tokens(answer)
        exact = float(predicted == actual)
        common = sum((Counter(predicted) & Counter(actual)).values())
        f1 = 2 * common / (len(predicted) + len(actual)) if predicted and actual else exact
        best = max(best[0], exact), max(best[1], f1)
    return best


def best_spans(logits: np.ndarray, *, most_tokens: int, count: int) -> np.ndarray:
    """Return the best spans of one window, float64 of shape [≤ count, 3]: first token, last token, score; best first.

    Args:
        logits: [tokens, 2] of the context's tokens, for start and end.
        most_tokens: Longest span.
        count: Spans to return; starts and ends are looked for among as many best ones.
    """
    if not len(logits):
        return np.zeros((0, 3))
    starts, ends = (np.argsort(-logits[:, side], kind="stable")[:count] for side in (0, 1))
    length = ends[None, :] - starts[:, None]
    scores = np.where((length >= 0) & (length < most_tokens), logits[starts, 0][:, None] + logits[ends, 1][None, :], -np.inf)
    order = np.argsort(-scores, axis=None, kind="stable")[:count]
    rows, columns = np.unravel_index(order, scores.shape)
    spans = np.stack([starts[rows], ends[columns], scores[rows, columns]], axis=1).astype(np.float64)
    return spans[np.isfinite(spans[:, 2])]
