"""The run folder, which the driver and all ranks share, on any storage: the one place that knows its names.

Each object in it is written once and whole; what speaks of a whole folder is that folder's marker (``storage.Folder``).

owners/TOKEN.json       a driver that has the folder, or had it when it died
launches/TOKEN.json     a launch, written by the driver, looked for by every rank
started/N.json          process and machine of rank N
beats/NAME.json         signs of life, see ``pulse``
tracked.json            the MLflow run that follows this one
stop.json               the driver wants the ranks to stop
errors/N.json           what went wrong in rank N, written before it leaves
events/NNNNNN.json      what happened, one event each, written by rank 0, read by the driver while it waits
checkpoints/NNNNNN/     all that is needed to go on, see ``checkpoint``; the last few
best-E/                 the best model so far, after epoch E
base/                   a copy of the base model, where ranks cannot see the driver's
result.json             what a finished run came to
closed.json             the run was logged: the same job starts anew, in another folder
"""

from __future__ import annotations

import os
import socket
import time
import traceback
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparknlp_ft.errors import USER_ERRORS, LaunchError, RankError, RankLost, UserError
from sparknlp_ft.identity import fingerprint
from sparknlp_ft.storage import Folder

#: What is raised in the ranks that were well when another one failed: by Horovod, and by ``process_group``.
ECHOES = frozenset({"HorovodInternalError", "PeerLost"})

#: What a launch leaves, and the next one clears away.
_OF_A_LAUNCH = ("errors", "started", "launches", "stop.json")

_RESULT, _CLOSED, _TRACKED, _BASE, _BEST = "result.json", "closed.json", "tracked.json", "base", "best-"


