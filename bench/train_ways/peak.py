"""How fast this machine multiplies matrices in the precision that is trained in: what no way can beat by much."""

from __future__ import annotations

import json
import time
from pathlib import Path

import torch

from bench.train_ways.common import Prepared

#: Rows, inner size and columns of products that most machines are fast at, beside the model's own; the best counts.
SHAPES = ((1024, 1024, 1024), (2048, 2048, 2048), (512, 4096, 4096))
SECONDS = 1.0


def measure(folder: Path, out: Path, *, seconds: float = SECONDS) -> None:
    """Leave operations a second, at best and in the shapes of the model's largest layer, and the model's parameters."""
    prepared = Prepared.load(folder)
    network = prepared.network()
    tables = {id(module.weight) for module in network.modules() if isinstance(module, torch.nn.Embedding)}
    tokens = sum(map(len, prepared.train["input_ids"])) // len(prepared.train["input_ids"]) * prepared.config.train.step_rows
    hidden = network.config.hidden_size
    inner = getattr(network.config, "intermediate_size", 4 * hidden)
    shaped = rate((tokens, hidden, inner), prepared.dtype, seconds)
    found = {
        "operations": max(shaped, *(rate(shape, prepared.dtype, seconds) for shape in SHAPES)),
        "operations_in_model_shapes": shaped,
        "parameters": sum(p.numel() for p in network.parameters()),
        "parameters_without_embeddings": sum(p.numel() for p in network.parameters() if id(p) not in tables),
    }
    (out / "rank-0.json").write_text(json.dumps(found), encoding="utf-8")


@torch.inference_mode()
def rate(shape: tuple[int, int, int], dtype: torch.dtype, seconds: float) -> float:
    """Return the operations a second of one product, the fastest of those that fit into ``seconds``."""
    rows, inner, columns = shape
    left, right = torch.randn(rows, inner).to(dtype), torch.randn(inner, columns).to(dtype)
    result = torch.empty(rows, columns, dtype=dtype)
    best, until = 0.0, time.perf_counter() + seconds
    torch.mm(left, right, out=result)
    while time.perf_counter() < until:
        started = time.perf_counter()
        torch.mm(left, right, out=result)
        best = max(best, 2 * rows * inner * columns / (time.perf_counter() - started))
    return best
