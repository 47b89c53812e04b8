"""Exact evaluation: every row of a split once, the same metrics on any number of ranks."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from sparknlp_ft.tasks.outcomes import Outcomes, join_outcomes
from sparknlp_ft.tasks.tally import Tally, handed_on, ordered, packed, share_of, unpacked
from sparknlp_ft.tasks.task import Setup, Task
from sparknlp_ft.training.comm import Comm
from sparknlp_ft.training.feed import Feed
from sparknlp_ft.training.forward import Forward


def evaluate(forward: Forward, feed: Feed, comm: Comm, *, max_tokens: int) -> tuple[dict[str, float], dict[str, Any]]:
    """Return the metrics of a split, and what the task tunes on it (thresholds); both empty if it has no rows.

    Each rank evaluates its lanes and sums up what it finds. Rank 0 is sent the sums, and before them what the task tunes by, in
    the order of the row hashes. Its result counts, so that ranks cannot come to different decisions.

    Args:
        forward: The network.
        feed: The split.
        comm: The ranks.
        max_tokens: Padded tokens of a batch.
    """
    if not feed.rows:
        return {}, {}
    task, labels = forward.task, forward.setup.labels
    own = _evaluated(forward, feed, max_tokens)
    shown = comm.gather(packed(own.shown()))
    tuned = comm.allgather_object(None if shown is None or not task.tuned_by else task.tune(_joined(shown), labels))[0] or {}
    counted = comm.gather(packed(own.counted(tuned)))
    return comm.allgather_object(None if counted is None else task.metrics(_joined(counted), labels))[0], tuned


class _Own:
    """What one rank found of its rows, with their hashes as ``row``: what the task tunes by, and the rest in few entries.

    Where counting waits for what is tuned, the rank keeps its own rows' outcomes until then.
    """

    def __init__(self, task: Task, setup: Setup, rows: int) -> None:
        self.task, self.setup, self.rows = task, setup, rows
        self._shown, self._waiting, self._tally = list[Outcomes](), list[Outcomes](), Tally(task)

    def add(self, outcomes: Outcomes) -> None:
        """Add the outcomes of some rows, with the rows' hashes as ``row``."""
        if self.task.tuned_by:
            self._shown.append(share_of({name: outcomes[name] for name in (*self.task.tuned_by, "row")}, self.rows))
        if self.task.counts_tuned:
            self._waiting.append(outcomes)
        else:
            self._count(outcomes, {})

    def shown(self) -> Outcomes:
        """Return what the task tunes by, with the rows' hashes; empty if this rank has no rows."""
        return join_outcomes(self._shown) if self._shown else {}

    def counted(self, tuned: dict[str, Any]) -> Outcomes:
        """Return what metrics are made of; empty if this rank has no rows."""
        for outcomes in self._waiting:
            self._count(outcomes, tuned)
        return self._tally.entries()

    def _count(self, outcomes: Outcomes, tuned: dict[str, Any]) -> None:
        counted = self.task.counted(outcomes, self.setup.labels, {**self.setup.settings, **tuned})
        self._tally.add(handed_on(self.task, counted, outcomes["row"], rows=self.rows))


def _evaluated(forward: Forward, feed: Feed, max_tokens: int) -> _Own:
    own = _Own(forward.task, forward.setup, feed.rows)
    training = forward.network.training
    forward.network.eval()
    with torch.inference_mode():
        for batch in feed.evaluation(max_tokens):
            rows = batch.rows(np.arange(len(batch)))
            own.add({**forward.task.outcomes(forward.results(batch, max_tokens=max_tokens), rows, forward.setup), "row": batch.row})
    forward.network.train(training)
    return own


def _joined(contents: list[bytes]) -> Outcomes:
    """Return the outcomes of all ranks, those of rows in an order that does not depend on the ranks."""
    joined = ordered(join_outcomes([part for part in map(unpacked, contents) if part]))
    joined.pop("row", None)
    return joined
