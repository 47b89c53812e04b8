"""Which rows of which lane make up a global batch: decided from the manifest's row counts alone.

The rows of all lanes are merged into one sequence in which each lane is spread evenly (its i-th of n rows sits at
(i + ½)/n), and global batch k is rows k·B … (k+1)·B of it. So every batch but the last has exactly B rows, an epoch has
ceil(N/B) steps, and no rank needs to ask another: the plan does not depend on the number of ranks.

Batches are formed a pool of steps at a time: within a pool each lane sorts its rows by length and deals them out from
short to long, all lanes alike; the steps are then visited in an order of their own that is drawn for each pool. The
rows of one batch so have like lengths, whichever lanes and ranks they come from, and little of a batch is padding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

#: Steps whose rows are sorted by length together. More: less padding; fewer: more random batches.
POOL_STEPS = 64


@dataclass(frozen=True)
class Pool:
    """A run of global steps.

    Attributes:
        first_step: Number of its first step within the epoch.
        counts: Rows that each lane gives to each batch, int [batches, lanes]; batches in order of length.
        order: Which batch is taken at the pool's first, second, … step; a permutation of the batches.
    """

    first_step: int
    counts: np.ndarray
    order: np.ndarray


@dataclass(frozen=True)
class Dealing:
    """The steps of an epoch over lanes of the given sizes."""

    lane_rows: Sequence[int]
    batch_size: int

    @property
    def rows(self) -> int:
        return sum(self.lane_rows)

    @property
    def steps(self) -> int:
        return -(-self.rows // self.batch_size)

    def pools(self, *, seed: int, epoch: int) -> Iterator[Pool]:
        """Yield the pools of an epoch; only the order within each depends on ``seed`` and ``epoch``."""
        given = np.zeros(len(self.lane_rows), dtype=np.int64)
        for first in range(0, self.steps, POOL_STEPS):
            counts = self._counts(given)
            given += counts.sum(axis=0)
            order = np.random.default_rng([abs(seed), epoch, first]).permutation(len(counts))
            yield Pool(first, counts, order)

    def _counts(self, given: np.ndarray) -> np.ndarray:
        """Rows of each lane in each batch of the pool that begins after ``given`` rows of each lane."""
        room = POOL_STEPS * self.batch_size
        times, lanes = [], []
        for lane, rows in enumerate(self.lane_rows):
            # An even spread cannot give a lane more than its share and one row for each other lane.
            share = min(rows - given[lane], room * rows // self.rows + len(self.lane_rows) + 2)
            times.append((given[lane] + np.arange(share) + 0.5) / max(rows, 1))
            lanes.append(np.full(share, lane))
        sequence = np.concatenate(lanes)[np.argsort(np.concatenate(times), kind="stable")][:room]
        batch = np.arange(len(sequence)) // self.batch_size
        counts = np.zeros((batch[-1] + 1, len(self.lane_rows)), dtype=np.int64)
        np.add.at(counts, (batch, sequence), 1)
        return counts
