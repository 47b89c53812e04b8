"""Gradients that a step's first pass writes and later passes add to: to zero 40 MB and to add to zeros takes twice as long."""

from __future__ import annotations

from collections.abc import Sequence

import torch


class Unwritten:
    """Parameters whose gradient of this step nobody has written yet.

    Args:
        parameters: Those whose gradients are handed in by ``give``, and by nobody else.
    """

    def __init__(self, parameters: Sequence[torch.Tensor]) -> None:
        self.parameters = list(parameters)
        self._left: set[int] = set()

    def begin(self) -> None:
        """Begin a step: what the gradients hold is of the one before."""
        self._left = {id(parameter) for parameter in self.parameters}

    def give(self, parameter: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor | None:
        """Write or add a gradient of any precision; return it for autograd where the parameter has none yet to write to."""
        if not parameter.requires_grad:
            return None
        if parameter.grad is None:
            return gradient.to(parameter.dtype)
        if id(parameter) in self._left:
            self._left.discard(id(parameter))
            parameter.grad.copy_(gradient)
        else:
            parameter.grad.add_(gradient)
        return None

    def finish(self) -> None:
        """Zero what no pass has written: a rank may have no row at a step."""
        for parameter in self.parameters:
            if id(parameter) in self._left and parameter.grad is not None:
                parameter.grad.zero_()
        self._left = set()
