"""What a rank does that has a driver elsewhere: prove that the run's folder is shared, train, and leave word of what went wrong."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from sparknlp_ft.errors import EXIT_OTHER, EXIT_USER, UserError
from sparknlp_ft.training.job import TrainJob

if TYPE_CHECKING:
    from sparknlp_ft.training.assembly import Seat
    from sparknlp_ft.training.comm import Comm


def be_rank(arguments: Mapping[str, Any], join: Callable[[], tuple[Comm, Seat]], *, number: int) -> dict[str, Any]:
    """Be a rank until the training has ended; the process exits where it fails.

    Args:
        arguments: As ``Start.arguments`` gives them.
        join: Joins the other ranks.
        number: This rank's, which is known before it has joined.

    Returns:
        ``{"result": …}`` as ``run_rank`` gives it, or ``{"problems": […]}`` on every rank if some cannot use the folder.
    """
    job = TrainJob(**arguments["job"])
    try:
        return train_as_rank(job, arguments["token"], join)
    except Exception as error:
        leave_word(job, number, error)
        sys.exit(EXIT_USER if isinstance(error, UserError) else EXIT_OTHER)


def leave_word(job: TrainJob, number: int, error: Exception) -> None:
    """Leave word of what went wrong in a rank.

    Raises:
        Exception: The error itself, where there is nowhere to leave word but the log.
    """
    try:
        job.folder.write_error(number, error)
    except OSError:
        raise error from None


def train_as_rank(job: TrainJob, token: str, join: Callable[[], tuple[Comm, Seat]]) -> dict[str, Any]:
    """Join the other ranks and train; replies as ``be_rank`` does, and raises what went wrong."""
    # Imported here, so that an import that fails leaves word as well.
    from sparknlp_ft.training.pulse import Pulse
    from sparknlp_ft.training.worker import run_rank

    comm, seat = join()
    problem = job.folder.problem_with(token, comm.rank)
    problems = [problem for problem in comm.allgather_object(problem) if problem]
    if problems:
        return {"problems": problems}
    gone = partial(os._exit, EXIT_OTHER)  # Nobody waits any more, least of all the other ranks.
    with Pulse(job.folder, f"rank-{comm.rank}", launch=token, gone=gone) as pulse:
        return {"result": run_rank(job, comm, seat, stop_asked=lambda: pulse.stop_asked)}
