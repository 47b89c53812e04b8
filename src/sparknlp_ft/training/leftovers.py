"""What lies under ``launch.run_dir``: which runs are finished, at work, or were cut off, and how far they had come."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sparknlp_ft.training.occupancy import at_work
from sparknlp_ft.training.run_folder import RunFolder, Runs

LOGGED, FINISHED, WORKING, CUT_OFF = "logged", "finished, not registered", "at work", "cut off"

#: What lies beside run folders and is none.
_OTHERS = ("measured", "searches", "reports")


@dataclass(frozen=True)
class Left:
    """One run folder.

    Attributes:
        run: The folder.
        state: ``LOGGED`` (MLflow has all of it), ``FINISHED``, ``WORKING`` or ``CUT_OFF``.
        run_id: The MLflow run that follows it; None if there was none yet.
        checkpoints: Checkpoints it can go on from.
    """

    run: RunFolder
    state: str
    run_id: str | None
    checkpoints: int


def left_in(run_dir: str) -> Iterator[Left]:
    """Yield the run folders, by name."""
    runs = Runs.at(run_dir)
    for name in runs.folder.names():
        run = RunFolder(runs.folder / name)
        if name.startswith(("_", ".")) or name in _OTHERS or not set(run.folder.names()) & {"events", "tracked.json", "owners"}:
            continue
        yield Left(run, _state(run), run.tracked(), sum("." not in one for one in run.checkpoints.names()))


def _state(run: RunFolder) -> str:
    if run.closed():
        return LOGGED
    if at_work(run):
        return WORKING
    return CUT_OFF if run.result() is None else FINISHED
