"""Exact evaluation: every row of a split once, the same metrics on any number of ranks."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from sparknlp_ft.tasks.task import Outcomes, join_outcomes
from sparknlp_ft.training.comm import Comm
from sparknlp_ft.training.feed import Feed
from sparknlp_ft.training.forward import Forward


def evaluate(forward: Forward, feed: Feed, comm: Comm, *, max_tokens: int) -> tuple[dict[str, float], dict[str, Any]]:
    """Return the metrics of a split, and what the task tunes on it (thresholds); both empty if it has no rows.

    Each rank evaluates its lanes; the outcomes of all rows are put into the order of the row hashes before they are
    summed up, and rank 0's result counts, so that ranks cannot come to different decisions.

    Args:
        forward: The network.
        feed: The split.
        comm: The ranks.
        max_tokens: Padded tokens of a batch.
    """
    if not feed.rows:
        return {}, {}
    gathered = [part for part in comm.allgather_object(_outcomes(forward, feed, max_tokens)) if part]
    result: tuple[dict[str, float], dict[str, Any]] = {}, {}
    if comm.rank == 0:
        joined = join_outcomes(gathered)
        order = np.argsort(joined.pop("row"), kind="stable")
        outcomes = {name: values[order] for name, values in joined.items()}
        tuned, labels = forward.task.tune(outcomes, forward.setup.labels), forward.setup.labels
        result = forward.task.metrics(outcomes, labels, {**forward.setup.settings, **tuned}), tuned
    return comm.allgather_object(result)[0]


def _outcomes(forward: Forward, feed: Feed, max_tokens: int) -> Outcomes:
    """Outcomes of this rank's rows with their row hashes; empty if it has none."""
    parts: list[Outcomes] = []
    training = forward.network.training
    forward.network.eval()
    with torch.inference_mode():
        for batch in feed.evaluation(max_tokens):
            rows = batch.rows(np.arange(len(batch)))
            parts.append({**forward.task.outcomes(forward.results(batch, max_tokens=max_tokens), rows, forward.setup), "row": batch.row})
    forward.network.train(training)
    return join_outcomes(parts) if parts else {}
