"""Two engines in a row: a quick one decides what it decides clearly, a sure one the rest.

What a coarser number format changes is an output by a little: it turns the decisions that were narrow, and these can be seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparknlp_ft.scoring.engines.network import NetworkEngine
from sparknlp_ft.text.packed import PackedWindows


@dataclass(frozen=True)
class Cascade(NetworkEngine):
    """The sure engine of two of the same model, which is asked for those rows alone that the other one decides narrowly.

    Attributes:
        quick: Computes all rows.
        margin: Rows that have, by the quick one, a smaller margin (``Task.margins``) are computed anew.
    """

    quick: NetworkEngine
    margin: float

    @classmethod
    def of(cls, quick: NetworkEngine, sure: NetworkEngine, margin: float) -> Cascade:
        """Put a quick engine before a sure one."""
        return cls(sure.task, sure.setup, sure.meta, sure.runtime, sure.batch_tokens, quick, margin)

    def results(self, windows: PackedWindows) -> np.ndarray:
        results = self.quick.results(windows)
        margins = self.task.margins(results, self.setup)
        assert margins is not None, f"task {self.task.name} has no margins"
        deferred = np.flatnonzero(margins < self.margin)
        if len(deferred):
            results = results.copy()
            results[deferred] = super().results(windows.of_rows(deferred))
        return results
