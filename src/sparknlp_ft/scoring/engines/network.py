"""From texts to results, whatever computes: tokens, windows and batches over a large window of rows at once.

The same tokenisation, windows and batches as in training (``text``); batches hold rows of like lengths, so that little is
padded, and no Python object is made per row on the way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sparknlp_ft.models.meta import ModelMeta
from sparknlp_ft.scoring.engines.protocol import Batch, Ready, Runtime, Scored
from sparknlp_ft.tasks import Rows, Setup, Task
from sparknlp_ft.text.batching import by_token_budget, pad_flat
from sparknlp_ft.text.encoder import TextEncoder
from sparknlp_ft.text.inputs import Inputs
from sparknlp_ft.text.packed import PackedWindows, Ragged
from sparknlp_ft.text.packing import pack_windows


@dataclass(frozen=True)
class NetworkEngine:
    """An engine that runs batches under a token budget through a runtime."""

    task: Task
    setup: Setup
    meta: ModelMeta
    runtime: Runtime
    batch_tokens: int

    @property
    def encoder(self) -> TextEncoder:
        assert self.setup.encoder is not None
        return self.setup.encoder

    def predict(self, texts: Sequence[str], pairs: Sequence[str] | None = None, *, rows: Sequence[int] | None = None) -> Scored:
        return self.compute(self.ready(texts, pairs, rows=rows))

    def ready(self, texts: Sequence[str], pairs: Sequence[str] | None = None, *, rows: Sequence[int] | None = None) -> Ready:
        columns = [texts] if pairs is None else [texts, pairs]
        offsets = None
        if self.task.needs_offsets:
            tokens = self.encoder.tokenize_with_offsets(columns[-1])
            offsets = [one.offsets for one in tokens]
            ids = [*map(self.encoder.tokenize_all, columns[:-1]), Ragged.of([one.ids for one in tokens])]
        else:
            ids = list(map(self.encoder.tokenize_all, columns))
        seed = self.meta.seed or 0
        windows = pack_windows(self.encoder, *ids, seeds=[(seed, key) for key in rows or [0] * len(texts)])
        return Ready(windows, np.minimum.reduce([one.lengths for one in ids]), offsets)

    def compute(self, ready: Ready) -> Scored:
        return Scored(self.results(ready.windows), ready.windows.truncated, ready.tokens, ready.offsets)

    def results(self, windows: PackedWindows) -> np.ndarray:
        """Return the result of each row's windows, in order."""
        return self.task.results(self.outputs(windows), Rows(windows), self.setup)

    def logits(self, inputs: Sequence[Inputs]) -> np.ndarray:
        """Return float32 outputs of one shape, [windows, …], of windows that were made one by one."""
        return np.asarray(self.outputs(PackedWindows.of(inputs)))

    def outputs(self, windows: PackedWindows) -> np.ndarray | list[np.ndarray]:
        """Return what the network says of each window, float32, in the order of the windows; in one array where all have one shape."""
        batches = by_token_budget(windows.ids.lengths, self.batch_tokens)
        if not batches:
            return []
        parts = self.runtime.outputs(self._padded(windows, batches))
        order = np.concatenate(batches)
        if len({part.shape[1:] for part in parts}) == 1:
            result = np.empty((len(order), *parts[0].shape[1:]), dtype=np.float32)
            result[order] = np.concatenate(parts)
            return result
        several = [_NOTHING] * len(order)
        for batch, part in zip(batches, parts, strict=True):
            for number, value in zip(batch.tolist(), part, strict=True):
                several[number] = value
        return several

    def _padded(self, windows: PackedWindows, batches: list[np.ndarray]) -> Iterator[Batch]:
        """Yield the batches; the windows are put into the batches' order once, so that each batch is a piece of it."""
        order = np.concatenate(batches)
        ids = windows.ids.take(order)
        types = None if windows.types is None else Ragged(windows.types, windows.ids.lengths).take(order).values
        ends = np.cumsum([0, *ids.lengths])
        upto = np.cumsum([0, *map(len, batches)])
        for batch, start, end in zip(batches, upto[:-1], upto[1:], strict=True):
            tokens = slice(ends[start], ends[end])
            some = None if types is None else types[tokens]
            yield pad_flat(ids.values[tokens], some, ids.lengths[start:end], self.encoder.pad_id), Rows(windows.alone(batch))


_NOTHING = np.zeros(0, dtype=np.float32)
