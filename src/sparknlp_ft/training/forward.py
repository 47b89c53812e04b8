"""One way from a batch to outputs and losses, shared by training and evaluation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from sparknlp_ft.tasks import Rows, Setup, Task
from sparknlp_ft.tasks.imitation import Imitation
from sparknlp_ft.text.batching import by_token_budget, pad
from sparknlp_ft.training.device import autocast
from sparknlp_ft.training.feed import Batch


@dataclass(frozen=True)
class Forward:
    """A network with all that turns rows into its outputs.

    Attributes:
        network: A model of transformers, on ``device``.
        task: Decides how the network is run, and the loss.
        setup: Labels, settings and encoder of the model.
        device: Where it computes.
        precision: What it computes in; weights stay float32.
        temperature: What a teacher's scores are softened by, where there is a teacher.
    """

    network: torch.nn.Module
    task: Task
    setup: Setup
    device: torch.device
    precision: torch.dtype
    temperature: float = 1.0

    def output(self, rows: Rows) -> torch.Tensor:
        """Return what the network says of each window, float32 [windows, …]."""
        assert self.setup.encoder is not None
        padded = pad([window for windows in rows.windows for window in windows], self.setup.encoder.pad_id)
        tensors = {name: torch.from_numpy(values).to(self.device, non_blocking=True) for name, values in padded.items()}
        with autocast(self.device, self.precision):
            return self.task.forward(self.network, tensors, rows, self.setup, training=self.network.training)

    def losses(self, batch: Batch, index: np.ndarray) -> torch.Tensor:
        """Return the loss of each of the rows numbered ``index``, float32 [rows]."""
        rows = batch.rows(index)
        if rows.lessons is not None:
            assert isinstance(self.task, Imitation)
            return self.task.imitation_loss(self.output(rows), rows, self.setup, temperature=self.temperature)
        return self.task.loss(self.output(rows), rows, self.setup)

    def results(self, batch: Batch, *, max_tokens: int | None = None) -> np.ndarray:
        """Return the result of each row of a batch.

        Args:
            batch: The rows.
            max_tokens: Padded tokens of one pass; a row with more of them in its windows takes several.
        """
        rows = batch.rows(np.arange(len(batch)))
        flat = [window for windows in rows.windows for window in windows]
        lengths = [len(window) for window in flat]
        if max_tokens is None or len(flat) * max(lengths, default=0) <= max_tokens:
            outputs = self._read(rows)
        else:
            outputs = [np.empty(0)] * len(flat)
            for index in by_token_budget(lengths, max_tokens):
                for i, output in zip(index, self._read(Rows([[flat[i]] for i in index])), strict=True):
                    outputs[i] = output
        return self.task.results(outputs, rows, self.setup)

    def _read(self, rows: Rows) -> list[np.ndarray]:
        return list(self.task.read(self.output(rows)).float().cpu().numpy())
