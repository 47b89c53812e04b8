"""A JSON value and an integer array in one byte string: how the snapshot keeps targets that are more than numbers."""

from __future__ import annotations

import json
from typing import Any

import numpy as np


def pack(value: Any, array: np.ndarray) -> bytes:
    """Return both as bytes; ``array`` is kept as int32, flat."""
    text = json.dumps(value, ensure_ascii=False).encode("utf-8")
    return len(text).to_bytes(4, "little") + text + np.ascontiguousarray(array, dtype="<i4").tobytes()


def unpack(packed: bytes) -> tuple[Any, np.ndarray]:
    """Return what ``pack`` was given; the array flat."""
    size = int.from_bytes(packed[:4], "little")
    return json.loads(packed[4 : 4 + size]), np.frombuffer(packed, dtype="<i4", offset=4 + size)
