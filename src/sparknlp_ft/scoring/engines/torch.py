"""The engine on torch: weights held in one number format, on the device that the worker was given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sparknlp_ft.models.device import pick_device, pick_dtype
from sparknlp_ft.models.first_token import answer_by_first
from sparknlp_ft.models.folder import LoadedModel, load_model
from sparknlp_ft.scoring.engines.network import NetworkEngine
from sparknlp_ft.scoring.engines.protocol import Batch
from sparknlp_ft.scoring.engines.settings import Settings
from sparknlp_ft.scoring.faults import within_memory
from sparknlp_ft.tasks import Rows

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class TorchRuntime:
    """A network of transformers on a device."""

    model: LoadedModel
    device: torch.device
    dtype: torch.dtype

    def outputs(self, batches: Iterator[Batch]) -> list[np.ndarray]:
        import torch

        # Results stay on the device until all batches are queued: a copy per batch would make a GPU wait for each.
        with torch.inference_mode():
            parts = [self._fitting(batch) for batch in batches]
            return [part.float().cpu().numpy() for part in parts]

    def _fitting(self, batch: Batch) -> torch.Tensor:
        """Return the outputs of a batch, in as many passes as memory wants."""
        import torch

        arrays, rows = batch
        passes = within_memory(np.arange(len(rows.windows)), lambda index: self._forward(_piece(arrays, rows, index)))
        return passes[0][1] if len(passes) == 1 else torch.cat([output for _, output in passes])

    def _forward(self, batch: Batch) -> torch.Tensor:
        import torch

        arrays, rows = batch
        tensors = {name: torch.from_numpy(values).to(self.device) for name, values in arrays.items()}
        return self.model.task.read(self.model.task.forward(self.model.network, tensors, rows, self.model.setup, training=False))


def _piece(arrays: Mapping[str, np.ndarray], rows: Rows, index: np.ndarray) -> Batch:
    """Return the windows of a batch that are numbered ``index``, which follow each other."""
    if len(index) == len(rows.windows):
        return arrays, rows
    some = slice(int(index[0]), int(index[-1]) + 1)
    return {name: values[some] for name, values in arrays.items()}, Rows(rows.windows[some])


class TorchEngine(NetworkEngine):
    """A network of transformers that scores texts.

    Args:
        model: The loaded model.
        device: Where its weights are.
        dtype: What they are held in.
        batch_tokens: Padded tokens per forward pass.
    """

    def __init__(self, model: LoadedModel, device: torch.device, dtype: torch.dtype, batch_tokens: int) -> None:
        super().__init__(model.task, model.setup, model.meta, TorchRuntime(model, device, dtype), batch_tokens)

    @property
    def model(self) -> LoadedModel:
        assert isinstance(self.runtime, TorchRuntime)
        return self.runtime.model


def load(model_dir: str | Path, settings: Settings) -> TorchEngine:
    """Load a model folder.

    Raises:
        ModelError: The folder cannot be used.
    """
    import torch

    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    place = pick_device(settings.device)
    dtype = pick_dtype(settings.precision, place)
    model = load_model(model_dir, attention=settings.attention, dtype=dtype)
    model.network.to(place)
    answer_by_first(model.network)
    return TorchEngine(model, place, dtype, settings.tokens_on(place.type))
