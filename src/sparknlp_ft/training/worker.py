"""What one rank does: join the parts, go on from where the run stands, train, and let rank 0 keep what comes of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import Any

from sparknlp_ft.storage import Folder
from sparknlp_ft.training.assembly import Parts, Seat, assemble
from sparknlp_ft.training.checkpoint import find_checkpoint, load_checkpoint
from sparknlp_ft.training.comm import Comm
from sparknlp_ft.training.head import begin_head, settle_pooling
from sparknlp_ft.training.job import TrainJob
from sparknlp_ft.training.loop import Feeds, Progress, StepEvent, fit
from sparknlp_ft.training.recorder import Recorder


def run_rank(job: TrainJob, comm: Comm, seat: Seat | None = None, *, stop_asked: Callable[[], bool] = bool) -> dict[str, Any]:
    """Train one rank's share of a job.

    Args:
        job: What to train.
        comm: The ranks.
        seat: Where this one sits.
        stop_asked: Whether to end after the step that is being taken; it is enough that one rank is told.

    Returns:
        ``TrainResult`` as a dict, the same on every rank; ``{"stopped": step}`` if it was asked to stop.

    Raises:
        DataError: No rows to train on, or files that do not fit their manifest.
        ModelError: The base model cannot be used.
        ConfigError: A setting turned out not to work.
    """
    started = time.perf_counter()
    with Folder(job.base_dir).local() as base:
        parts = assemble(replace(job, base_dir=str(base)), comm, seat or Seat())
        parts.optimizer.stop_asked = stop_asked
        return _train(parts, comm, started)


def _train(parts: Parts, comm: Comm, started: float) -> dict[str, Any]:
    settle_pooling(parts, comm)
    progress = _resumed(parts, comm) if parts.job.resume else Progress()
    if progress == Progress():
        begin_head(parts, comm)
    recorder = Recorder(parts, comm, started, progress)
    if comm.rank == 0:
        recorder.start()
    config = parts.job.resolved.train
    feeds = Feeds(parts.train, parts.validation)
    # Closed at once where recording fails: an error's traceback would keep the readers' threads for as long as it is kept.
    with closing(fit(parts.forward, parts.optimizer, feeds, comm=comm, config=config, progress=progress)) as events:
        for event in events:
            if isinstance(event, StepEvent):
                recorder.step(event)
                if event.stats.stop:
                    return recorder.stopped(event)
            else:
                progress = event.progress
                recorder.epoch(event)
    return recorder.end(progress).to_dict()


def _resumed(parts: Parts, comm: Comm) -> Progress:
    run = parts.job.folder
    number = comm.allgather_object(find_checkpoint(run, deciding=parts.deciding) if comm.rank == 0 else None)[0]
    return Progress() if number is None else load_checkpoint(run, number, parts.forward.network, parts.optimizer)
