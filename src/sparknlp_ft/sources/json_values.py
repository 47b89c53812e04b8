"""JSON as Spark will read it: what Spark refuses with a trace of Java, or changes in silence, is told here, or mended and counted.

An object that names a key twice has no one meaning. Half a character (a surrogate alone), which JSON can write and UTF-8 cannot,
becomes U+FFFD: one character for one, so that offsets stay right.
"""

from __future__ import annotations

import json
import re
from typing import Any

#: An escape of a JSON string: a whole pair, a half, or another one (which may be that of a backslash).
_ESCAPE = re.compile(r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL)
_HALF = re.compile("[\ud800-\udfff]")


class RepeatedKey(ValueError):
    """An object has a key twice."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len({name.lower() for name in found}) < len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name.lower() in seen:
                raise RepeatedKey(f"an object has the key {name!r} twice (upper and lower case count as one); leave one of them")
            seen.add(name.lower())
    return found


DECODER = json.JSONDecoder(object_pairs_hook=_unique)


def read_json(text: str) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: It is none, or an object in it has a key twice.
    """
    return DECODER.decode(text)


def mend_json(text: str) -> str:
    """Return a JSON text with U+FFFD for each half of a character."""
    if "\\ud" not in text and "\\uD" not in text:
        return text
    return _ESCAPE.sub(lambda found: "\\ufffd" if found["half"] else found[0], text)


def mend(value: Any) -> Any:
    """Return a value read from JSON with U+FFFD for each half of a character in its strings."""
    if isinstance(value, str):
        return value if value.isascii() else _HALF.sub("\ufffd", value)
    if isinstance(value, list):
        return [mend(one) for one in value]
    if isinstance(value, dict):
        return {name: mend(one) for name, one in value.items()}
    return value
