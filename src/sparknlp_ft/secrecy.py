"""Secrets stay inside: one function cleans every text that leaves the process, whatever brought the secret into it.

What is known to be secret (passwords of the configuration's addresses, ``launch.env``, the environment's well-known variables)
is taken out wherever it stands; what only looks like one (``scheme://user:password@``, ``?token=…``) by its form.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote, quote_plus, unquote

#: Environment variables that hold secrets.
VARIABLES = (
    "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AZURE_STORAGE_ACCESS_KEY",
    "AZURE_STORAGE_CONNECTION_STRING", "AZURE_CLIENT_SECRET", "DATABRICKS_TOKEN", "DATABRICKS_CLIENT_SECRET", "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN", "SPARKNLP_FT_NOTIFY",
)  # fmt: skip

#: Environment variables that hold addresses, which may hold a password.
ADDRESS_VARIABLES = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")

#: What stands where a secret was.
HIDDEN = "…"

#: Shorter values, and short ones of letters alone, are not looked for: they would be found in words that are no secret.
FEWEST, FEWEST_LETTERS, FEWEST_UNNAMED = 4, 9, 8

_TELLING = re.compile(r"token|secret|passw|pwd|credential|api_?key|access_?key|private|auth", re.IGNORECASE)

#: The part of an address that a user and a password stand in: up to the last ``@``, for either may hold any other character.
_USER_PART = re.compile(r"^[\w+.-]+://(.+)@", re.DOTALL)

#: Addresses of Azure's stores name a container there, which is no secret: ``abfss://container@account…``.
_CONTAINER = re.compile(r"^(?:abfss?|wasbs?)://[^/@:]+@")

#: In a text it must be guessed where an address ends: a password that holds blanks is found only if it is known.
_NO_CONTAINER = r"(?<!\babfs://)(?<!\babfss://)(?<!\bwasb://)(?<!\bwasbs://)"
_IN_TEXT = re.compile(rf"(\w://)(?:{_NO_CONTAINER}[^/@\s'\"]+|[^/@:\s'\"]+:(?!\d{{1,5}}(?:/|$))[^@\s'\"]+)@")
_IN_QUERY = re.compile(r"([?&](?:[\w.-]*(?:token|sig|signature|secret|passw|pwd|key|credential|auth)[\w.-]*)=)[^&\s'\"#<>]+", re.IGNORECASE)
_IN_HEADER = re.compile(r"(authorization['\"]?\s*[:=]\s*['\"]?(?:bearer|basic)\s+)[^\s'\",}]+", re.IGNORECASE)

_KNOWN: set[str] = set()


def keep_secret(*values: str | None) -> None:
    """Take values out of all that this process says from now on; what cannot be told from words is not looked for."""
    _KNOWN.update(value for value in values if value and _can_be_told(value))


def keep_environment_secret(env: Mapping[str, str]) -> None:
    """Keep the values of a mapping of environment variables secret: those whose names say so, and other long ones but paths."""
    for name, value in env.items():
        if _TELLING.search(name) or (len(value) >= FEWEST_UNNAMED and not value.startswith(("/", "file:"))):
            keep_secret(value, *passwords(value))


def keep_addresses_secret(values: Iterable[object]) -> None:
    """Keep the passwords of what among the values is an address."""
    for value in values:
        if isinstance(value, str):
            keep_secret(*passwords(value))


def passwords(address: str) -> Iterator[str]:
    """Yield the password of an address (or a token in its place), as it stands there and as it is before it is quoted."""
    if (found := _USER_PART.match(address)) is None or _CONTAINER.match(address):
        return
    user, colon, password = found[1].partition(":")
    # An @ may also stand in a path: s3://bucket/a@b.
    if not colon and "/" in user:
        return
    secret = password if colon else user
    yield from {secret, unquote(secret)}


def cleaned(text: str) -> str:
    """Return a text as it may leave the process: shown, logged, sent or stored."""
    for secret in sorted(_forms(), key=len, reverse=True):
        if secret in text:
            text = text.replace(secret, HIDDEN)
    text = _IN_TEXT.sub(rf"\1{HIDDEN}@", text)
    return _IN_HEADER.sub(rf"\1{HIDDEN}", _IN_QUERY.sub(rf"\1{HIDDEN}", text))


def cleaned_address(address: str) -> str:
    """Return one address, and nothing else, without user, password and tokens: where it ends is known."""
    found = _USER_PART.match(address)
    if found is not None and any(True for _ in passwords(address)):
        address = f"{address[: found.start(1)]}{HIDDEN}@{address[found.end(1) + 1 :]}"
    return cleaned(address)


def _can_be_told(value: str) -> bool:
    return len(value.strip()) >= (FEWEST_LETTERS if value.isalpha() else FEWEST)


def _forms() -> set[str]:
    environment = {os.environ.get(name, "") for name in VARIABLES}
    addresses = (os.environ.get(name, "") for name in ADDRESS_VARIABLES)
    known = _KNOWN | environment | {secret for address in addresses for secret in passwords(address)}
    known = {secret for secret in known if _can_be_told(secret)}
    return known | {quote(secret, safe="") for secret in known} | {quote_plus(secret) for secret in known} | {quote(one) for one in known}
