"""How the tracking store is asked: one that does not answer is asked again for a bounded time, and each try is announced.

Knows MLflow by its settings in the environment and by the errors that it lets through, and imports nothing of it.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlsplit

from sparknlp_ft.errors import ConfigError
from sparknlp_ft.progress import log
from sparknlp_ft.secrecy import cleaned, cleaned_address

Result = TypeVar("Result")

#: Seconds that a call is tried again for, and those at the end of a job, where more is at stake.
PATIENCE, LAST_PATIENCE = 30.0, 60.0

#: Seconds before the second try; each wait is twice the one before, up to the longest.
FIRST_WAIT, LONGEST_WAIT = 1.0, 8.0

#: MLflow's own settings of a request: it would try for minutes in silence, so that here each try is one, and ours is announced.
_RETRIES, _TIMEOUT, _BACKOFF = ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT", "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR")
REQUEST_SETTINGS = {_RETRIES: "0", _TIMEOUT: "10", _BACKOFF: "1"}

#: Seconds for the answer to an upload: a server may take that long to hand a large file on.
UPLOAD_TIMEOUT = "120"

#: Ports of databases that an address need not name.
_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}

_LEAST: ContextVar[float] = ContextVar("patience", default=0.0)

_OUTAGES = {
    "requests": {"ConnectionError", "ConnectTimeout", "ReadTimeout", "Timeout", "ChunkedEncodingError", "RetryError", "ProxyError"},
    "urllib3": {"MaxRetryError", "NewConnectionError", "ProtocolError", "ReadTimeoutError", "ConnectTimeoutError"},
    "botocore": {"EndpointConnectionError", "ConnectTimeoutError", "ReadTimeoutError", "ConnectionClosedError"},
    "builtins": {"ConnectionError", "ConnectionRefusedError", "ConnectionResetError", "BrokenPipeError", "TimeoutError"},
    "socket": {"gaierror"},
}
_BUSY = re.compile(r"failed with error code (429|50[234])\b|database is locked")


class StoreSilent(ConfigError):
    """The tracking store does not answer."""


def quiet_mlflow() -> None:
    """Keep MLflow's and its migrations' progress notes and addresses out of the job's log, and bound its own tries; warnings stay."""
    _bound_requests()
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")  # Read when mlflow is imported, which sets the levels anew.
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # It logs, with its traceback, what it raises as well: what becomes of that is said once, by who catches it.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)


def _bound_requests() -> None:
    """Bound MLflow's own tries, unless the user set one of its settings: then all of them are MLflow's and the user's."""
    if not users_own():
        os.environ.update({name: os.environ.get(name, value) for name, value in REQUEST_SETTINGS.items()})


def users_own() -> bool:
    """Whether the user set how long MLflow tries."""
    return any(os.environ.get(name) not in (None, value, UPLOAD_TIMEOUT) for name, value in REQUEST_SETTINGS.items())


@contextmanager
def uploading() -> Iterator[None]:
    """Give the store longer to answer while large files are sent to it."""
    if users_own():
        yield
        return
    os.environ[_TIMEOUT] = UPLOAD_TIMEOUT
    try:
        yield
    finally:
        os.environ[_TIMEOUT] = REQUEST_SETTINGS[_TIMEOUT]


@contextmanager
def at_the_end() -> Iterator[None]:
    """Wait longer for each answer in a block, or (as a decorator) in a function: what was done by then is not to be lost."""
    before = _LEAST.set(LAST_PATIENCE)
    try:
        yield
    finally:
        _LEAST.reset(before)


def patiently(call: Callable[[], Result], uri: str) -> Result:
    """Call, and call again while the store does not answer; once only where the user set how long MLflow itself tries.

    Args:
        call: What asks the store.
        uri: Its address, for what is said.

    Raises:
        StoreSilent: It did not answer in ``PATIENCE`` seconds, or ``LAST_PATIENCE`` at the end. All else that it raises comes through.
    """
    start, wait = time.monotonic(), FIRST_WAIT
    end = start + max(PATIENCE, _LEAST.get())
    while True:
        try:
            return call()
        except Exception as error:
            if isinstance(error, StoreSilent) or not is_outage(error):
                raise
            shown, reason, left = cleaned_address(uri), reason_of(error), end - time.monotonic()
            if users_own() or left <= 0:
                took = time.monotonic() - start
                raise StoreSilent(
                    f"tracking.uri: {shown!r} does not answer ({reason}), asked for {took:.0f} s; start it, or give another"
                ) from error
            wait = min(wait, left)
            log.warning("tracking.uri: %r does not answer (%s); trying again in %.0f s, for %.0f s more", shown, reason, wait, left)
        time.sleep(wait)
        wait = min(2 * wait, LONGEST_WAIT)


