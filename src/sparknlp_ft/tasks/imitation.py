"""What a task family has besides ``Task`` if a student can learn from a teacher's results (Hinton et al., arXiv:1503.02531)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np

from sparknlp_ft.tasks.task import Rows, Setup

if TYPE_CHECKING:
    import torch


class Imitation(ABC):
    """A family whose students learn what their teacher says of a row, labelled or not."""

    def lessons(self, results: np.ndarray, setup: Setup) -> np.ndarray:
        """Return what a student is to learn of a teacher's results, float32 [rows, values]."""
        return results.reshape(len(results), -1).astype(np.float32)

    @abstractmethod
    def imitation_loss(self, output: torch.Tensor, rows: Rows, setup: Setup, *, temperature: float) -> torch.Tensor:
        """Return how far a student is from its teacher on each row (``rows.lessons``), float32 [rows]; 0 where they agree.

        Args:
            output: What ``forward`` returned in training.
            rows: The rows; they need no targets.
            setup: The student's.
            temperature: What scores are softened by; gradients stay of one size whatever it is.
        """


def taught(rows: Rows, like: torch.Tensor) -> torch.Tensor:
    """Return a teacher's lessons of rows as a tensor beside the student's output."""
    import torch

    assert rows.lessons is not None
    return torch.from_numpy(np.ascontiguousarray(rows.lessons)).to(like.device, non_blocking=True)
