"""Tell a chat room when a command starts, ends or fails: an incoming webhook, as Slack, Teams and Mattermost have them.

What is told is for people to know; that it cannot be told never stops a job.
"""

from __future__ import annotations

import json
import os
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException

from sparknlp_ft.progress import log
from sparknlp_ft.secrecy import cleaned

#: Where the address is looked for if the configuration has none: it is a secret, and configurations are shared.
VARIABLE = "SPARKNLP_FT_NOTIFY"

#: Seconds a message may take.
PATIENCE = 5.0

#: Characters of a summary or of an error that are told.
MOST_CHARS = 1500


@contextmanager
def notified(address: str | None, title: str) -> Iterator[Callable[[object], None]]:
    """Tell that a block starts, and how it ended; the function it gives takes the summary to end with.

    Args:
        address: Where messages are posted as ``{"text": …}``; None: ``SPARKNLP_FT_NOTIFY``, and without that nowhere.
        title: What runs.
    """
    address = address or os.environ.get(VARIABLE)
    start, summaries = time.monotonic(), list[object]()
    if address:
        _tell(address, f"{title}: started")
    try:
        yield summaries.append
    except BaseException as error:
        if address:
            said = str(error).strip() or type(error).__name__
            _tell(address, f"{title}: failed after {time.monotonic() - start:.0f} s: {said[:MOST_CHARS]}")
        raise
    if address:
        summary = "".join(f"\n```\n{str(one)[:MOST_CHARS]}\n```" for one in summaries)
        _tell(address, f"{title}: done in {time.monotonic() - start:.0f} s{summary}")


def _tell(address: str, text: str) -> None:
    request = urllib.request.Request(
        address, data=json.dumps({"text": cleaned(text)}).encode(), headers={"Content-Type": "application/json"}, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE):
            pass
    except (OSError, ValueError, HTTPException) as error:  # The address itself may be the secret: it is not shown.
        log.warning(
            "tracking.notify: the message could not be sent (%s: %s)", type(error).__name__, getattr(error, "reason", "") or "no answer"
        )
