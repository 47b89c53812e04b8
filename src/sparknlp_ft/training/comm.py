"""How ranks talk: the few collective operations that training needs, and their form for a single rank."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch


class PeerLost(RuntimeError):
    """Another rank is gone in the middle of a conversation."""


class Comm(Protocol):
    """Collective operations. Every rank must call the same ones in the same order."""

    rank: int  #: this rank, from 0
    size: int  #: number of ranks

    def allreduce_sum_(self, tensor: torch.Tensor) -> None:
        """Replace a tensor, of the same shape on all ranks, by its sum over the ranks."""

    def zeros(self, elements: int) -> torch.Tensor:
        """Return zeros, float32 [elements], in main memory, for what is summed at each step: where that is fastest."""

    def broadcast_(self, tensor: torch.Tensor) -> None:
        """Replace a tensor by rank 0's."""

    def allgather_object(self, value: Any) -> list[Any]:
        """Return every rank's value, in the order of ranks: for small ones, which every rank is sent."""

    def gather(self, content: bytes) -> list[bytes] | None:
        """Return what every rank has, in the order of ranks, on rank 0, and None on all others, which are sent nothing."""

    def barrier(self) -> None:
        """Wait until all ranks are here."""


class Solo:
    """The only rank there is."""

    rank = 0
    size = 1

    def allreduce_sum_(self, tensor: torch.Tensor) -> None:
        """Leave the tensor: it is the sum already."""

    def zeros(self, elements: int) -> torch.Tensor:
        import torch

        return torch.zeros(elements)

    def broadcast_(self, tensor: torch.Tensor) -> None:
        """Leave the tensor: it is rank 0's already."""

    def allgather_object(self, value: Any) -> list[Any]:
        return [value]

    def gather(self, content: bytes) -> list[bytes]:
        return [content]

    def barrier(self) -> None:
        """Go on at once."""
