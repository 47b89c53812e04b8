"""PyTorch's process group as the ranks' conversation: gloo between CPUs, NCCL between GPUs."""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from sparknlp_ft.training.comm import PeerLost
from sparknlp_ft.training.shared_memory import SharingComm

#: How long ranks wait for each other: as long as it takes, for one that stalls is found by its beats. Gloo's own half an hour is
#: less than rank 0 may take to evaluate, save and publish.
PATIENCE = timedelta(days=7)

#: What gloo says, in a plain RuntimeError, in the ranks that were well when another one was lost.
LOST = re.compile(r"Connection (?:closed|reset|refused)|Broken pipe|(?:Read|Write) error|remote process|Socket closed")


class TorchComm(SharingComm):
    """Collective operations of ``torch.distributed``; the environment must be that of one of torchrun's processes."""

    def __init__(self) -> None:
        if not dist.is_initialized():
            on_gpu = torch.cuda.is_available() and dist.is_nccl_available()
            with _others_needed():
                dist.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo", timeout=PATIENCE)
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        # Told by the hosts, and not by LOCAL_RANK: several Spark tasks of one machine are the first of their torchrun each.
        hosts = self.allgather_object(socket.gethostname())
        neighbours = [rank for rank, host in enumerate(hosts) if host == hosts[self.rank]]
        self.local_rank, self.local_size = neighbours.index(self.rank), len(neighbours)

    def allreduce_sum_(self, tensor: torch.Tensor) -> None:
        if self.summed(tensor):
            return
        with _others_needed():
            dist.all_reduce(tensor)

    def broadcast_(self, tensor: torch.Tensor) -> None:
        with _others_needed():
            dist.broadcast(tensor, src=0)

    def allgather_object(self, value: Any) -> list[Any]:
        values: list[Any] = [None] * dist.get_world_size()
        with _others_needed():
            dist.all_gather_object(values, value)
        return values

    def gather(self, content: bytes) -> list[bytes] | None:
        values: list[Any] | None = [None] * self.size if self.rank == 0 else None
        with _others_needed():
            dist.gather_object(content, values, dst=0)
        return values

    def barrier(self) -> None:
        # Not dist.barrier(), which with two backends may take a GPU before one is chosen.
        self.allgather_object(None)

    def leave(self) -> None:
        """Part from the others in good order: gloo's threads that a process ends with may abort it."""
        if dist.is_initialized():
            dist.destroy_process_group()


@contextlib.contextmanager
def _others_needed() -> Iterator[None]:
    """Tell what fails because another rank is gone from what fails by itself.

    Raises:
        PeerLost: Another rank is gone.
    """
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, dist.DistError) or LOST.search(str(error)):
            raise PeerLost(str(error)) from error
        raise
