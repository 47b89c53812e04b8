"""Looking after ranks that are other processes: when it is time to end them."""

from __future__ import annotations

import time
from collections.abc import Callable

from sparknlp_ft.training.launcher import Start

#: Seconds between two looks at how the ranks are, and at whether one left word of an error.
POLL_SECONDS, ERROR_SECONDS = 0.5, 5.0


class Care:
    """Looks after a start: tells when the ranks have to be ended.

    Args:
        start: The start.
        failed: Whether one has failed without an end of the others.
    """

    def __init__(self, start: Start, failed: Callable[[], bool] = bool) -> None:
        self.start, self.failed, self.up = start, failed, False
        self.late = time.monotonic() + start.config.start_timeout
        self.reason: str | None = None
        self._looked, self._word = time.monotonic(), False

    def over(self) -> bool:
        """Whether it is time to end them; stays so."""
        if self.reason is None:
            self.reason = self._reason()
        return self.reason is not None

    def _reason(self) -> str | None:
        if self.start.abort.is_set():
            return "the ranks were ended"
        if self.failed():
            return "a rank failed"
        if self._left_alone():
            return "a rank failed, and the others did not end by themselves"
        self.up = self.up or not (missing := self._missing())
        if self.up or time.monotonic() < self.late:
            return None
        return f"rank {', '.join(map(str, missing))} did not come up within launch.start_timeout={self.start.config.start_timeout} s"

    def _left_alone(self) -> bool:
        """Whether a rank has left word of an error, also the last time."""
        if time.monotonic() - self._looked < ERROR_SECONDS:
            return False
        self._looked, before = time.monotonic(), self._word
        self._word = bool(self.start.job.folder.errors())
        return self._word and before

    def _missing(self) -> list[int]:
        return [rank for rank in range(self.start.config.ranks) if self.start.job.folder.started(rank) is None]
