"""The door to the engines: a model folder in, an engine out.

The same tokenisation, windows and batches as in training, over a large window of rows at once (``engines.network``). What an
engine is stands in ``engines.protocol``: another runtime is a file in ``engines`` and its line here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from sparknlp_ft.scoring.engines import onnx, openvino, torch
from sparknlp_ft.scoring.engines.cascade import Cascade
from sparknlp_ft.scoring.engines.network import NetworkEngine
from sparknlp_ft.scoring.engines.protocol import Engine, Scored
from sparknlp_ft.scoring.engines.settings import Deferral, Settings
from sparknlp_ft.scoring.engines.torch import TorchEngine

__all__ = ["Engine", "Scored", "TorchEngine", "load_engine"]

LOADERS: dict[str, Callable[[str | Path, Settings], NetworkEngine]] = {
    "torch": torch.load,
    "openvino": openvino.load,
    "onnx": onnx.load,
}


def load_engine(model_dir: str | Path, **settings: Any) -> Any:
    """Load a model folder for scoring.

    Args:
        model_dir: Folder that ``save_model`` wrote.
        settings: Fields of ``engines.settings.Settings``: engine, precision, batch_tokens, threads, device, attention, calibration,
            deferral.

    Returns:
        The engine: a ``NetworkEngine``, for torch a ``TorchEngine``; with a deferral a ``Cascade`` of two.

    Raises:
        ModelError: The folder cannot be used, or the engine's library is missing.
        ConfigError: The engine does not compute in that number format.
    """
    given = Settings(**settings)
    given.check()
    quick = LOADERS[given.engine](model_dir, given)
    if given.deferral is None:
        return quick
    deferral = Deferral(**given.deferral)
    sure = replace(given, engine=deferral.engine, precision=deferral.precision, deferral=None)
    return Cascade.of(quick, LOADERS[sure.engine](model_dir, sure), deferral.margin)
