"""From texts to logits on one device: what a scoring worker holds one of.

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
from sparknlp_ft.tasks import Task
from sparknlp_ft.text.batching import by_token_budget, pad
from sparknlp_ft.text.encoder import Inputs

if TYPE_CHECKING:
    import torch


#: Attention implementation; which one is faster depends on the machine (bench/scoring.py has both).
ATTENTION = "sdpa"


@dataclass(frozen=True)
class Logits:
    """What an engine returns, row by row in the order of the texts."""

    values: np.ndarray  #: float32 [rows, outputs]
    truncated: np.ndarray  #: bool [rows]: the text had more tokens than the model was shown
    tokens: np.ndarray  #: int64 [rows]: tokens of the row's shortest text, special ones aside; 0: nothing to score


class Engine(Protocol):
    """Texts in, logits out."""

    @property
    def task(self) -> Task: ...

    @property
    def labels(self) -> tuple[str, ...]: ...

    def predict(self, texts: Sequence[str], pairs: Sequence[str] | None = None, *, rows: Sequence[int] | None = None) -> Logits:
        """Return the logits of texts, or of pairs of texts.

        A row's logits depend on its own text alone, up to rounding: not on the rows beside it.

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
    def labels(self) -> tuple[str, ...]:
        return self.model.labels

    def predict(self, texts: Sequence[str], pairs: Sequence[str] | None = None, *, rows: Sequence[int] | None = None) -> Logits:
        encoder = self.model.encoder
        first = encoder.tokenize(texts)
        second = [None] * len(first) if pairs is None else encoder.tokenize(pairs)
        hashes = [0] * len(first) if rows is None else rows
        seed = int(self.model.meta.extra.get("seed", 0))
        inputs = [encoder.assemble(a, b, seed=(seed, row)) for a, b, row in zip(first, second, hashes, strict=True)]
        truncated = np.asarray([row.truncated for row in inputs], dtype=bool)
        tokens = np.asarray([len(a) if b is None else min(len(a), len(b)) for a, b in zip(first, second, strict=True)], dtype=np.int64)
        return Logits(self.logits(inputs), truncated, tokens)

    def logits(self, inputs: Sequence[Inputs]) -> np.ndarray:
        """Return float32 logits of shape [rows, outputs], in the order of the inputs."""
        import torch

        if not inputs:
            return np.zeros((0, len(self.labels)), dtype=np.float32)
        batches = by_token_budget([len(row) for row in inputs], self.batch_tokens)
        # Results stay on the device until all batches are queued: a copy per batch would make a GPU wait for each.
        with torch.inference_mode():
            parts = [self._forward([inputs[i] for i in batch]) for batch in batches]
            joined = torch.cat(parts).float().cpu().numpy()
        result = np.empty_like(joined)
        result[np.concatenate(batches)] = joined
        return result

    def _forward(self, rows: Sequence[Inputs]) -> torch.Tensor:
        import torch

        batch = {name: torch.from_numpy(values).to(self.device) for name, values in pad(rows, self.model.encoder.pad_id).items()}
        return self.model.network(**batch).logits


def load_engine(
    model_dir: str | Path,
    *,
    batch_tokens: int = 4096,
    precision: str = "auto",
    threads: int | None = None,
    device: str | None = None,
    attention: str = ATTENTION,
) -> TorchEngine:
    """Load a model folder for scoring.

    Args:
        model_dir: Folder that ``save_model`` wrote.
        batch_tokens: Padded tokens per forward pass.
        precision: 'auto', 'bfloat16' or 'float32'.
        threads: Threads of this process for torch; None leaves them. Spark sets OMP_NUM_THREADS=1 in its workers, so one
            that should use more says so here.
        device: torch device; None: the first CUDA device if there is one, else the CPU.
        attention: Attention implementation of transformers.

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
