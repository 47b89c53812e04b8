"""Signs of life: each rank and the driver say every few seconds that they live, and ranks look whether they shall stop.

A beat is a small object in the run folder, so it tells of the process and of its way to the storage alike: a process that
is stopped, and one whose file system hangs, both fall silent.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence

from sparknlp_ft.progress import log
from sparknlp_ft.training.run_folder import RunFolder

#: Seconds between two beats.
BEAT_SECONDS = 2.0

#: Seconds that ranks have to leave after one of them left word of its error.
LEAVING_SECONDS = 10.0


class Pulse:
    """A thread that beats under a name as long as a block lasts, and listens.

    Args:
        run: The run folder.
        name: ``rank-N`` or ``driver-TOKEN``.
        launch: Token of the launch that a rank belongs to.
        gone: Called once that launch is no longer the one that counts: another rank has taken this one's place.
    """

    def __init__(self, run: RunFolder, name: str, *, launch: str | None = None, gone: Callable[[], object] = bool) -> None:
        self.run, self.name, self.launch, self.gone = run, name, launch, gone
        self.stop_asked = False  #: Whether the driver wants the ranks to stop.
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="pulse", daemon=True)

    def __enter__(self) -> Pulse:
        self.run.beat(self.name, 0)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join(timeout=BEAT_SECONDS)

    def _beat(self) -> None:
        count = 0
        while not self._done.wait(BEAT_SECONDS):
            count += 1
            try:
                if self.launch is not None and not self.run.has_launch(self.launch):
                    self.gone()
                    return
                self.run.beat(self.name, count)
                self.stop_asked = self.stop_asked or self.run.stop_asked()
            except OSError as error:  # Who listens will notice; the work itself may still go well.
                log.debug("no beat: %s", error)


class Watch:
    """The driver's ear: tells which rank has fallen silent, and whether one that failed is still waited for.

    Args:
        run: The run folder.
        names: Who should be heard, once they have been heard first.
        seconds: Silence after which one counts as lost.
    """

    def __init__(self, run: RunFolder, names: Sequence[str], seconds: float) -> None:
        self.run, self.names, self.seconds = run, names, seconds
        self.silent: str | None = None  #: Who has been silent for too long.
        self._heard: dict[str, tuple[int, float]] = {}
        self._looked, self._failed_since = 0.0, math.inf

    def look(self) -> str | None:
        """Return why all ranks must be ended; None if all are well. Asks the storage once in a beat at most."""
        now = time.monotonic()
        if now - self._looked < BEAT_SECONDS:
            return None
        self._looked = now
        if self._failed(now):
            return "a rank has failed, and others have not noticed"
        self.silent = next((name for name in self.names if self._silent(name, now)), None)
        return None if self.silent is None else f"{self.silent} is silent"

    def _failed(self, now: float) -> bool:
        """Whether others still wait for a rank that has failed: a sum that was asked for while it left may never come."""
        if self.run.own_errors():
            self._failed_since = min(self._failed_since, now)
        return now - self._failed_since > LEAVING_SECONDS

    def _silent(self, name: str, now: float) -> bool:
        beat, before = self.run.last_beat(name), self._heard.get(name)
        if beat is not None and (before is None or before[0] != beat):
            self._heard[name] = (beat, now)
            return False
        return before is not None and now - before[1] > self.seconds
