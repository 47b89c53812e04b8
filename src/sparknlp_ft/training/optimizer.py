"""AdamW over one flat gradient: one allreduce, one norm, one clipping, whatever the number of parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from sparknlp_ft.config import TrainConfig
from sparknlp_ft.errors import ConfigError
from sparknlp_ft.training.active_rows import ActiveEmbedding
from sparknlp_ft.training.comm import Comm
from sparknlp_ft.training.packed.gradients import Unwritten

#: Parameters begin at multiples of this in the flat gradient (64 bytes), so that each is aligned.
ALIGNMENT = 16


@dataclass(frozen=True)
class StepStats:
    """One optimizer step: mean loss of the global batch, learning rate, and norm of the global gradient before clipping.

    ``stop`` is True on all ranks alike once one was asked to stop.
    """

    loss: float
    learning_rate: float
    gradient_norm: float
    stop: bool = False


class FlatGradients:
    """All gradients in one float32 buffer that is kept between steps; each parameter's ``grad`` is a view of it.

    Two more slots hold the loss, and whether a rank was asked to stop, so that they are summed over ranks together with the
    gradients.

    Args:
        parameters: All on one device.
        zeros: Makes the buffer, where it lies in main memory (``Comm.zeros``).
        unwritten: Parameters whose gradients are written, not added to zeros.
    """

    def __init__(
        self,
        parameters: Sequence[torch.nn.Parameter],
        zeros: Callable[[int], torch.Tensor] = torch.zeros,
        unwritten: Unwritten | None = None,
    ) -> None:
        wrong = {str(p.dtype) for p in parameters if p.dtype != torch.float32}
        if wrong:
            raise ValueError(f"parameters of type {', '.join(sorted(wrong))}: trained weights must be float32")
        padded = [-(-p.numel() // ALIGNMENT) * ALIGNMENT for p in parameters]
        device, size = parameters[0].device, sum(padded) + 2
        self.flat = zeros(size) if device.type == "cpu" else torch.zeros(size, device=device)
        self.gradients, self.loss, self.stop = self.flat[:-2], self.flat[-2], self.flat[-1]
        self.unwritten = unwritten if unwritten is not None else Unwritten([])
        written = {id(parameter) for parameter in self.unwritten.parameters}
        self._added = [self.flat[-2:]]
        start = begun = 0
        for parameter, size in zip(parameters, padded, strict=True):
            parameter.grad = self.flat[start : start + parameter.numel()].view_as(parameter)
            if id(parameter) in written:
                self._added.append(self.flat[begun:start])
                begun = start + size
            start += size
        self._added.append(self.flat[begun:start])

    def zero(self) -> None:
        """Begin a step: nothing is summed yet."""
        self.unwritten.begin()
        for part in self._added:
            part.zero_()


class Optimizer:
    """AdamW (Loshchilov and Hutter, arXiv:1711.05101) with a learning-rate schedule and clipping.

    Biases and norms (every parameter of fewer than two dimensions) are not decayed.

    Args:
        network: Its parameters that require gradients are trained.
        config: Learning rate, schedule, decay, clipping.
        total_steps: Steps of the whole run, which the schedule spans.
        zeros, unwritten: As ``FlatGradients`` takes them.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        config: TrainConfig,
        *,
        total_steps: int,
        zeros: Callable[[int], torch.Tensor] = torch.zeros,
        unwritten: Unwritten | None = None,
    ) -> None:
        self.config, self.total_steps = config, total_steps
        parameters = [p for p in network.parameters() if p.requires_grad]
        self.gradients = FlatGradients(parameters, zeros, unwritten)
        groups = [
            {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": config.weight_decay},
            {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
        ]
        self.adamw = torch.optim.AdamW([g for g in groups if g["params"]], lr=config.rate, fused=True)
        self.stop_asked: Callable[[], bool] = bool  # Of this rank; asked at each step.
        self.active = [module for module in network.modules() if isinstance(module, ActiveEmbedding)]

    def zero(self) -> None:
        self.gradients.zero()

    def add_loss(self, loss: torch.Tensor) -> None:
        """Add a share of the global batch's loss to what the step reports."""
        self.gradients.loss += loss.detach()

    def step(self, step: int, comm: Comm) -> StepStats:
        """Sum gradients over the ranks, clip, and move the weights.

        Raises:
            ConfigError: The gradient is not finite (on every rank alike, so none is left waiting).
        """
        self.gradients.unwritten.finish()
        if self.stop_asked():
            self.gradients.stop += 1
        comm.allreduce_sum_(self.gradients.flat)
        norm = float(torch.linalg.vector_norm(self.gradients.gradients))
        if not math.isfinite(norm):
            raise ConfigError(
                f"train.learning_rate: {self.config.rate} made the gradient of step {step} {norm}; "
                "take a smaller one, or a longer train.warmup_fraction"
            )
        if norm > self.config.max_grad_norm:
            self.gradients.gradients.mul_(self.config.max_grad_norm / norm)
        rate = learning_rate(step, self.total_steps, self.config)
        for group in self.adamw.param_groups:
            group["lr"] = rate
        self.adamw.step()
        for embedding in self.active:
            embedding.decay(1.0 - rate * self.config.weight_decay)
        return StepStats(float(self.gradients.loss), rate, norm, stop=bool(self.gradients.stop))


def learning_rate(step: int, total_steps: int, config: TrainConfig) -> float:
    """Learning rate of a step (from 0): linear warm-up, then linear or cosine decay to zero at the end, or constant."""
    warmup = math.ceil(config.warmup_fraction * total_steps)
    if step < warmup:
        return config.rate * (step + 1) / warmup
    if config.schedule == "constant":
        return config.rate
    left = (total_steps - step) / max(total_steps - warmup, 1)
    return config.rate * (left if config.schedule == "linear" else 0.5 * (1 - math.cos(math.pi * left)))