class Answering:
    """A client whose calls are made again while the store does not answer."""

    def __init__(self, client: Any, uri: str) -> None:
        self.client, self.uri = client, uri

    @classmethod
    def at(cls, uri: str, mlflow: Any) -> Answering:
        """Return a client of the store at an address; it is made as patiently as it is called, since a database is opened then."""
        return cls(patiently(partial(mlflow.MlflowClient, tracking_uri=uri), uri), uri)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.client, name)
        return partial(self._ask, found) if callable(found) else found

    def _ask(self, method: Callable[..., Any], *args: Any, **settings: Any) -> Any:
        return patiently(partial(method, *args, **settings), self.uri)


@contextmanager
def usable(uri: str, experiment: str) -> Iterator[None]:
    """Make what a store refuses at the start a fault of the configuration.

    Raises:
        ConfigError: It refused; says why.
    """
    try:
        yield
    except Exception as error:
        shown = cleaned_address(uri)
        if type(error).__module__.startswith(("sqlalchemy.", "sqlite3")):
            cause = str(getattr(error, "orig", error)).splitlines()[0]
            half_made = "; or, if a run was killed that was to make it, and nothing was ever logged to it, remove the file"
            advice = f"give another{half_made if uri.startswith('sqlite') else ''}"
            raise ConfigError(cleaned(f"tracking.uri: {shown!r} cannot be opened as a store ({cause}); {advice}")) from error
        if _code(error) is None:
            raise
        raise ConfigError(cleaned(f"tracking.uri: {shown!r} cannot be used for experiment {experiment!r}: {error}")) from error


def unless_there(make: Callable[[], object]) -> None:
    """Make what another job may have made meanwhile."""
    try:
        make()
    except Exception as error:
        if _code(error) != "RESOURCE_ALREADY_EXISTS":
            raise


def found(look_up: Callable[[], Result]) -> Result | None:
    """Return what MLflow finds, or None where it says that there is no such thing."""
    try:
        return look_up()
    except Exception as error:
        # SQLite stores call an alias that is not there an invalid parameter.
        if _code(error) in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "NOT_FOUND"}:
            return None
        raise


def knock(uri: str) -> None:
    """Open a connection to the machine of a database's address and close it; nothing for one that names no machine.

    Raises:
        OSError: Nobody is there.
    """
    scheme, _, rest = uri.partition("://")
    place = urlsplit(f"//{rest.rpartition('@')[2]}")
    port = place.port or _PORTS.get(scheme.partition("+")[0])
    if place.hostname and port:
        socket.create_connection((place.hostname, port), timeout=float(REQUEST_SETTINGS[_TIMEOUT])).close()


def is_outage(error: BaseException) -> bool:
    """Whether an error says that the store could not be reached or was busy, rather than that it refused what was asked."""
    return any(_names_outage(one) or _BUSY.search(str(one)) for one in _chain(error))


def reason_of(error: BaseException) -> str:
    """Return in a few words why a store could not be reached."""
    text = " ".join(str(one) for one in _chain(error))
    for pattern in (r"\[Errno -?\d+\] ([^'\")\]]+)", r"too many (\d+) error responses", r"(database is locked)", r"error code (\d+)"):
        if (found := re.search(pattern, text)) is not None:
            return f"error {found[1]}" if found[1].isdigit() else found[1].strip()
    if re.search(r"timed? ?out", text, re.IGNORECASE):
        return f"no answer within {os.environ.get(_TIMEOUT, REQUEST_SETTINGS[_TIMEOUT])} s"
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def _code(error: Exception) -> str | None:
    """Return the code of an error of MLflow's; None if it is of another kind."""
    return getattr(error, "error_code", None) if type(error).__module__.startswith("mlflow.") else None


def _names_outage(error: BaseException) -> bool:
    kind = type(error)
    return kind.__name__ in _OUTAGES.get(kind.__module__.partition(".")[0], ())


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it came of."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__
