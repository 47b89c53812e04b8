"""Sums in shared memory: of real processes, in the order of ranks, with no file left; and no endless wait for one that is gone."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparknlp_ft.training import shared_memory
from sparknlp_ft.training.comm import PeerLost
from sparknlp_ft.training.shared_memory import SharedSum, share
from tests.ranks import as_ranks


@settings(max_examples=25, deadline=None)
@given(size=st.integers(2, 5), elements=st.integers(1, 200), steps=st.integers(1, 3))
def test_each_rank_has_the_sum_in_the_order_of_ranks(size: int, elements: int, steps: int) -> None:
    values = torch.randn(steps, size, elements)

    def work(comm: Any) -> list[torch.Tensor]:
        shared = share(comm, elements)
        assert shared is not None and shared.own.shape == (elements,) and not shared.own.any()
        found = []
        for step in range(steps):
            shared.own.copy_(values[step, comm.rank])
            shared.sum_()
            found.append(shared.own.clone())
        return found

    ranks = as_ranks(size, work)
    for step in range(steps):
        expected = values[step, 0].clone()
        for rank in range(1, size):
            expected += values[step, rank]
        assert all(torch.equal(found[step], expected) for found in ranks)


def test_no_file_is_left_whoever_dies_later(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shared_memory, "FOLDER", tmp_path)
    assert None not in as_ranks(2, lambda comm: share(comm, 10))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("machine", ["other machine", "no room", "other order"])
def test_all_go_without_it_where_one_cannot(machine: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shared_memory, "FOLDER", tmp_path)
    if machine == "other machine":
        mapped, lock, calls = shared_memory._mapped, threading.Lock(), []

        def once(path: Path, length: int) -> Any:
            with lock:
                calls.append(path)
                return mapped(path, length) if len(calls) == 1 else None

        monkeypatch.setattr(shared_memory, "_mapped", once)
    elif machine == "no room":
        monkeypatch.setattr(os, "posix_fallocate", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    else:
        monkeypatch.setattr(shared_memory, "IN_ORDER", frozenset[str]())
    assert as_ranks(2, lambda comm: share(comm, 10)) == [None, None]
    assert not list(tmp_path.iterdir())


class PipeComm:
    """One of two processes, joined by a pipe."""

    def __init__(self, rank: int, pipe: Connection) -> None:
        self.rank, self.size, self._pipe = rank, 2, pipe

    def allgather_object(self, value: Any) -> list[Any]:
        self._pipe.send(value)
        other = self._pipe.recv()
        return [value, other] if self.rank == 0 else [other, value]


def _be_rank_1(pipe: Connection, work: Callable[[SharedSum], None]) -> None:
    shared = share(PipeComm(1, pipe), 100)  # type: ignore[arg-type]
    assert shared is not None
    shared.own.fill_(2.0)
    work(shared)


def _sum(shared: SharedSum) -> None:
    shared.sum_()


def _die(shared: SharedSum) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("work", [_sum, _die])
def test_two_processes_sum_and_one_that_is_killed_is_noticed(work: Callable[[SharedSum], None]) -> None:
    here, there = multiprocessing.Pipe()
    other = multiprocessing.get_context("spawn").Process(target=_be_rank_1, args=(there, work))
    other.start()
    shared = share(PipeComm(0, here), 100)  # type: ignore[arg-type]
    assert shared is not None
    shared.own.fill_(1.0)
    if work is _die:
        other.join()  # As its parent, this process would else see it as a zombie.
        with pytest.raises(PeerLost, match=f"rank 1, process {other.pid}, is gone"):
            shared.sum_()
    else:
        shared.sum_()
        assert bool((shared.own == 3.0).all())
        other.join()
        assert other.exitcode == 0
