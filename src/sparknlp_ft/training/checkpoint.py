"""Checkpoints: all that is needed to go on as if nothing had happened, written whole or not at all.

``checkpoint/state.safetensors`` holds weights and AdamW's moments; ``checkpoint/progress.json`` how far the run had
come, what run it was, and the digest of the first. Nothing else is needed: the data order and the random numbers of
dropout follow from (seed, epoch, step, rank), the learning rate from the step. Checkpoints are made at ends of epochs
and do not depend on the number of ranks.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from sparknlp_ft.errors import DataError
from sparknlp_ft.training.loop import Progress
from sparknlp_ft.training.optimizer import Optimizer

FOLDER = "checkpoint"
MOMENTS = ("exp_avg", "exp_avg_sq")


def save_checkpoint(
    run_dir: str | Path, network: torch.nn.Module, optimizer: Optimizer, progress: Progress, *, run: Mapping[str, Any]
) -> None:
    """Write a checkpoint (rank 0 alone), replacing the one before once it is whole.

    Args:
        run_dir: The run's folder.
        network: Its trained weights are kept.
        optimizer: Its moments are kept.
        progress: How far the run has come.
        run: What must be equal for a run to go on from here.
    """
    folder = Path(run_dir) / FOLDER
    partial, aside = folder.with_name(f".{FOLDER}.part"), folder.with_name(f".{FOLDER}.old")
    for stale in (partial, aside):
        shutil.rmtree(stale, ignore_errors=True)
    partial.mkdir()
    save_file(_tensors(network, optimizer), partial / "state.safetensors")
    best_score = None if progress.best_score == float("-inf") else progress.best_score
    values = {
        "run": dict(run),
        "digest": _digest(partial / "state.safetensors"),
        "progress": {**asdict(progress), "best_score": best_score},
    }
    (partial / "progress.json").write_text(json.dumps(values), encoding="utf-8")
    if folder.exists():
        folder.rename(aside)
    partial.rename(folder)
    shutil.rmtree(aside, ignore_errors=True)


def load_checkpoint(run_dir: str | Path, network: torch.nn.Module, optimizer: Optimizer, *, run: Mapping[str, Any]) -> Progress | None:
    """Put a checkpoint's state into a network and its optimizer, and return how far it had come; None if there is none.

    Raises:
        DataError: It is damaged, or of another run.
    """
    folder = _whole(Path(run_dir))
    if folder is None:
        return None
    values = json.loads((folder / "progress.json").read_text(encoding="utf-8"))
    if values["run"] != dict(run):
        changed = sorted(name for name in {*values["run"], *run} if values["run"].get(name) != run.get(name))
        raise DataError(f"checkpoint {str(folder)!r} is of another run: {', '.join(changed)} differ; choose another launch.run_dir")
    if values["digest"] != _digest(folder / "state.safetensors"):
        raise DataError(f"checkpoint {str(folder)!r} is damaged: its digest does not match; delete it to start anew")
    stored = load_file(folder / "state.safetensors")
    with torch.no_grad():
        for name, tensor in _tensors(network, optimizer).items():
            tensor.copy_(stored[name])
    progress = values["progress"]
    if progress["best_score"] is None:
        progress["best_score"] = float("-inf")
    return Progress(**progress)


def _whole(run_dir: Path) -> Path | None:
    """The checkpoint, or the one before if the run was killed between the two renames."""
    candidates = (run_dir / FOLDER, run_dir / f".{FOLDER}.old")
    return next((folder for folder in candidates if (folder / "progress.json").is_file()), None)


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


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
