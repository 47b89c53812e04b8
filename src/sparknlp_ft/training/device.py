"""What a rank computes on: its GPU or the CPU, threads, autocast, and the seeds of its random numbers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch

from sparknlp_ft.errors import LaunchError


def choose_device(local_rank: int, addresses: Sequence[str] = ()) -> torch.device:
    """Return the GPU that Spark gave this rank, else the one numbered like it on its machine, else the CPU.

    Args:
        local_rank: Number of the rank among those of its machine.
        addresses: GPU addresses that Spark assigned to the rank's task, if any.

    Raises:
        LaunchError: The machine has GPUs, but fewer than ranks.
    """
    if not torch.cuda.is_available():
        return torch.device("cpu")
    count = torch.cuda.device_count()
    # Where CUDA_VISIBLE_DEVICES is narrowed to the task's own GPU, its address on the machine is no index here.
    index = int(addresses[0]) if addresses and int(addresses[0]) < count else local_rank
    if index >= count:
        raise LaunchError(
            f"rank {local_rank} of this machine has no GPU of its own: {count} can be seen; lower launch.ranks, or give each rank one"
        )
    torch.cuda.set_device(index)
    return torch.device("cuda", index)


def autocast(device: torch.device, precision: torch.dtype) -> AbstractContextManager[None]:
    """Return the context that computes in ``precision``; weights and gradients stay float32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision is torch.bfloat16)


def pick_attention(network: Any, device: torch.device, precision: torch.dtype) -> None:
    """Have attention written out in bfloat16 on CPUs: torch's fused one has no fast backward there, and takes several times as long."""
    if device.type == "cpu" and precision is torch.bfloat16 and network.config._attn_implementation == "sdpa":
        network.set_attn_implementation("eager")


def set_threads(wanted: int | None, local_size: int) -> int:
    """Set and return this rank's threads: ``wanted``, else the machine's cores shared by its ranks.

    It must be set: Spark starts ranks with OMP_NUM_THREADS=1.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = wanted or max(1, cores // local_size)
    torch.set_num_threads(threads)
    return threads


def seed_all(*parts: int) -> None:
    """Seed torch's generators of all devices from several numbers, such as (seed, epoch, step, rank)."""
    state = np.random.SeedSequence([abs(part) for part in parts]).generate_state(1, np.uint64)
    torch.manual_seed(int(state[0] >> np.uint64(1)))
