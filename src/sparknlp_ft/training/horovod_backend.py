"""Horovod: the ranks' collective operations, and starting ranks by ``horovod.spark.run``. The only file that imports it."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from sparknlp_ft.config import LaunchConfig
from sparknlp_ft.errors import EXIT_OTHER, EXIT_USER, UserError
from sparknlp_ft.training.job import TrainJob

if TYPE_CHECKING:
    import torch


#: Characters of a failed Spark job's own words that are passed on; the rest is the JVM's stack.
REASON_LENGTH = 1000


#: Milliseconds between two rounds in which ranks on CPUs tell each other what they have ready. Horovod's own 1 ms keeps a thread
#: of each rank busy on the cores that compute, also while there is nothing to tell. GPUs compute beside it.
CPU_CYCLE_MS = 10

#: Seconds between two looks at whether a sum over ranks is there.
POLL_SECONDS = 5e-4


class HorovodComm:
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
        # A name of its own, the same at each step: Horovod then need not negotiate the tensor again.
        self._in_place(tensor, lambda t: self._wait(self.hvd.allreduce_async_(t, op=self.hvd.Sum, name=f"sum.{t.numel()}")))

    def broadcast_(self, tensor: torch.Tensor) -> None:
        self._in_place(tensor, lambda t: self.hvd.broadcast_(t, root_rank=0))

    def allgather_object(self, value: Any) -> list[Any]:
        return self.hvd.allgather_object(value)

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


def run_ranks(
    arguments: Mapping[str, Any], config: LaunchConfig, *, env: Mapping[str, str], paths: Sequence[str], abort: threading.Event
) -> list[dict[str, Any]]:
    """Start ranks in Spark tasks and return what ``rank_main`` returned on each.

    Args:
        arguments: Of ``rank_main``.
        config: Their number, of which the cluster must have as many slots, and the seconds for all to come up.
        env: Environment of each rank, on top of its Spark worker's.
        paths: Where ranks may find this package; relative ones count from the executor's work folder.
        abort: Ends all ranks once it is set, also those that no longer answer.

    Raises:
        RuntimeError: As Horovod words it, when a rank fails.
    """
    import horovod.spark

    with _ended_by(abort), _spark_thread_noted():
        return horovod.spark.run(
            _entry(list(paths)),
            args=(dict(arguments),),
            num_proc=config.ranks,
            start_timeout=config.start_timeout,
            use_gloo=True,
            env=dict(env),
            verbose=0,
        )


def _entry(paths: list[str]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return the function that ranks are sent.

    It is nested so that it travels by value: a rank can then find the package before it needs it, without a change of
    PYTHONPATH, which on a cluster holds Spark's own packages.
    """

    def enter(arguments: dict[str, Any]) -> dict[str, Any]:
        import sys

        sys.path[:0] = [path for path in paths if path not in sys.path]
        from sparknlp_ft.training.horovod_backend import rank_main

        return rank_main(arguments)

    return enter


def rank_main(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Be a rank: prove that the run's folder is shared, train, and leave word of what went wrong.

    Returns:
        ``{"result": …}`` as ``run_rank`` gives it, or ``{"problems": […]}`` on every rank if some cannot use the folder.
    """
    job = TrainJob(**arguments["job"])
    try:
        # Imported here, so that an import that fails leaves word as well.
        from sparknlp_ft.training.assembly import Seat
        from sparknlp_ft.training.pulse import Pulse
        from sparknlp_ft.training.worker import run_rank

        comm = HorovodComm()
        problem = job.folder.problem_with(arguments["token"], comm.rank)
        problems = [problem for problem in comm.allgather_object(problem) if problem]
        if problems:
            return {"problems": problems}
        gone = partial(os._exit, EXIT_OTHER)  # Nobody waits any more, least of all the other ranks.
        with Pulse(job.folder, f"rank-{comm.rank}", launch=arguments["token"], gone=gone) as pulse:
            seat = Seat(comm.local_rank, comm.local_size, _gpus())
            return {"result": run_rank(job, comm, seat, stop_asked=lambda: pulse.stop_asked)}
    except Exception as error:
        try:
            job.folder.write_error(int(os.environ["HOROVOD_RANK"]), error)
        except OSError:  # Nowhere to leave word but the log.
            raise error from None
        sys.exit(EXIT_USER if isinstance(error, UserError) else EXIT_OTHER)


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
