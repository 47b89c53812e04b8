"""How large a model is, told from the headers of its weight files: nothing is loaded."""

from __future__ import annotations

import math
import re
from pathlib import Path

from safetensors import safe_open

#: Names of tensors that hold a vector per token, as transformers calls them.
_EMBEDDING = re.compile(r"embed|shared|lm_head|\bwte\b|\bwpe\b")


def weights_of(folder: str | Path) -> tuple[int, int]:
    """Return the number of weights in a model folder and the bytes of the files that hold them."""
    files = sorted(Path(folder).glob("*.safetensors"))
    return sum(map(_count, files)), sum(file.stat().st_size for file in files)


def encoder_weights(folder: str | Path) -> int:
    """Return the number of weights that are not embeddings: what decides how large a step a model bears. 0 if there are none to read."""
    return sum(_count(file, embeddings=False) for file in sorted(Path(folder).glob("*.safetensors")))


def _count(file: Path, *, embeddings: bool = True) -> int:
    with safe_open(file, framework="numpy") as tensors:
        names = [name for name in tensors.keys() if embeddings or not _EMBEDDING.search(name)]  # noqa: SIM118 (it has no iterator)
        return sum(math.prod(tensors.get_slice(name).get_shape()) for name in names)
