"""Sums over the ranks of one machine in memory that all of them see: nothing is sent, and every rank adds a part.

Through loopback, a gradient of 50 MB is copied some eight times by threads that want the cores the ranks compute on. Here each
rank's gradient lies in a slot of one mapped file from the start; once all have theirs, rank r adds the r-th part of all slots in
the order of ranks (so the sum is the same to the bit whoever adds) and writes it back to each.
"""

from __future__ import annotations

import mmap
import os
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sparknlp_ft.training.comm import Comm, PeerLost

#: Where files are memory.
FOLDER = Path("/dev/shm")

#: Machines on which what one processor writes is seen by the others in the same order.
IN_ORDER = frozenset({"x86_64", "AMD64"})

#: Looks at whether others are there before a rank sleeps between two looks, and how long it sleeps, in seconds.
LOOKS, SLEEP = 100, 5e-5

#: Seconds between two looks at whether the others' processes are still there.
ALIVE_SECONDS = 0.5

#: Slots and parts begin at multiples of this many numbers (64 bytes).
ALIGNMENT = 16


class SharingComm:
    """What ranks that are processes have in common: a tensor that is summed at each step lies in shared memory, where that can be."""

    _shared: SharedSum | None = None

    def zeros(self: Any, elements: int) -> torch.Tensor:
        self._shared = share(self, elements)
        return torch.zeros(elements) if self._shared is None else self._shared.own

    def summed(self, tensor: torch.Tensor) -> bool:
        """Sum a tensor if it is the one that is shared; say whether it was."""
        if self._shared is None or tensor.data_ptr() != self._shared.own.data_ptr() or tensor.shape != self._shared.own.shape:
            return False
        self._shared.sum_()
        return True


def share(comm: Comm, elements: int) -> SharedSum | None:
    """Return a sum over all ranks in shared memory; None, on all alike, where they are on several machines or cannot share.

    Args:
        comm: The ranks, each a process of its own; all must come here.
        elements: Numbers of the tensor that is summed.
    """
    slot = _rounded(elements)
    length = comm.size * (slot * 4 + 8 * ALIGNMENT)
    path = comm.allgather_object(_new_file(length) if comm.rank == 0 else None)[0]
    memory = None if path is None else _mapped(Path(path), length)
    found = comm.allgather_object(None if memory is None else os.getpid())
    if comm.rank == 0 and path is not None:
        Path(path).unlink()  # All that can have it have it open.
    if memory is None or None in found:
        return None
    return SharedSum(comm.rank, found, memory, elements)


class SharedSum:
    """The slots of all ranks.

    Attributes:
        own: This rank's slot, float32 [elements], zeros; what is to be summed is written there.
    """

    def __init__(self, rank: int, processes: list[int], memory: mmap.mmap, elements: int) -> None:
        self.rank, self.processes = rank, processes
        size, slot = len(processes), _rounded(elements)
        numbers = np.frombuffer(memory, dtype=np.float32, count=size * slot).reshape(size, slot)
        self._arrived = np.frombuffer(memory, dtype=np.int64, offset=size * slot * 4, count=size * ALIGNMENT).reshape(size, ALIGNMENT)
        self._slots = [torch.from_numpy(one) for one in numbers]
        self.own = self._slots[rank][:elements]
        part = _rounded(-(-elements // size))
        self._part = slice(min(rank * part, elements), min((rank + 1) * part, elements))
        self._meetings = 0

    def sum_(self) -> None:
        """Replace what lies in each slot by the sum over all slots.

        Raises:
            PeerLost: Another rank's process is gone.
        """
        self._meet()
        first, *others = [slot[self._part] for slot in self._slots]
        for other in others:
            first += other
        for other in others:
            other.copy_(first)
        self._meet()

    def _meet(self) -> None:
        """Wait until all ranks are here."""
        self._meetings += 1
        self._arrived[self.rank, 0] = self._meetings
        looks, alive_until = 0, time.monotonic() + ALIVE_SECONDS
        while (self._arrived[:, 0] < self._meetings).any():
            looks += 1
            if looks < LOOKS:
                continue
            time.sleep(SLEEP)
            if time.monotonic() > alive_until:
                self._check_others()
                alive_until = time.monotonic() + ALIVE_SECONDS

    def _check_others(self) -> None:
        for rank, process in enumerate(self.processes):
            if not _is_alive(process) and self._arrived[rank, 0] < self._meetings:
                raise PeerLost(f"rank {rank}, process {process}, is gone")


def _rounded(elements: int) -> int:
    return -(-elements // ALIGNMENT) * ALIGNMENT


def _new_file(length: int) -> str | None:
    """Return the path of a file of so many zeros in memory; None if there is no room for it, or it would be of no use."""
    if platform.machine() not in IN_ORDER or not FOLDER.is_dir():
        return None
    try:
        descriptor, path = tempfile.mkstemp(prefix="sparknlp-ft-", dir=FOLDER)
    except OSError:
        return None
    try:
        os.posix_fallocate(descriptor, 0, length)
    except OSError:
        Path(path).unlink()
        return None
    finally:
        os.close(descriptor)
    return path


def _mapped(path: Path, length: int) -> mmap.mmap | None:
    """Return a file's memory; None if this process does not see the file: it is of another machine, or another user."""
    try:
        with path.open("r+b") as stream:
            return mmap.mmap(stream.fileno(), length)
    except (OSError, ValueError):
        return None


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
