"""Several ranks in one process: threads that talk through a list and a barrier."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar
from unittest import mock

import torch

from sparknlp_ft.training import assembly

T = TypeVar("T")


class ThreadComm:
    """A rank's side of the conversation; fails, rather than hangs, when a rank stays away."""

    def __init__(self, rank: int, size: int, shared: list[Any], barrier: threading.Barrier) -> None:
        self.rank, self.size, self._shared, self._barrier = rank, size, shared, barrier

    def allgather_object(self, value: Any) -> list[Any]:
        self._shared[self.rank] = value
        self._barrier.wait()
        values = list(self._shared)
        self._barrier.wait()
        return values

    def gather(self, content: bytes) -> list[bytes] | None:
        values = self.allgather_object(content)
        return values if self.rank == 0 else None

    def allreduce_sum_(self, tensor: torch.Tensor) -> None:
        parts = self.allgather_object(tensor.clone())
        tensor.copy_(torch.stack(parts).sum(dim=0))

    def zeros(self, elements: int) -> torch.Tensor:
        return torch.zeros(elements)

    def broadcast_(self, tensor: torch.Tensor) -> None:
        tensor.copy_(self.allgather_object(tensor.clone())[0])

    def barrier(self) -> None:
        self.allgather_object(None)


def as_ranks(size: int, work: Callable[[ThreadComm], T]) -> list[T]:
    """Run ``work`` once for each rank, at the same time; return the results in the order of ranks."""
    barrier, shared = threading.Barrier(size, timeout=60), [None] * size
    lock, build = threading.Lock(), assembly.build_network

    def build_network(*args: Any, **options: Any) -> Any:
        with lock:  # transformers loads models with state of the whole process; real ranks are processes.
            return build(*args, **options)

    def run(rank: int) -> T:
        try:
            return work(ThreadComm(rank, size, shared, barrier))
        except BaseException:
            barrier.abort()
            raise

    with mock.patch.object(assembly, "build_network", build_network), ThreadPoolExecutor(size) as pool:
        return [future.result() for future in [pool.submit(run, rank) for rank in range(size)]]
