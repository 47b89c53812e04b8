"""How large a model is, told from the headers of its weight files: nothing is loaded."""

from __future__ import annotations

import math
from pathlib import Path

from safetensors import safe_open


def weights_of(folder: str | Path) -> tuple[int, int]:
    """Return the number of weights in a model folder and the bytes of the files that hold them."""
    files = sorted(Path(folder).glob("*.safetensors"))
    return sum(map(_count, files)), sum(file.stat().st_size for file in files)


def _count(file: Path) -> int:
    with safe_open(file, framework="numpy") as tensors:
        return sum(math.prod(tensors.get_slice(name).get_shape()) for name in tensors.keys())  # noqa: SIM118 (it has no iterator)
