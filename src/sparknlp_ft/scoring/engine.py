"""From texts to results on one device: what a scoring worker holds one of.

The same tokenisation, windows and batches as in training (``text.encoder``, ``text.batching``); here they run over a
large window of rows at once, so that batches hold rows of like lengths and little is padded. ``Engine`` is the seam:
another runtime (ONNX, OpenVINO) keeps the protocol and gets a loader of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from sparknlp_ft.models.device import pick_device, pick_dtype
from sparknlp_ft.models.folder import LoadedModel, load_model
from sparknlp_ft.scoring.faults import within_memory
from sparknlp_ft.tasks import Rows, Setup, Task
from sparknlp_ft.text.batching import by_token_budget, pad
from sparknlp_ft.text.encoder import Inputs

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Scored:
    """What an engine returns, row by row in the order of the texts."""

    results: np.ndarray  #: Results as the task makes them: [rows, …], or objects.
    truncated: np.ndarray  #: bool [rows]: the text had more tokens than the model was shown
    tokens: np.ndarray  #: int64 [rows]: tokens of the row's shortest text, special ones aside; 0: nothing to score
    offsets: list[np.ndarray] | None = None  #: Characters of each token of the last text, where the task needs them.


class Engine(Protocol):
    """Texts in, results out."""

    @property
    def task(self) -> Task: ...

    @property
    def setup(self) -> Setup: ...

    def predict(self, texts: Sequence[str], pairs: Sequence[str] | None = None, *, rows: Sequence[int] | None = None) -> Scored:
        """Return the results of texts, or of pairs of texts.

        A row's result depends on its own text alone, up to rounding: not on the rows beside it.

        Args:
            texts: First or only text of each row.
            pairs: Second text of each row, for models trained on pairs.
            rows: Hash of each row's key, which seeds random windows; None: no row has one.
        """


@dataclass(frozen=True)
class TorchEngine:
    """The engine on torch: weights held in the device's fast format, batches under a token budget."""

    model: LoadedModel
    device: torch.device
    dtype: torch.dtype
    batch_tokens: int

    @property
    def task(self) -> Task:
        return self.model.task

    @property
    def setup(self) -> Setup:
        return self.model.setup

    def predict(self, texts: Sequence[str], pairs: Sequence[str] | None = None, *, rows: Sequence[int] | None = None) -> Scored:
        encoder, task = self.model.encoder, self.task
        columns = [texts] if pairs is None else [texts, pairs]
        offsets = None
        if task.needs_offsets:
            tokens = encoder.tokenize_with_offsets(columns[-1])
            offsets = [one.offsets for one in tokens]
            ids = [*(encoder.tokenize(column) for column in columns[:-1]), [one.ids for one in tokens]]
        else:
            ids = [encoder.tokenize(column) for column in columns]
        hashes = [0] * len(texts) if rows is None else rows
        seed = self.model.meta.seed or 0
        windows = [encoder.windows(*row, seed=(seed, key)) for *row, key in zip(*ids, hashes, strict=True)]
        truncated = np.asarray([row[0].truncated for row in windows], dtype=bool)
        shortest = np.asarray([min(map(len, row)) for row in zip(*ids, strict=True)], dtype=np.int64)
        return Scored(self.results(windows), truncated, shortest, offsets)

    def results(self, windows: list[list[Inputs]]) -> np.ndarray:
        """Return the result of each row's windows, in order."""
        flat = [window for row in windows for window in row]
        return self.task.results(self.outputs(flat), Rows(windows), self.setup)

    def logits(self, inputs: Sequence[Inputs]) -> np.ndarray:
        """Return float32 outputs of one shape, [windows, …], in the order of the inputs."""
        outputs = self.outputs(inputs)
        return np.stack(outputs) if outputs else np.zeros((0, len(self.setup.labels)), dtype=np.float32)

    def outputs(self, inputs: Sequence[Inputs]) -> list[np.ndarray]:
        """Return what the network says of each window, float32, in the order of the inputs."""
        import torch

        batches = by_token_budget([len(row) for row in inputs], self.batch_tokens)
        # Results stay on the device until all batches are queued: a copy per batch would make a GPU wait for each.
        with torch.inference_mode():
            ran = [part for batch in batches for part in within_memory(batch, lambda rows: self._forward([inputs[i] for i in rows]))]
            copied = [part.float().cpu().numpy() for _, part in ran]
        result: list[np.ndarray] = [_NOTHING] * len(inputs)
        for (batch, _), values in zip(ran, copied, strict=True):
            for i, value in zip(batch, values, strict=True):
                result[i] = value
        return result

    def _forward(self, windows: Sequence[Inputs]) -> torch.Tensor:
        import torch

        tensors = {name: torch.from_numpy(values).to(self.device) for name, values in pad(windows, self.model.encoder.pad_id).items()}
        rows = Rows([[window] for window in windows])
        return self.task.read(self.task.forward(self.model.network, tensors, rows, self.setup, training=False))


_NOTHING = np.zeros(0, dtype=np.float32)


def load_engine(
    model_dir: str | Path,
    *,
    batch_tokens: int = 4096,
    precision: str = "auto",
    threads: int | None = None,
    device: str | None = None,
    attention: str | None = None,
) -> TorchEngine:
    """Load a model folder for scoring.

    Args:
        model_dir: Folder that ``save_model`` wrote.
        batch_tokens: Padded tokens per forward pass.
        precision: 'auto', 'bfloat16' or 'float32'.
        threads: Threads of this process for torch; None leaves them. Spark sets OMP_NUM_THREADS=1 in its workers, so one
            that should use more says so here.
        device: torch device; None: the first CUDA device if there is one, else the CPU.
        attention: Attention implementation of transformers ('eager', 'sdpa'); None: its own choice for the architecture.

    Raises:
        ModelError: The folder cannot be used.
    """
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    place = pick_device(device)
    dtype = pick_dtype(precision, place)
    model = load_model(model_dir, attention=attention, dtype=dtype)
    model.network.to(place)
    return TorchEngine(model, place, dtype, batch_tokens)
