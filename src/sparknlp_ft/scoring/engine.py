"""The door to the engines: a model folder in, an engine out.

The same tokenisation, windows and batches as in training, over a large window of rows at once (``engines.network``). What an
engine is stands in ``engines.protocol``: another runtime is a file in ``engines`` and its line here.
"""

from __future__ import annotations

from pathlib import Path

from sparknlp_ft.models.device import pick_device, pick_dtype
from sparknlp_ft.models.folder import load_model
from sparknlp_ft.scoring.engines.protocol import Engine, Scored
from sparknlp_ft.scoring.engines.torch import TorchEngine

__all__ = ["Engine", "Scored", "TorchEngine", "load_engine"]


def load_engine(
    model_dir: str | Path,
    *,
    batch_tokens: int = 4096,
    precision: str = "auto",
    threads: int | None = None,
    device: str | None = None,
    attention: str | None = None,
) -> TorchEngine:
    """Load a model folder for scoring.

    Args:
        model_dir: Folder that ``save_model`` wrote.
        batch_tokens: Padded tokens per forward pass.
        precision: 'auto', 'bfloat16' or 'float32'.
        threads: Threads of this process for torch; None leaves them. Spark sets OMP_NUM_THREADS=1 in its workers, so one
            that should use more says so here.
        device: torch device; None: the first CUDA device if there is one, else the CPU.
        attention: Attention implementation of transformers ('eager', 'sdpa'); None: its own choice for the architecture.

    Raises:
        ModelError: The folder cannot be used.
    """
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    place = pick_device(device)
    dtype = pick_dtype(precision, place)
    model = load_model(model_dir, attention=attention, dtype=dtype)
    model.network.to(place)
    return TorchEngine(model, place, dtype, batch_tokens)
