"""What may be deleted without loss: snapshots, run folders that MLflow has all of, and what killed jobs left behind."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

from sparknlp_ft.config import Config
from sparknlp_ft.scoring.stages import DEAD_SECONDS
from sparknlp_ft.snapshot.build import snapshots_folder
from sparknlp_ft.storage import Folder
from sparknlp_ft.training.leftovers import LOGGED, WORKING, left_in

#: What a scoring job or an ingest that was killed leaves beside the tables.
_SCRATCH = re.compile(r".+__scoring_[0-9a-f]{12}|_ingest-[0-9a-f]{32}")

_DAY = 86_400


@dataclass(frozen=True)
class Spare:
    """A folder that nothing needs."""

    folder: Folder
    what: str
    size: int  #: bytes
    days: float  #: since something was last written in it


def spare_folders(config: Config, days: float) -> list[Spare]:
    """Return what was not written to for so many days, and is not needed.

    While a training is at work under ``launch.run_dir`` no snapshot is: it may be reading one.
    """
    left = list(left_in(config.launch.run_dir))
    working = any(one.state == WORKING for one in left)
    found = [*_runs(config), *([] if working else _snapshots(config)), *left_by_killed(config)]
    return [one for one in found if one.days >= days]


def _runs(config: Config) -> Iterator[Spare]:
    for one in left_in(config.launch.run_dir):
        if one.state == LOGGED:
            yield _spare(one.run.folder, "run folder, logged to MLflow")


def _snapshots(config: Config) -> Iterator[Spare]:
    folder = snapshots_folder(config)
    for name in folder.names():
        yield _spare(folder / name, "snapshot, built again when it is needed")


def left_by_killed(config: Config) -> Iterator[Spare]:
    """Yield the folders that a scoring or an ingest left which was killed: the next scoring of that table merges what is whole."""
    for folder in {Folder(config.data.root), snapshots_folder(config).parent}:
        for name in folder.names():
            # A stage whose driver lives has a beat that was just written.
            if _SCRATCH.fullmatch(name) and _seconds_since(folder / name, "beat.json") > DEAD_SECONDS:
                yield _spare(folder / name, "left by a job that was killed")


def _seconds_since(folder: Folder, name: str) -> float:
    if not folder.has(name):
        return float("inf")
    return time.time() - float(folder.files.modified(f"{folder.path}/{name}").timestamp())


def _spare(folder: Folder, what: str) -> Spare:
    files = folder.files.find(folder.path, detail=True)
    newest = max((folder.files.modified(path).timestamp() for path in files), default=0.0)
    size = sum(int(about.get("size") or 0) for about in files.values())
    return Spare(folder, what, size, (time.time() - newest) / _DAY)
