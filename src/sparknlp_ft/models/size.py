"""How large a model is, told from the headers of its weight files: nothing is loaded."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path


def weights_of(folder: str | Path) -> tuple[int, int]:
    """Return the number of weights in a model folder and the bytes of the files that hold them."""
    files = sorted(Path(folder).glob("*.safetensors"))
    return sum(map(_count, files)), sum(file.stat().st_size for file in files)


def _count(file: Path) -> int:
    with file.open("rb") as stream:
        (size,) = struct.unpack("<Q", stream.read(8))
        header = json.loads(stream.read(size))
    return sum(math.prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__")
