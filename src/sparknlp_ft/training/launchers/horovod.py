"""Horovod: the ranks' collective operations, and starting ranks by ``horovod.spark.run``. The only file that imports it."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from sparknlp_ft.training.launcher import Launcher, Start, result_of
from sparknlp_ft.training.rank import be_rank
from sparknlp_ft.training.shared_memory import SharingComm

if TYPE_CHECKING:
    import torch

    from sparknlp_ft.training.assembly import Seat
    from sparknlp_ft.training.comm import Comm


#: Characters of a failed Spark job's own words that are passed on; the rest is the JVM's stack.
REASON_LENGTH = 1000


#: Milliseconds between two rounds in which ranks on CPUs tell each other what they have ready. Horovod's own 1 ms keeps a thread
#: of each rank busy on the cores that compute, also while there is nothing to tell. GPUs compute beside it.
CPU_CYCLE_MS = 10

#: Seconds between two looks at whether a sum over ranks is there.
POLL_SECONDS = 5e-4


class HorovodComm(SharingComm):
    """Horovod's collective operations; the process must be one of its ranks."""

    def __init__(self) -> None:
        import horovod.torch as hvd
        import torch

        if not torch.cuda.is_available():
            os.environ.setdefault("HOROVOD_CYCLE_TIME", str(CPU_CYCLE_MS))
        hvd.init()
        self.hvd = hvd
        self.rank, self.size = hvd.rank(), hvd.size()
        self.local_rank, self.local_size = hvd.local_rank(), hvd.local_size()
        self._on_gpu = bool(hvd.nccl_built())

    def allreduce_sum_(self, tensor: torch.Tensor) -> None:
        if self.summed(tensor):
            return
        # A name of its own, the same at each step: Horovod then need not negotiate the tensor again.
        self._in_place(tensor, lambda t: self._wait(self.hvd.allreduce_async_(t, op=self.hvd.Sum, name=f"sum.{t.numel()}")))

    def broadcast_(self, tensor: torch.Tensor) -> None:
        self._in_place(tensor, lambda t: self.hvd.broadcast_(t, root_rank=0))

    def allgather_object(self, value: Any) -> list[Any]:
        # Horovod would name it by the value's type, and wait for ever where ranks hand in values of different types.
        return self.hvd.allgather_object(value, name="objects")

    def gather(self, content: bytes) -> list[bytes] | None:
        import torch

        own = torch.from_numpy(np.array(bytearray(content), dtype=np.uint8))
        # Horovod has no gather: of what ranks may send each other, each sends all it has to rank 0.
        received, sizes = self.hvd.alltoall(own, splits=torch.tensor([len(own), *[0] * (self.size - 1)], dtype=torch.int32), name="gather")
        return [part.numpy().tobytes() for part in received.split(sizes.tolist())] if self.rank == 0 else None

    def barrier(self) -> None:
        self.hvd.barrier()

    def _wait(self, handle: Any) -> None:
        """Wait asleep. Horovod's own ``synchronize`` spins, and so takes from the thread that sums the core it works on."""
        while not self.hvd.poll(handle):
            time.sleep(POLL_SECONDS)
        self.hvd.synchronize(handle)

    def _in_place(self, tensor: torch.Tensor, operate: Callable[[torch.Tensor], Any]) -> None:
        """Operate on a tensor where Horovod can: one on a GPU goes through main memory if Horovod was built without NCCL."""
        if tensor.is_cuda and not self._on_gpu:
            copy = tensor.cpu()
            operate(copy)
            tensor.copy_(copy)
        else:
            operate(tensor)


class HorovodLauncher(Launcher):
    """Starts ranks in Spark tasks by ``horovod.spark.run``."""

    in_slots = True
    beats = True

    def start(self, start: Start) -> dict[str, Any]:
        try:
            replies = _run(start)
        except Exception as error:
            raise start.job.folder.first_error(ranks=start.config.ranks, launcher=error) from error
        return result_of(start.job, replies[0])


LAUNCHER = HorovodLauncher()


def _run(start: Start) -> list[dict[str, Any]]:
    """Start ranks, of which the cluster must have as many slots, and return what ``rank_main`` returned on each.

    Raises:
        RuntimeError: As Horovod words it, when a rank fails.
    """
    import horovod.spark

    with _ended_by(start.abort), _spark_thread_noted():
        return horovod.spark.run(
            _entry(start.paths),
            args=(start.arguments,),
            num_proc=start.config.ranks,
            start_timeout=start.config.start_timeout,
            use_gloo=True,
            env=start.env,
            verbose=0,
        )


def _entry(paths: list[str]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return the function that ranks are sent.

    It is nested so that it travels by value: a rank can then find the package before it needs it, without a change of
    PYTHONPATH, which on a cluster holds Spark's own packages. Relative paths count from the executor's work folder.
    """

    def enter(arguments: dict[str, Any]) -> dict[str, Any]:
        import sys

        sys.path[:0] = [path for path in paths if path not in sys.path]
        from sparknlp_ft.training.launchers.horovod import rank_main

        return rank_main(arguments)

    return enter


def rank_main(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Be a rank that Horovod has started."""
    return be_rank(arguments, _join, number=int(os.environ["HOROVOD_RANK"]))


def _join() -> tuple[Comm, Seat]:
    from sparknlp_ft.training.assembly import Seat

    comm = HorovodComm()
    return comm, Seat(comm.local_rank, comm.local_size, _gpus())


def _gpus() -> list[str]:
    """Addresses of the GPUs that Spark assigned to this rank's task."""
    from horovod.spark.task import get_available_devices

    return list(get_available_devices())


@contextlib.contextmanager
def _ended_by(abort: threading.Event) -> Iterator[None]:
    """Give Horovod our event in place of its own, which it sets on Ctrl-C and SIGTERM, and never gives those signals back."""
    from horovod.runner import gloo_run

    own = gloo_run.register_shutdown_event
    gloo_run.register_shutdown_event = lambda: abort
    try:
        yield
    finally:
        gloo_run.register_shutdown_event = own


@contextlib.contextmanager
def _spark_thread_noted() -> Iterator[None]:
    """Keep quiet about Horovod's Spark job when Horovod itself cancelled it, and tell its reason when it failed by itself.

    Horovod runs the job in a thread whose exception would be printed, at length, above every error of a rank.
    """
    reasons: list[str] = []
    others = threading.excepthook

    def note(failure: threading.ExceptHookArgs) -> None:
        if failure.thread is not None and "run_spark" in failure.thread.name:
            reasons.append(str(failure.exc_value))
        else:
            others(failure)

    threading.excepthook = note
    try:
        yield
    except Exception as error:
        for reason in reasons:
            if "SPARK_JOB_CANCELLED" not in reason:
                error.args = (f"{error}\n{reason[:REASON_LENGTH]}",)
        raise
    finally:
        threading.excepthook = others
