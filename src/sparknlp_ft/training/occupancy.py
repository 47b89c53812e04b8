"""One driver at a time in a run folder: who was there first, and lives, has it."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil

from sparknlp_ft.errors import LaunchError
from sparknlp_ft.training.pulse import BEAT_SECONDS, Pulse
from sparknlp_ft.training.run_folder import RunFolder


@contextmanager
def occupied(run: RunFolder) -> Iterator[None]:
    """Keep other drivers out of a run folder for the time of a block.

    Of two that come at once the earlier has it: each says that it is there before it looks who else is.

    Raises:
        LaunchError: Another driver that lives has the folder, or it cannot be written.
    """
    me = psutil.Process()
    token = run.announce({"host": socket.gethostname(), "process": me.pid, "since": me.create_time(), "time": time.time()})
    try:
        with Pulse(run, f"driver-{token}"):
            _require_alone(run, token)
            yield
    finally:
        run.leave(token)


def at_work(run: RunFolder) -> bool:
    """Whether a driver that lives has the folder."""
    return any(_lives(run, token, owner) for token, owner in run.owners().items())


def _require_alone(run: RunFolder, token: str) -> None:
    owners = run.owners()
    for other, owner in owners.items():
        if other == token or (owner["time"], other) > (owners[token]["time"], token):
            continue
        if _lives(run, other, owner):
            raise LaunchError(
                f"launch.run_dir: run {run.address!r} is in the hands of process {owner['process']} on {owner['host']}; "
                "wait until it has ended, or choose another launch.run_dir"
            )
        run.leave(other)


def _lives(run: RunFolder, token: str, owner: dict[str, Any]) -> bool:
    """Whether a driver lives: on this machine by its process, elsewhere by its beat."""
    if owner["host"] == socket.gethostname():
        try:
            return owner["process"] != os.getpid() and psutil.Process(owner["process"]).create_time() == owner["since"]
        except psutil.NoSuchProcess:
            return False
    # Clocks of two machines may differ, so the beat itself must change.
    first, end = run.last_beat(f"driver-{token}"), time.monotonic() + 3 * BEAT_SECONDS
    while time.monotonic() < end:
        if run.last_beat(f"driver-{token}") != first:
            return True
        time.sleep(BEAT_SECONDS / 4)  # polls: an object store tells nobody of what was written
    return False
