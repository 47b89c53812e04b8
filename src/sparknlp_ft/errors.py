"""What can go wrong, sorted by who can mend it.

``UserError`` and its kinds are for what the user can fix: the command line prints the message alone and exits 2.
Anything else is a defect or an outage: it keeps its traceback and exits 1.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

EXIT_USER = 2
EXIT_OTHER = 1
EXIT_INTERRUPTED = 130


class UserError(Exception):
    """Something the user can fix. The message says what, which value, what was expected, and what to do next."""


class ConfigError(UserError):
    """The configuration or the command line does not fit."""


class DataError(UserError):
    """A table, file or row does not keep its contract."""


class TableAbsent(DataError):
    """A table is not there (yet)."""


class ModelError(UserError):
    """A model folder, registered model or tokenizer cannot be used."""


class LaunchError(UserError):
    """The cluster cannot run what was asked of it."""


class RankError(RuntimeError):
    """A training rank failed in a way the user cannot fix; carries the rank's own message and traceback."""


class RankLost(RankError):
    """A training rank was killed, or fell silent: no fault of the job's own, so that it may be tried again."""


class Stopped(Exception):
    """The user's signal ended the job in good order; the message says where it stands and how to go on."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


#: The user errors by name, so that one raised inside a rank keeps its kind (and exit code 2) on the driver.
USER_ERRORS = {kind.__name__: kind for kind in (UserError, ConfigError, DataError, TableAbsent, ModelError, LaunchError)}


def nearest(name: str, options: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the option closest to ``name``, or an empty string."""
    match = difflib.get_close_matches(name, list(options), n=1, cutoff=0.5)
    return f" Did you mean {match[0]!r}?" if match else ""


def shown(values: Iterable[object], limit: int = 5) -> str:
    """Return at most ``limit`` values as ``'a', 'b', …`` for use in a message."""
    items = list(values)
    more = f", and {len(items) - limit} more" if len(items) > limit else ""
    return ", ".join(repr(item) for item in items[:limit]) + more
