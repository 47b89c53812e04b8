"""Checkpoints: all that is needed to go on as if nothing had happened, whole or not at all.

``checkpoints/N/state.safetensors`` holds weights and AdamW's moments; its marker how far the run had come, what run it was,
and the digest of the first. Nothing else is needed: the data order and the random numbers of dropout follow from (seed,
epoch, step, rank), the learning rate from the step. A checkpoint does not depend on the number of ranks. The one before is
kept: where the last is damaged, that serves.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from sparknlp_ft.errors import DataError, LaunchError
from sparknlp_ft.progress import log
from sparknlp_ft.training.loop import Progress
from sparknlp_ft.training.optimizer import Optimizer
from sparknlp_ft.training.run_folder import RunFolder

STATE = "state.safetensors"
MOMENTS = ("exp_avg", "exp_avg_sq")

#: Checkpoints that are kept.
KEPT = 2


class Checkpoints:
    """Writes checkpoints beside the training (rank 0 alone): a copy is taken in memory, and a thread writes it.

    Args:
        run: The run's folder.
        deciding: What must be equal for a run to go on from here.
    """

    def __init__(self, run: RunFolder, deciding: Mapping[str, Any]) -> None:
        self.run, self.deciding = run, dict(deciding)
        self._writer: Future[None] | None = None
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")

    @property
    def busy(self) -> bool:
        """Whether one is still being written."""
        return self._writer is not None and not self._writer.done()

    def save(self, network: torch.nn.Module, optimizer: Optimizer, progress: Progress) -> None:
        """Take a checkpoint; waits only where the one before is not written yet.

        Raises:
            LaunchError: The one before could not be written.
        """
        self.finish()
        state = {name: tensor.detach().to("cpu", copy=True) for name, tensor in _tensors(network, optimizer).items()}
        best_score = None if progress.best_score == float("-inf") else progress.best_score
        values = {
            "deciding": self.deciding,
            "progress": {**asdict(progress), "best_score": best_score},
            "decay": [embedding.pending_decay for embedding in optimizer.active],
        }
        self._writer = self._threads.submit(self._write, f"{progress.epochs:06d}-{progress.step:09d}", state, values)

    def finish(self) -> None:
        """Wait until all is written.

        Raises:
            LaunchError: It could not be.
        """
        if self._writer is not None:
            try:
                self._writer.result()
            except OSError as error:
                raise LaunchError(f"launch.run_dir: no checkpoint can be written to {self.run.address!r}: {error}") from error
            self._writer = None

    def _write(self, name: str, state: dict[str, torch.Tensor], values: dict[str, Any]) -> None:
        with tempfile.TemporaryDirectory(prefix="sparknlp_ft-checkpoint-") as scratch:
            save_file(state, Path(scratch) / STATE)
            self.run.checkpoints.publish(name, scratch, values)
        for older in _numbers(self.run)[KEPT:]:
            self.run.checkpoints.withdraw(older)


def find_checkpoint(run: RunFolder, *, deciding: Mapping[str, Any]) -> str | None:
    """Return the last whole checkpoint (rank 0 alone asks, so that all ranks go on from the same one); None if there is none.

    One that is damaged, or whose best model is gone, is named in a warning, and the one before it serves.

    Raises:
        DataError: It is of another run.
    """
    for number in _numbers(run):
        values = run.checkpoints.published(number)
        problem = _problem(run, number, values)
        if problem is None and values is not None:
            _require_same(run, number, values["deciding"], deciding)
            return number
        log.warning("checkpoint %s of run %s is left aside: %s", number, run.address, problem)
    return None


def load_checkpoint(run: RunFolder, number: str, network: torch.nn.Module, optimizer: Optimizer) -> Progress:
    """Put a whole checkpoint's state into a network and its optimizer, and return how far it had come."""
    with (run.checkpoints / number).local() as folder:
        stored = load_file(folder / STATE)
    with torch.no_grad():
        for name, tensor in _tensors(network, optimizer).items():
            tensor.copy_(stored[name])
    values = run.checkpoints.published(number) or {}
    progress = values["progress"]
    for embedding, decay in zip(optimizer.active, values["decay"], strict=True):
        embedding.pending_decay = decay
    if progress["best_score"] is None:
        progress["best_score"] = float("-inf")
    return Progress(**progress)


def best_epochs(run: RunFolder) -> set[int]:
    """Return the best epochs that the checkpoints speak of: their models must stay."""
    found = [run.checkpoints.published(number) for number in _numbers(run)]
    return {values["progress"]["best_epoch"] for values in found if values is not None}


def _require_same(run: RunFolder, number: str, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    if found != dict(wanted):
        changed = sorted(name for name in {*found, *wanted} if found.get(name) != wanted.get(name))
        raise DataError(
            f"checkpoint {number} of {run.address!r} is of another run: {', '.join(changed)} differ; choose another launch.run_dir"
        )


def _numbers(run: RunFolder) -> list[str]:
    """Names of all checkpoints, whole or not, the newest first."""
    return sorted({name.partition(".")[0] for name in run.checkpoints.names()}, reverse=True)


def _problem(run: RunFolder, number: str, values: Mapping[str, Any] | None) -> str | None:
    if (damage := run.checkpoints.damage(number)) is not None or values is None:
        return damage
    best = values["progress"]["best_epoch"]
    return None if not best or run.has_best(best) else f"the best model it speaks of, after epoch {best}, is not there"


def _tensors(network: torch.nn.Module, optimizer: Optimizer) -> dict[str, torch.Tensor]:
    """The live tensors that a checkpoint keeps, by name."""
    # Of weights that share their memory (a decoder's embedding, say) one name is kept: there is but one tensor.
    once = {tensor.data_ptr(): (name, tensor) for name, tensor in reversed(network.state_dict().items())}
    tensors = {f"weight.{name}": tensor for name, tensor in reversed(once.values())}
    for number, parameter in enumerate(p for group in optimizer.adamw.param_groups for p in group["params"]):
        state = optimizer.adamw.state[parameter]
        if not state:  # Before the first step AdamW has none: make it as AdamW would.
            state["step"] = torch.zeros((), device=parameter.device)
            state |= {moment: torch.zeros_like(parameter) for moment in MOMENTS}
        tensors |= {f"{moment}.{number}": state[moment] for moment in MOMENTS} | {f"step.{number}": state["step"]}
    return tensors
