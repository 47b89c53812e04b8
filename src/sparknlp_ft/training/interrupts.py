"""Ctrl-C and SIGTERM while ranks work: they take a checkpoint and stop; a second signal, or half a minute, ends them at once."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any

from sparknlp_ft.errors import Stopped
from sparknlp_ft.progress import log
from sparknlp_ft.training.run_folder import RunFolder

#: Seconds that ranks have for their step and the checkpoint.
PATIENCE = 30.0

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Takes the two signals for the time of a block, where that can be done: in the main thread, which notebooks and jobs run in.

    Args:
        run: The run folder, through which ranks are asked to stop.
    """

    def __init__(self, run: RunFolder) -> None:
        self.run = run
        self.signal: int | None = None  #: The first one that came.
        self._since, self._again = 0.0, False
        self._before: dict[int, Any] = {}

    @property
    def impatient(self) -> bool:
        """Whether ranks are to be ended at once."""
        return self.signal is not None and (self._again or time.monotonic() - self._since > PATIENCE)

    def stopped(self, run: RunFolder) -> Stopped:
        """Return what to raise."""
        number = self.signal or signal.SIGTERM
        return Stopped(f"stopped by {signal.Signals(number).name}; the same command goes on from the checkpoint in {run.address!r}", number)

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            self._again = True
            return
        self.signal, self._since = number, time.monotonic()
        # Not here: a handler may interrupt anything, also the logging of a line.
        threading.Thread(target=self._ask, name="ask-to-stop", daemon=True).start()

    def _ask(self) -> None:
        log.info("stopping: the ranks finish their step and take a checkpoint (once more: stop at once)")
        self.run.ask_to_stop()
