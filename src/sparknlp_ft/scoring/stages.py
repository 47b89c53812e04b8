"""Where the scores of a run lie until they are merged: a folder beside the table, that says whose it is.

A driver that is killed leaves its stage behind. The next run of the same table finds it: scores that are whole and fit are taken
over, and the folder goes, whatever it holds. A stage whose driver lives is left alone.
"""

from __future__ import annotations

import os
import socket
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psutil

from sparknlp_ft.progress import log
from sparknlp_ft.tables.delta import TableRef, has_commit
from sparknlp_ft.tables.files import delete_folder, listing, modified, read_json, write_json

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: Seconds between two signs of life of a driver, and after which one on another machine is taken for dead.
BEAT_SECONDS, DEAD_SECONDS = 15.0, 90.0

_OWNER, _BEAT, _NOW, _SCORES = "owner.json", "beat.json", "now.json", "scores"

#: Folders of the stages that this process has open.
_OPEN: set[str] = set()


@dataclass
class Stage:
    """Scores of one run, written beside the table they are for."""

    run: str  #: unique; also the id of the merge's transaction
    folder: str
    fits: Mapping[str, Any] = field(default_factory=dict)  #: what decides its rows' scores
    keep: bool = False  #: whether it outlives a failure of the job: its scores are whole and right

    @property
    def path(self) -> str:
        """The Delta table with the scores."""
        return f"{self.folder}/{_SCORES}"


@contextmanager
def stage_beside(spark: SparkSession, output: TableRef, root: str, fits: Mapping[str, Any]) -> Iterator[Stage]:
    """Name a stage's folder, and delete it in the end, unless the job fails when the scores are whole and right.

    It lies beside a table given by path; for a table by name, whose folder belongs to the catalog, under ``data.root``.

    Args:
        spark: The session.
        output: The table the scores are for.
        root: ``data.root``.
        fits: Plain values that decide the scores of a row with given inputs.
    """
    run = uuid.uuid4().hex
    stage = Stage(run, f"{stage_prefix(output, root)}scoring_{run[:12]}", fits)
    me = psutil.Process()
    owner = {"host": socket.gethostname(), "process": me.pid, "since": me.create_time(), "run": run, "fits": fits}
    done = threading.Event()
    beats = threading.Thread(target=_beat, args=(spark, stage.folder, done), daemon=True)
    _OPEN.add(stage.folder)
    try:
        write_json(spark, f"{stage.folder}/{_OWNER}", owner)
        beats.start()
        yield stage
        stage.keep = False
    finally:
        done.set()
        if beats.ident is not None:
            beats.join()
        _OPEN.discard(stage.folder)
        if not stage.keep:
            delete_folder(spark, stage.folder)


@contextmanager
def left_over(spark: SparkSession, output: TableRef, root: str, fits: Mapping[str, Any]) -> Iterator[Stage | None]:
    """Give the scores that a job which died has left for a table, if they fit, for the time of a block; without them at its end.

    Stages that are of no use are deleted at once.
    """
    dead = [stage for stage in _stages(spark, output, root) if not _lives(spark, stage.folder)]
    whole = [stage for stage in dead if stage.fits == fits and has_commit(spark, stage.path)]
    chosen = whole[-1] if whole else None
    for stage in dead:
        if stage is not chosen:
            log.info("deleting %s, which a scoring run has left", stage.folder)
            delete_folder(spark, stage.folder)
    yield chosen
    if chosen is not None:
        delete_folder(spark, chosen.folder)


def clear_left_over(spark: SparkSession, output: TableRef, root: str) -> None:
    """Delete what jobs that died have left for a table, where there is nothing to score."""
    with left_over(spark, output, root, {"none": True}):
        return


def stage_prefix(output: TableRef, root: str) -> str:
    """Return what the addresses of all folders begin with that scoring makes beside a table."""
    name = output.value if output.kind == "path" else f"{root.rstrip('/')}/{output.value.replace('`', '')}"
    return f"{name}__"


def _stages(spark: SparkSession, output: TableRef, root: str) -> list[Stage]:
    """Return the stages of a table, whoever's they are, the oldest first."""
    parent, _, start = stage_prefix(output, root).rpartition("/")
    folders = [f"{parent}/{name}" for name in listing(spark, parent) if name.startswith(f"{start}scoring_")]
    owners = [(read_json(spark, f"{folder}/{_OWNER}") or {}, folder) for folder in folders]
    stages = [Stage(owner.get("run", ""), folder, owner.get("fits", {})) for owner, folder in owners]
    return sorted(stages, key=lambda stage: modified(spark, f"{stage.folder}/{_OWNER}") or 0.0)


def _lives(spark: SparkSession, folder: str) -> bool:
    """Whether a stage's driver lives: on this machine by its process, elsewhere by its beat, timed by the files' own clock."""
    owner = read_json(spark, f"{folder}/{_OWNER}")
    if owner is not None and owner["host"] == socket.gethostname():
        if owner["process"] == os.getpid():
            return folder in _OPEN
        try:
            return psutil.Process(owner["process"]).create_time() == owner["since"]
        except psutil.NoSuchProcess:
            return False
    write_json(spark, f"{folder}/{_NOW}", {})
    signs = [at for name in (_OWNER, _BEAT) if (at := modified(spark, f"{folder}/{name}")) is not None]
    return bool(signs) and (modified(spark, f"{folder}/{_NOW}") or 0.0) - max(signs) < DEAD_SECONDS


def _beat(spark: SparkSession, folder: str, done: threading.Event) -> None:
    while True:
        try:
            write_json(spark, f"{folder}/{_BEAT}", {})
        except Exception as error:  # the next one may pass; without any, another run takes the stage for left over, which harms nothing
            log.warning("no sign of life could be written to %s: %s", folder, type(error).__name__)
        if done.wait(BEAT_SECONDS):
            return
