"""One way from a batch to logits and losses, shared by training and evaluation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from sparknlp_ft.tasks import Task
from sparknlp_ft.text.batching import pad
from sparknlp_ft.training.device import autocast
from sparknlp_ft.training.feed import Batch


@dataclass(frozen=True)
class Forward:
    """A network with all that turns rows into its logits.

    Attributes:
        network: A model of transformers, on ``device``.
        task: Decides the loss.
        pad_id: Token that fills up shorter rows.
        device: Where it computes.
        precision: What it computes in; weights stay float32.
    """

    network: torch.nn.Module
    task: Task
    pad_id: int
    device: torch.device
    precision: torch.dtype

    def logits(self, batch: Batch, index: np.ndarray) -> torch.Tensor:
        """Return the float32 logits of the rows numbered ``index``."""
        padded = pad([batch.inputs[i] for i in index], self.pad_id)
        tensors = {name: torch.from_numpy(values).to(self.device, non_blocking=True) for name, values in padded.items()}
        with autocast(self.device, self.precision):
            return self.network(**tensors).logits.float()

    def losses(self, batch: Batch, index: np.ndarray, *, label_smoothing: float) -> torch.Tensor:
        """Return the loss of each of the rows numbered ``index``, float32 [rows]."""
        targets = torch.from_numpy(batch.targets[index]).to(self.device, non_blocking=True)
        return self.task.loss(self.logits(batch, index), targets, label_smoothing=label_smoothing)
