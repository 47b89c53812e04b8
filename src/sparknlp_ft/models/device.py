"""What a process computes on, and in which number format it is fast. Shared by training and scoring."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def pick_device(name: str | None = None) -> torch.device:
    """Return the named device, else the first CUDA device, else the CPU."""
    import torch

    return torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))


def pick_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Return the number format for ``precision`` 'auto', 'bfloat16', 'float16' or 'float32'.

    'auto' means bfloat16 only where the device computes it natively: emulated, it is several times slower than float32.
    """
    import torch

    if precision == "auto":
        return torch.bfloat16 if has_bfloat16(device) else torch.float32
    return {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}[precision]


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device has bfloat16 matrix products: CUDA from Ampere on; CPUs with AMX or AVX512-BF16."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    # torch names these tests with an underscore; where a version lacks one, the answer is no and float32 is right too.
    tests = (getattr(torch.cpu, name, None) for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"))
    return device.type == "cpu" and any(test is not None and test() for test in tests)
