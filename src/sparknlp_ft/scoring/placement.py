"""Which GPU a scoring process takes where Spark hands out none: the one that fewest processes of this machine have taken."""

from __future__ import annotations

import fcntl
import functools
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from sparknlp_ft.errors import LaunchError

#: Processes that may share one GPU.
MOST = 64

#: Open as long as this process lives, and with it locked; a killed process lets go of them, too.
_HELD: list[IO[bytes]] = []


@functools.cache
def gpu_of_process() -> str | None:
    """Return the GPU that this process computes on, the same at each call; None where there is none.

    Raises:
        LaunchError: Every GPU is shared by as many processes as may be.
    """
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not count:
        return None
    visible = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    names = visible if len(visible) == count else [str(i) for i in range(count)]
    return f"cuda:{take(names, Path(tempfile.gettempdir()) / f'sparknlp_ft-gpus-{os.getuid()}')}"


def take(names: Sequence[str], folder: Path) -> int:
    """Take the place on a GPU that fewest processes share, and return its number among ``names``.

    Args:
        names: What tells each GPU from the others, for all processes of this machine.
        folder: Where their locks are.

    Raises:
        LaunchError: There is no place.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    for place in range(MOST):
        for number, name in enumerate(names):
            lock = (folder / f"{name.replace('/', '-')}.{place}").open("wb")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.close()
                continue
            _HELD.append(lock)
            return number
    raise LaunchError(f"{len(names)} GPU(s) are shared by {MOST} processes each; lower the cluster's slots, or let Spark hand out its GPUs")
