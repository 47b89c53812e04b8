"""This project: the real ``run_rank``, as the only rank or as one of several of Horovod's, watched from outside."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from bench.train_ways.common import Prepared
from bench.train_ways.meter import Meter
from sparknlp_ft.training import worker
from sparknlp_ft.training.assembly import Parts, Seat
from sparknlp_ft.training.comm import Comm, Solo
from sparknlp_ft.training.feed import StepBatch
from sparknlp_ft.training.job import TrainJob
from sparknlp_ft.training.loop import Progress, StepEvent
from sparknlp_ft.training.packed.layer import Packing
from sparknlp_ft.training.recorder import Recorder


class Timed:
    """Ranks' collective operations, each timed as waiting while an epoch lasts."""

    def __init__(self, comm: Comm, meter: Meter) -> None:
        self._comm, self._meter = comm, meter

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._comm, name)
        if not callable(found) or isinstance(self._comm, Solo):
            return found
        return self._timed(found)

    def _timed(self, operation: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            started = time.perf_counter()
            try:
                return operation(*arguments, **named)
            finally:
                self._meter.wait("allreduce", time.perf_counter() - started)

        return call


def watched(meter: Meter) -> type[Recorder]:
    """Return the recorder of a rank that tells a meter what it sees."""

    class Watched(Recorder):
        def __init__(self, parts: Parts, comm: Comm, started: float, progress: Progress) -> None:
            super().__init__(parts, comm, started, progress)
            meter.watch(parts.forward.network)
            parts.train.epoch = timed_feed(parts.train.epoch, meter)  # type: ignore[method-assign]

        def step(self, event: StepEvent) -> None:
            super().step(event)
            meter.step(event.stats.loss)

    return Watched


def timed_feed(epoch: Callable[..., Iterator[StepBatch]], meter: Meter) -> Callable[..., Iterator[StepBatch]]:
    """Return a feed that tells a meter when an epoch begins and ends, and how long each batch was waited for."""

    def timed(*arguments: Any, **named: Any) -> Iterator[StepBatch]:
        meter.begin_epoch()
        batches = epoch(*arguments, **named)
        while True:
            started = time.perf_counter()
            batch = next(batches, None)
            meter.wait("feed", time.perf_counter() - started)
            if batch is None:
                break
            yield batch
        meter.end_epoch()

    return timed


def sparing(meter: Meter) -> Callable[..., Packing]:
    """Return what packs a batch and tells a meter how much padding that spares."""
    of = Packing.of

    def packed(real: Any, shape: tuple[int, int], dtype: Any) -> Packing:
        packing = of(real, shape, dtype)
        meter.spare(shape[0] * shape[1] - packing.tokens)
        return packing

    return packed


def train(folder: Path, out: Path, comm: Comm, seat: Seat) -> None:
    """Be a rank."""
    prepared, meter = Prepared.load(folder), Meter()
    settings = prepared.config.model_dump(mode="json")
    settings["launch"] |= {"threads": int(os.environ["OMP_NUM_THREADS"]), "ranks": comm.size}
    job = TrainJob(str(out / "run"), prepared.manifest.path, prepared.base, settings)
    with mock.patch.object(worker, "Recorder", watched(meter)), mock.patch.object(Packing, "of", sparing(meter)):
        result = worker.run_rank(job, Timed(comm, meter), seat)  # type: ignore[arg-type]
    metrics = result["epochs"][-1]["metrics"]
    meter.write(out, comm.rank, {"accuracy": metrics["accuracy"], "loss": metrics["loss"]})


def one(folder: Path, out: Path) -> None:
    """Train as the only rank."""
    train(folder, out, Solo(), Seat())


def several(folder: Path, out: Path, ranks: int) -> None:
    """Start Horovod's ranks on this machine and wait for them."""
    import horovod

    horovod.run(as_rank, args=(str(folder), str(out)), num_proc=ranks, use_gloo=True)


def as_rank(folder: str, out: str) -> None:
    """Train as one of Horovod's ranks."""
    from sparknlp_ft.training.launchers.horovod import HorovodComm

    # horovod.run sets both to a text that is no number, which Horovod reads as 0: its threads would spin.
    for name in ("HOROVOD_CYCLE_TIME", "HOROVOD_CACHE_CAPACITY"):
        os.environ.pop(name, None)
    comm = HorovodComm()
    train(Path(folder), Path(out), comm, Seat(comm.local_rank, comm.local_size))
