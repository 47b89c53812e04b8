"""PyTorch: ranks in a process group, started by Spark's ``TorchDistributor`` or by torchrun.

With a Spark session each rank runs in a task, on a local master as on a cluster. Without one, torchrun starts them on this
machine. Where torchrun has started this very process, it is one of the ranks already.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import IO, TYPE_CHECKING, Any

from sparknlp_ft.config import LaunchConfig
from sparknlp_ft.errors import LaunchError
from sparknlp_ft.progress import log
from sparknlp_ft.training import torchrun
from sparknlp_ft.training.care import POLL_SECONDS, Care
from sparknlp_ft.training.job import TrainJob
from sparknlp_ft.training.launcher import Launcher, Start, result_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: Lines of the ranks' output that are kept, and those of them that an error shows.
KEPT_LINES, SHOWN_LINES = 200, 20

#: How torchrun reports a process that failed; its own SIGTERM to the others is no failure.
FAILED = re.compile(r"rank +: (\d+) \(local_rank: \d+\)\s+exitcode +: (?!-15)(-?\d+)")


class TorchLauncher(Launcher):
    """Starts ranks in Spark tasks where there is a session, else on this machine."""

    beats = True

    @property
    def in_slots(self) -> bool:  # type: ignore[override]
        return not torchrun.is_above()

    def check(self, config: LaunchConfig) -> None:
        size = int(os.environ["WORLD_SIZE"]) if torchrun.is_above() else config.ranks
        if size != config.ranks:
            raise LaunchError(f"launch.ranks: {config.ranks}, and torchrun started {size} process(es); set launch.ranks={size}")

    def start(self, start: Start) -> dict[str, Any]:
        if torchrun.is_above():
            return result_of(start.job, torchrun.lead(start))
        lines: deque[str] = deque(maxlen=KEPT_LINES)
        try:
            reply = torchrun.started_here(start, lines) if start.spark is None else _in_spark(start, start.spark, lines)
        except LaunchError:
            raise
        except Exception as error:
            raise start.job.folder.first_error(ranks=start.config.ranks, launcher=_told(error, lines)) from error
        if "failed" in reply:
            raise start.job.folder.first_error(ranks=start.config.ranks, launcher=RuntimeError(reply["failed"]))
        return result_of(start.job, reply)

    def part_taken(self) -> Callable[[TrainJob], dict[str, Any]] | None:
        if not torchrun.is_above() or os.environ["RANK"] == "0":
            return None
        return lambda job: result_of(job, torchrun.take_part(job))


LAUNCHER = TorchLauncher()


def _told(error: Exception, lines: deque[str]) -> Exception:
    """Return what to make of ranks that failed: torchrun's own report, where it came, and the last lines before it."""
    text = "\n".join(lines)
    codes = {int(rank): int(code) for rank, code in FAILED.findall(f"{text}\n{error}")}
    found = [f"rank {rank} ended with exit code {code if code >= 0 else 128 - code}" for rank, code in sorted(codes.items())]
    if not found:
        return error
    said = [line for line in text.partition("Traceback (most recent call last)")[0].splitlines() if "torch/distributed" not in line]
    return RuntimeError("\n".join([", ".join(found), *said[-SHOWN_LINES:]]))


def _in_spark(start: Start, spark: SparkSession, lines: deque[str]) -> dict[str, Any]:
    """Run ``rank_main`` in so many Spark tasks at the same time, and return what it returned on rank 0."""
    from pyspark import InheritableThread
    from pyspark.ml.torch.distributor import TorchDistributor

    context, group = spark.sparkContext, f"ranks of {start.token}"
    gpus = float(spark.conf.get("spark.task.resource.gpu.amount", "0") or 0)
    distributor = TorchDistributor(start.config.ranks, local_mode=False, use_gpu=gpus >= 1)
    distributor.logger.setLevel(logging.WARNING)
    outcome: list[Any] = []

    def run() -> None:
        context.setJobGroup(group, "training", interruptOnCancel=True)
        try:
            outcome.append(distributor.run(_entry(start.paths, _environment(start, str(context.master)), start.token), start.arguments))
        except Exception as error:
            outcome.append(error)

    # In a thread: the group is the thread's, and this one takes signals while it waits.
    thread, care = InheritableThread(target=run, name="ranks", daemon=True), Care(start, partial(_has_failed, context, group))
    with _lines_kept(lines):
        thread.start()
        while thread.is_alive():
            thread.join(POLL_SECONDS)
            if care.over():
                context.cancelJobGroup(group)
    return _reply(outcome[0], care)


def _reply(outcome: Any, care: Care) -> dict[str, Any]:
    if not isinstance(outcome, Exception):
        reply: dict[str, Any] = outcome
        return reply
    if "TLS encryption" in str(outcome):
        raise LaunchError(f"launch.backend: torch cannot encrypt what ranks send each other. {' '.join(str(outcome).split())}") from outcome
    if care.reason is not None:
        raise RuntimeError(care.reason) from outcome
    raise outcome


def _has_failed(context: Any, group: str) -> bool:
    """Whether a rank's task has failed: Spark would try all of them again by itself, from the start."""
    tracker = context.statusTracker()
    jobs = [tracker.getJobInfo(number) for number in tracker.getJobIdsForGroup(group)]
    stages = [tracker.getStageInfo(number) for job in jobs if job is not None for number in job.stageIds]
    return any(stage.currentAttemptId or stage.numFailedTasks for stage in stages if stage is not None)


def _environment(start: Start, master: str) -> dict[str, str]:
    # TorchDistributor hides all GPUs from tasks that were given none by Spark.
    visible = os.environ.get("CUDA_VISIBLE_DEVICES") if master.startswith("local") else None
    return ({} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}) | start.env


def _entry(paths: list[str], env: dict[str, str], token: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return the function that ranks are sent.

    It is nested so that it travels by value, see ``launchers.horovod``. It starts its process anew with the ranks' environment:
    some of that is read by the interpreter, or by C's library, before any code of ours.
    """

    def enter(arguments: dict[str, Any]) -> dict[str, Any]:
        import os
        import sys

        if os.environ.get("SPARKNLP_FT_LAUNCH") != token:
            if os.environ.get("CUDA_VISIBLE_DEVICES") == "":
                del os.environ["CUDA_VISIBLE_DEVICES"]
            os.environ.update(env, SPARKNLP_FT_LAUNCH=token)
            os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
        sys.path[:0] = [path for path in paths if path not in sys.path]
        from sparknlp_ft.training.torchrun import rank_main

        return rank_main(arguments)

    return enter


class _Lines:
    """Stands for standard error: keeps what TorchDistributor's threads write, which comes from the ranks, and hands on the rest."""

    def __init__(self, stream: IO[str], lines: deque[str]) -> None:
        self.stream, self.lines = stream, lines

    def write(self, text: str) -> int:
        if "process_request_thread" not in threading.current_thread().name:
            return self.stream.write(text)
        self.lines.extend(text.splitlines())
        log.debug("rank: %s", text.rstrip())
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextlib.contextmanager
def _lines_kept(lines: deque[str]) -> Iterator[None]:
    """Keep the ranks' lines: torchrun's report of a user's error would bury the error itself under its own traceback."""
    with contextlib.redirect_stderr(_Lines(sys.stderr, lines)):
        yield
