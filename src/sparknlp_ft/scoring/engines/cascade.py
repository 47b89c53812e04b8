"""Two engines in a row: a quick one decides what it decides clearly, a sure one the rest.

What a coarser number format changes is an output by a little: it turns the decisions that were narrow, and these can be seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sparknlp_ft.scoring.engines.network import NetworkEngine
from sparknlp_ft.scoring.engines.protocol import Ready, Scored
from sparknlp_ft.tasks import Setup, Task
from sparknlp_ft.text.packed import PackedWindows


@dataclass(frozen=True)
class Cascade:
    """An engine of two of the same model.

    Attributes:
        quick: Computes all rows.
        sure: Computes those anew that have, by the quick one, a margin (``Task.margins``) below
        margin: this.
    """

    quick: NetworkEngine
    sure: NetworkEngine
    margin: float

    @property
    def task(self) -> Task:
        return self.sure.task

    @property
    def setup(self) -> Setup:
        return self.sure.setup

    def predict(self, texts: Sequence[str], pairs: Sequence[str] | None = None, *, rows: Sequence[int] | None = None) -> Scored:
        return self.compute(self.ready(texts, pairs, rows=rows))

    def ready(self, texts: Sequence[str], pairs: Sequence[str] | None = None, *, rows: Sequence[int] | None = None) -> Ready:
        return self.sure.ready(texts, pairs, rows=rows)

    def compute(self, ready: Ready) -> Scored:
        return Scored(self._results(ready.windows), ready.windows.truncated, ready.tokens, ready.offsets)

    def _results(self, windows: PackedWindows) -> np.ndarray:
        results = self.quick.results(windows)
        margins = self.task.margins(results, self.setup)
        assert margins is not None, f"task {self.task.name} has no margins"
        deferred = np.flatnonzero(margins < self.margin)
        if len(deferred):
            results = results.copy()
            results[deferred] = self.sure.results(windows.of_rows(deferred))
        return results
