"""Ranks that torchrun starts: as processes of this machine, in each task of Spark's ``TorchDistributor``, or before us.

Where torchrun has started the process that calls ``launch``, every process calls it, with the same job: that of rank 0 is the
driver, the others take part.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from sparknlp_ft.errors import EXIT_OTHER, RankError
from sparknlp_ft.progress import log
from sparknlp_ft.training.care import POLL_SECONDS, Care
from sparknlp_ft.training.comm import PeerLost
from sparknlp_ft.training.job import TrainJob
from sparknlp_ft.training.launcher import Start
from sparknlp_ft.training.rank import leave_word, train_as_rank

if TYPE_CHECKING:
    from sparknlp_ft.training.assembly import Seat
    from sparknlp_ft.training.comm import Comm


# Processes of this machine.


def started_here(start: Start, lines: deque[str]) -> dict[str, Any]:
    """Start ranks on this machine and return what ``rank_main`` returned on rank 0.

    Args:
        start: What to start.
        lines: Takes the last lines that the ranks print.

    Raises:
        RuntimeError: A rank failed, or the ranks had to be ended.
    """
    with tempfile.TemporaryDirectory(prefix="sparknlp_ft-ranks-") as scratch:
        arguments, reply = Path(scratch) / "arguments.json", Path(scratch) / "reply.json"
        arguments.write_text(json.dumps(start.arguments), encoding="utf-8")
        torchrun = [f"from {__name__} import run; run()", "--standalone", f"--nproc-per-node={start.config.ranks}"]
        code = _followed([sys.executable, "-c", *torchrun, "-m", __name__, str(arguments), str(reply)], start, lines)
        if code or not reply.exists():
            raise RuntimeError(f"torchrun ended with exit code {code}")
        values: dict[str, Any] = json.loads(reply.read_text(encoding="utf-8"))
        return values


def _followed(command: list[str], start: Start, lines: deque[str]) -> int:
    """Run torchrun to its end, or to the ranks' where it is time for that, and return its exit code."""
    known = [*start.paths, *filter(None, [os.environ.get("PYTHONPATH")])]
    env = {**os.environ, **start.env, "PYTHONPATH": os.pathsep.join(known)}
    # A session of its own: Ctrl-C on the terminal is for this process, which asks the ranks to stop.
    with subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True
    ) as process:
        reader = threading.Thread(target=_keep, args=(process.stdout, lines), name="lines-of-ranks", daemon=True)
        reader.start()
        care = Care(start)
        while process.poll() is None:
            if care.over():
                process.kill()  # Ranks die with it.
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(POLL_SECONDS)
        reader.join(timeout=10)
        if care.reason:
            raise RuntimeError(care.reason)
        return process.returncode


def _keep(stream: IO[str], lines: deque[str]) -> None:
    for line in stream:
        lines.append(line.rstrip())
        log.debug("rank: %s", line.rstrip())


def run() -> None:
    """Be torchrun, and end with the process that started it."""
    from torch.distributed.run import main as torchrun

    die_with_parent()
    torchrun(sys.argv[1:])


# A rank that torchrun has started for us.


def rank_main(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Be a rank; replies as ``be_rank`` does, or ``{"failed": …}`` where it has left word of an error.

    It then ends well: Spark would print a failed task's traceback, and torchrun its own, above what the user is to read. The
    others learn of it as their conversation breaks off.
    """
    die_with_parent()
    job = TrainJob(**arguments["job"])
    try:
        return train_as_rank(job, arguments["token"], partial(_join, job))
    except Exception as error:
        leave_word(job, int(os.environ["RANK"]), error)
        return {"failed": repr(error)}


def _join(job: TrainJob) -> tuple[Comm, Seat]:
    if job.folder.started(int(os.environ["RANK"])) is not None:
        os._exit(EXIT_OTHER)  # Spark tries again by itself what is to go on from a checkpoint.
    return _joined()


def _joined() -> tuple[Comm, Seat]:
    from sparknlp_ft.training.assembly import Seat
    from sparknlp_ft.training.process_group import TorchComm

    comm = TorchComm()
    atexit.register(comm.leave)
    # GPUs that are the task's own are those among which torchrun counts.
    return comm, Seat(comm.local_rank, comm.local_size, [os.environ["LOCAL_RANK"]] if os.environ.get("CUDA_VISIBLE_DEVICES") else [])


def die_with_parent() -> None:
    """Have the kernel end this process with its parent: torchrun that is killed leaves its own, and a stopped one for ever."""
    if sys.platform == "linux":
        import ctypes

        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)


# A process that torchrun had started before us.


def is_above() -> bool:
    """Whether torchrun has started this process."""
    return {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"} <= os.environ.keys()


def lead(start: Start) -> dict[str, Any]:
    """Be the driver and rank 0, and return this rank's reply.

    Raises:
        RankError: Another rank was lost; torchrun ends this process as well, so it is not for us to start it again.
    """
    with _ended_by(start.abort):
        try:
            return take_part(start.job, start.arguments)
        except PeerLost as error:
            found = start.job.folder.first_error(ranks=start.config.ranks, launcher=error)
            if not isinstance(found, RankError):
                raise found from error
            raise RankError(f"{found}\nThe same torchrun command goes on from the last checkpoint; --max-restarts has it do so") from error


def take_part(job: TrainJob, arguments: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Be one rank of the job that rank 0 was given, and return the rank's reply; rank 0 gives the arguments."""
    comm, seat = _joined()
    told = comm.allgather_object(arguments)[0]
    os.environ.update({name: value for name, value in told["env"].items() if name not in os.environ})
    job = TrainJob(**told["job"])
    try:
        return train_as_rank(job, told["token"], lambda: (comm, seat))
    except Exception as error:
        leave_word(job, comm.rank, error)
        raise


@contextlib.contextmanager
def _ended_by(abort: threading.Event) -> Iterator[None]:
    """End this process, and torchrun with it the others, once that is asked for."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(POLL_SECONDS):
            if abort.is_set():
                log.error("ending this process, and so the other ranks; the same torchrun command goes on from the last checkpoint")
                os._exit(EXIT_OTHER)

    thread = threading.Thread(target=watch, name="end-of-ranks", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def main(arguments: str, reply: str) -> None:
    """Be a rank by what a file says; rank 0 writes its reply to another."""
    values = rank_main(json.loads(Path(arguments).read_text(encoding="utf-8")))
    if os.environ["RANK"] == "0":
        Path(reply).write_text(json.dumps(values), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
