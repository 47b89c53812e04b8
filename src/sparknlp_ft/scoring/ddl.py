"""Columns as Spark DDL, read without Spark: their names and types, and plain Python values that fit them.

What a user's function returns is held to its declared type here, value by value: in Spark's conversion to Arrow one wrong
value would fail the whole task.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

#: Types without an inside.
SIMPLE = ("string", "double", "float", "boolean", "binary", "int", "integer", "bigint", "long")

Cast = Callable[[Any], Any]

_NAME = re.compile(r"[^\W\d]\w*")
_BITS = {"int": 31, "integer": 31, "bigint": 63, "long": 63}


def fields(text: str, *, separator: str = " ") -> list[tuple[str, str]]:
    """Split at the commas outside of angle brackets, then each part into name and type."""
    parts, depth, start = [], 0, 0
    for at, character in enumerate(text):
        depth += {"<": 1, ">": -1}.get(character, 0)
        if character == "," and depth == 0:
            parts.append(text[start:at])
            start = at + 1
    named = (part.strip().partition(separator) for part in [*parts, text[start:]])
    return [(name.strip(), kind.strip()) for name, _, kind in named]


def names(ddl: str) -> list[str]:
    """Return the column names."""
    return [name for name, _ in fields(ddl)]


def check(ddl: str) -> None:
    """Check names and types.

    Raises:
        ValueError: It cannot be read; says what of it.
    """
    found = names(ddl)
    for name, kind in fields(ddl):
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not a column name; expected 'NAME TYPE, …' with names of letters, digits and underscores")
        caster(kind)
    twice = {name for name in found if [other.lower() for other in found].count(name.lower()) > 1}
    if twice:
        raise ValueError(f"column {min(twice)!r} stands there twice")


def caster(kind: str) -> Cast:
    """Return a function that makes a value of the type: numpy's and pandas' numbers become Python's, missing ones None.

    It raises TypeError or ValueError for a value that does not fit.

    Raises:
        ValueError: There is no such type.
    """
    head, opening, inner = kind.strip().partition("<")
    head, inner = head.strip().lower(), inner.removesuffix(">")
    if not opening and head in SIMPLE:
        return _or_none(_SIMPLE_CASTS.get(head) or _whole(_BITS[head]))
    if head == "array" and opening:
        each = caster(inner)
        return _or_none(lambda value: [each(one) for one in _of(value, list, tuple, np.ndarray)])
    if head == "map" and opening and inner.partition(",")[0].strip().lower() == "string":
        text, each = caster("string"), caster(inner.partition(",")[2])
        return _or_none(lambda value: {text(key): each(one) for key, one in _of(value, Mapping).items()})
    if head == "struct" and opening:
        inside = {name: caster(one) for name, one in fields(inner, separator=":")}
        return _or_none(lambda value: _struct(value, inside))
    raise ValueError(f"{kind.strip()!r} is not a type; valid: {', '.join(SIMPLE)}, array<…>, map<string,…>, struct<NAME:…>")


def _or_none(cast: Cast) -> Cast:
    return lambda value: None if _missing(value) else cast(value)


def _missing(value: Any) -> bool:
    """Whether a value is pandas' or Python's way to say that there is none."""
    return value is None or (isinstance(value, float | np.floating) and math.isnan(value)) or type(value).__name__ in ("NAType", "NaTType")


def _of(value: Any, *kinds: type) -> Any:
    if not isinstance(value, kinds):
        raise TypeError(f"a {type(value).__name__} where a {kinds[0].__name__.lower()} is expected")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, float | int | np.floating | np.integer):
        raise TypeError(f"a {type(value).__name__} where a number is expected")
    return float(value)


def _whole(bits: int) -> Cast:
    def cast(value: Any) -> int:
        # A column of integers in which one is missing is a column of floats to pandas.
        if _number(value) and value != int(value):
            raise TypeError(f"a {type(value).__name__} where an integer is expected")
        if not -(2**bits) <= int(value) < 2**bits:
            raise ValueError(f"an integer that has no place in {bits + 1} bits")
        return int(value)

    return cast


def _struct(value: Any, inside: Mapping[str, Cast]) -> dict[str, Any]:
    unknown = [key for key in _of(value, Mapping) if key not in inside]
    if unknown:
        raise TypeError(f"a field {unknown[0]!r}; declared are {', '.join(inside)}")
    return {name: cast(value.get(name)) for name, cast in inside.items()}


_SIMPLE_CASTS: dict[str, Cast] = {
    "string": lambda value: str(_of(value, str)),
    "double": _number,
    "float": _number,
    "boolean": lambda value: bool(_of(value, bool, np.bool_)),
    "binary": lambda value: bytes(_of(value, bytes, bytearray)),
}
