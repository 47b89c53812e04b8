"""What is to be sent to a store, and may wait: the sender never fails and never delays who hands it something."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from sparknlp_ft.progress import log
from sparknlp_ft.tracking.patience import PATIENCE, reason_of

#: Items are sent together: this many, or those of this many seconds.
ITEMS_PER_CALL = 1000
SECONDS = 5.0

#: Seconds for what is left where something failed: what went wrong is to be told soon.
HURRY = 2.0

#: Seconds before what could not be sent is tried again; each wait is twice the one before, up to the longest.
FIRST_WAIT, LONGEST_WAIT = 2.0, 30.0


class Outbox:
    """Items in order, sent in batches by a thread that lives while there are some.

    Args:
        send: Sends a batch; whatever it raises, the batch is kept and tried again.
        what: What the items are, for what is said.
    """

    def __init__(self, send: Callable[[list[Any]], None], what: str) -> None:
        self._send, self._what = send, what
        self._items = list[Any]()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._failing = self._closed = False
        self._sent = time.monotonic()

    def add(self, items: Sequence[Any]) -> None:
        """Take items; they are sent once there are enough of them, or after a while."""
        with self._changed:
            self._items += items
            if len(self._items) >= ITEMS_PER_CALL or time.monotonic() - self._sent > SECONDS:
                self._start()

    def flush(self, patience: float | None = None) -> bool:
        """Send what there is, and return whether all was sent in a time; where sending fails it is tried once more, at once."""
        with self._changed:
            self._start()
            self._changed.notify_all()
            return self._changed.wait_for(lambda: not self._items, PATIENCE if patience is None else patience)

    def close(self, *, hurry: bool = False) -> None:
        """Send what is left, or say that it could not be sent."""
        sent = self.flush(HURRY if hurry else None)
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            if not sent:
                log.warning("%d %s could not be sent; those of a training are sent when it is started again", len(self._items), self._what)

    def _start(self) -> None:
        if self._items and self._thread is None:
            self._thread = threading.Thread(target=self._work, name="outbox", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        wait = FIRST_WAIT
        while batch := self._next():
            try:
                self._send(batch)
            except Exception as error:  # of any kind: what is told of a job is not worth the job
                self._failed(error)
                with self._changed:
                    self._changed.wait(wait)
                wait = min(2 * wait, LONGEST_WAIT)
            else:
                self._done(len(batch))
                wait = FIRST_WAIT

    def _next(self) -> list[Any]:
        """Return the next batch; an empty one ends the thread."""
        with self._changed:
            batch = [] if self._closed else self._items[:ITEMS_PER_CALL]
            if not batch:
                self._thread = None
            return batch

    def _failed(self, error: Exception) -> None:
        if not self._failing:
            log.warning("%s cannot be sent (%s): they are kept and sent later; the job goes on", self._what, reason_of(error))
        self._failing = True

    def _done(self, count: int) -> None:
        with self._changed:
            del self._items[:count]
            self._sent = time.monotonic()
            if self._failing:
                log.info("%s are sent again", self._what)
            self._failing = False
            self._changed.notify_all()