@dataclass(frozen=True)
class Runs:
    """What ``launch.run_dir`` holds: run folders, and what a comparison that is started again must not do twice."""

    folder: Folder

    @classmethod
    def at(cls, run_dir: str) -> Runs:
        return cls(Folder(run_dir))

    def run(self, name: str, deciding: object) -> RunFolder:
        """Return the folder of a run by all that decides its result.

        So a job that is started again after it was killed finds its checkpoint, and one with other settings does not. A run
        that was closed is left: the same job starts anew, beside it.
        """
        stem = f"{name}-{fingerprint(deciding)}"
        there = [one for one in self.folder.names() if one == stem or one.startswith(f"{stem}.")]
        last = max(there, key=lambda one: int(one[len(stem) + 1 :] or 1), default=stem)
        if (self.folder / last).has(_CLOSED):
            last = f"{stem}.{int(last[len(stem) + 1 :] or 1) + 1}"
        return RunFolder(self.folder / last)

    def write_report(self, name: str, page: str, twin: str) -> str:
        """Keep a report beside the run folders; returns where."""
        reports = self.folder / "reports"
        for file, text in ((f"{name}.json", twin), (f"{name}.html", page)):
            reports.write(file, text.encode())
        return f"{reports.address}/{name}.html"

    @property
    def measured(self) -> Folder:
        """Results of candidates, until they are on the leaderboard."""
        return self.folder / "measured"

    def search(self, deciding: object) -> Folder:
        """Trials of a search, by all that decides them, until its result is on the leaderboard."""
        return self.folder / "searches" / fingerprint(deciding)


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run."""

    folder: Folder

    @classmethod
    def at(cls, address: str) -> RunFolder:
        return cls(Folder(address))

    @classmethod
    def of_best(cls, best_dir: str) -> RunFolder:
        """Return the run folder that a best model lies in."""
        return cls(Folder(best_dir).parent)

    @property
    def address(self) -> str:
        return self.folder.address

    @property
    def checkpoints(self) -> Folder:
        return self.folder / "checkpoints"

    # A launch.

    def prepare(self, *, keep: bool) -> str:
        """Make the folder ready for a launch and return the launch's token.

        Args:
            keep: Keep checkpoints, events and best model of an earlier launch, to go on from.

        Raises:
            LaunchError: The folder cannot be written.
        """
        token = uuid.uuid4().hex
        try:
            for stale in _OF_A_LAUNCH if keep else self.folder.names():
                if stale not in (_BASE, f"{_BASE}.whole.json", _TRACKED, "owners"):
                    self.folder.delete(stale)
            # Beats of ranks of an earlier launch would count as signs of life, and then as silence while the new ones come up.
            for name in (self.folder / "beats").names():
                if name.startswith("rank-"):
                    self.folder.delete(f"beats/{name}")
            self.folder.write_json(f"launches/{token}.json", {"host": socket.gethostname(), "process": os.getpid()})
        except OSError as error:
            raise LaunchError(f"launch.run_dir: {self.address!r} cannot be written: {error}. Give a folder that can.") from error
        return token

    def has_launch(self, token: str) -> bool:
        """Whether a launch is still the one that counts."""
        return self.folder.has(f"launches/{token}.json")

    def announce(self, owner: Mapping[str, Any]) -> str:
        """Say that a driver wants the folder, and return its token.

        Raises:
            LaunchError: The folder cannot be written.
        """
        token = uuid.uuid4().hex
        try:
            self.folder.write_json(f"owners/{token}.json", owner)
        except OSError as error:
            raise LaunchError(f"launch.run_dir: {self.address!r} cannot be written: {error}. Give a folder that can.") from error
        return token

    def owners(self) -> dict[str, dict[str, Any]]:
        """Return the drivers that said so, by token."""
        names = [name.partition(".")[0] for name in (self.folder / "owners").names()]
        found = {name: self.folder.read_json(f"owners/{name}.json") for name in names}
        return {name: owner for name, owner in found.items() if owner is not None}

    def leave(self, token: str) -> None:
        """Take back that a driver has the folder."""
        self.folder.delete(f"owners/{token}.json")
        self.folder.delete(f"beats/driver-{token}.json")

    # Signs of life.

    def beat(self, name: str, count: int) -> None:
        """Say that someone lives."""
        self.folder.write_json(f"beats/{name}.json", {"count": count})

    def last_beat(self, name: str) -> int | None:
        """Return the count that someone has come to; None if there was none yet, or it is just being written."""
        beat = self.folder.read_json(f"beats/{name}.json")
        return None if beat is None else beat["count"]

    def ask_to_stop(self) -> None:
        """Ask the ranks to take a checkpoint and stop."""
        self.folder.write_json("stop.json", {})

    def stop_asked(self) -> bool:
        """Whether they were asked to."""
        return self.folder.has("stop.json")

    def problem_with(self, token: str, rank: int) -> str | None:
        """Say why a rank cannot use the folder; None if it finds the driver's token there and can write."""
        try:
            if not self.has_launch(token):
                return f"rank {rank}: the driver's launch is not there"
            self.folder.write_json(f"started/{rank}.json", {"process": os.getpid(), "host": socket.gethostname()})
        except OSError as error:
            return f"rank {rank}: {error}"
        return None

    def started(self, rank: int) -> dict[str, Any] | None:
        """Return process and host of a rank; None if it did not come up."""
        return self.folder.read_json(f"started/{rank}.json")

    def track(self, run_id: str) -> None:
        """Note the MLflow run that follows this one: the next start goes on with it."""
        self.folder.write_json(_TRACKED, {"run_id": run_id})

    def tracked(self) -> str | None:
        """Return the MLflow run that an earlier start was followed by."""
        found = self.folder.read_json(_TRACKED)
        return None if found is None else found["run_id"]

    # Events.

    def event_count(self) -> int:
        """Return the number of the last event."""
        return max((int(name.partition(".")[0]) for name in (self.folder / "events").names()), default=0)

    def write_event(self, number: int, event: Mapping[str, Any]) -> None:
        """Write an event (rank 0 alone); numbers count from 1, without gaps."""
        self.folder.write_json(f"events/{number:06d}.json", event)

    def events(self, after: int = 0) -> Iterator[dict[str, Any]]:
        """Yield the events that follow the one numbered ``after``, up to the first that is not there yet."""
        while (event := self.folder.read_json(f"events/{after + 1:06d}.json")) is not None:
            after += 1
            yield event

    # Models and the result.

    def best(self, epoch: int) -> Folder:
        """Return the folder of the best model after an epoch."""
        return self.folder / f"{_BEST}{epoch}"

    def has_best(self, epoch: int) -> bool:
        """Whether the best model after an epoch is there, whole."""
        return self.folder.published(f"{_BEST}{epoch}") is not None

    def publish_best(self, epoch: int, model: Path) -> None:
        """Take a local model folder as the best after an epoch."""
        self.folder.publish(f"{_BEST}{epoch}", model)

    def keep_best(self, *epochs: int) -> None:
        """Delete the best models of all other epochs."""
        kept = {f"{_BEST}{epoch}" for epoch in epochs}
        for name in self.folder.names():
            if name.startswith(_BEST) and name.partition(".")[0] not in kept:
                self.folder.delete(name)

    def base(self, local: Path) -> Folder:
        """Return a copy of the base model that every rank can read; made once."""
        if self.folder.published(_BASE) is None:
            self.folder.publish(_BASE, local)
        return self.folder / _BASE

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Write what the run came to, and drop what only an unfinished one needs."""
        self.folder.write_json(_RESULT, result)
        self.checkpoints.delete()

    def result(self) -> dict[str, Any] | None:
        """Return what the run came to; None if it is not finished."""
        return self.folder.read_json(_RESULT)

    def delete_result(self) -> None:
        """Forget what the run came to: what it speaks of is gone."""
        self.folder.delete(_RESULT)

    def close(self, run_id: str) -> None:
        """Note that the result was logged to an MLflow run: the same job may be run again from the start."""
        self.folder.write_json(_CLOSED, {"run_id": run_id})
        self.folder.withdraw(_BASE)

    def closed(self) -> bool:
        """Whether the result was logged to an MLflow run."""
        return self.folder.has(_CLOSED)

    def delete(self) -> None:
        """Delete the folder with all that is in it."""
        self.folder.delete()

    # What went wrong.

    def write_error(self, rank: int, error: BaseException) -> None:
        """Leave word of what went wrong in a rank."""
        values = {
            "rank": rank,
            "time": time.time(),
            "type": type(error).__name__,
            "message": str(error),
            "user": isinstance(error, UserError),
            "traceback": "".join(traceback.format_exception(error)),
        }
        self.folder.write_json(f"errors/{rank}.json", values)

    def errors(self) -> list[dict[str, Any]]:
        """Return what ranks left word of, the earliest first."""
        folder = self.folder / "errors"
        found = [values for name in folder.names() if (values := folder.read_json(name)) is not None]
        return sorted(found, key=lambda error: error["time"])

    def own_errors(self) -> list[dict[str, Any]]:
        """Return the errors that are no echoes of another rank's, the earliest first."""
        return [error for error in self.errors() if error["type"] not in ECHOES]

    def first_error(self, *, ranks: int, launcher: Exception) -> Exception:
        """Return, as an exception to raise, why ranks failed.

        The earliest error that a rank left counts, unless it is an echo of another's; where there are only echoes, a
        rank was killed before it could leave word.

        Args:
            ranks: Number of ranks.
            launcher: What the launcher itself made of it.
        """
        own = self.own_errors()
        if not own:
            silent = sorted(set(range(ranks)) - {error["rank"] for error in self.errors()})
            which = f"rank {', '.join(map(str, silent))} left without a word" if silent else "no rank left word of an error of its own"
            hint = "exit code 137 means that it was killed, mostly for want of memory; see the executors' stderr"
            return RankLost(f"{which}: {str(launcher).strip()} ({hint})")
        first = own[0]
        if first["type"] in USER_ERRORS:
            return USER_ERRORS[first["type"]](first["message"])
        return RankError(f"rank {first['rank']}: {first['type']}: {first['message']}\n{first['traceback']}")
