"""What is measured of a way while it trains, in the process that trains. Every way is measured by this one."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import torch

#: Environment variable that holds the time at which the benchmark started the way.
STARTED = "BENCH_TRAIN_STARTED"


class Meter:
    """Time from the first batch asked for to the end of the last step of each epoch, losses, and padded tokens of each step.

    Attributes:
        seconds: Of the epochs, evaluation left out.
        first_step: Seconds from the start of the process, imports and launching included, to the end of the first step.
        losses: Mean loss of each step, as this process sees it.
        tokens: Tokens that went through the network's layers in each step, padding included.
        waiting: Seconds within the epochs by what was waited for.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.first_step: float | None = None
        self.losses: list[float] = []
        self.tokens: list[int] = []
        self.waiting: dict[str, float] = {}
        self._began: float | None = None
        self._ended = 0.0
        self._passed = 0

    def watch(self, network: Any) -> None:
        """Count the tokens that a network is given in training mode."""
        network.get_input_embeddings().register_forward_pre_hook(self._count)

    def spare(self, tokens: int) -> None:
        """Take back tokens of padding that the network was given and its layers did not compute on."""
        self._passed -= tokens

    def begin_epoch(self) -> None:
        """Say that the first batch of an epoch is asked for."""
        self._began = time.perf_counter()

    def step(self, loss: float) -> None:
        """Say that a step is done."""
        self._ended = time.perf_counter()
        if self.first_step is None:
            self.first_step = time.time() - float(os.environ[STARTED])
        self.losses.append(loss)
        self.tokens.append(self._passed)
        self._passed = 0

    def end_epoch(self) -> None:
        """Say that the steps of an epoch are over."""
        if self._began is not None:
            self.seconds += self._ended - self._began
            self._began = None

    def wait(self, what: str, seconds: float) -> None:
        """Add to what was waited for; outside of epochs nothing counts."""
        if self._began is not None:
            self.waiting[what] = self.waiting.get(what, 0.0) + seconds

    def write(self, folder: Path, rank: int, validation: dict[str, float]) -> None:
        """Leave what was measured for the benchmark."""
        found = {
            "seconds": self.seconds,
            "first_step": self.first_step,
            "losses": [round(loss, 5) for loss in self.losses],
            "tokens": self.tokens,
            "waiting": self.waiting,
            "validation": validation,
            "threads": torch.get_num_threads(),
        }
        (folder / f"rank-{rank}.json").write_text(json.dumps(found), encoding="utf-8")

    def _count(self, module: torch.nn.Module, arguments: tuple[torch.Tensor, ...]) -> None:
        if module.training:
            self._passed += arguments[0].numel()
