"""A model's signature from what the task declares, so that it holds whatever a single example shows.

Inferred from an example, a map of scores becomes an object with one property per label, and a column that is empty in
the example has no type at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

#: Spark type → MLflow type.
_SIMPLE = {
    "string": "string", "double": "double", "float": "float", "boolean": "boolean", "binary": "binary",
    "int": "integer", "integer": "integer", "bigint": "long", "long": "long",
}  # fmt: skip


def column_specs(ddl: str) -> list[dict[str, Any]]:
    """Return MLflow's column specs (as in an ``MLmodel`` file) of Spark DDL such as ``label string, scores map<string,float>``.

    Raises:
        ValueError: The DDL holds a type that MLflow signatures have no word for.
    """
    return [{"name": name, "required": False, **_type(kind)} for name, kind in _fields(ddl, separator=" ")]


def input_specs(text_roles: Sequence[str]) -> list[dict[str, Any]]:
    """Return the column specs of a model's texts."""
    return [{"name": role, "required": True, "type": "string"} for role in text_roles]


def _type(kind: str) -> dict[str, Any]:
    kind = kind.strip()
    head, opening, inner = kind.partition("<")
    inner = inner.removesuffix(">")
    if not opening and kind in _SIMPLE:
        return {"type": _SIMPLE[kind]}
    if head == "array":
        return {"type": "array", "items": _type(inner)}
    if head == "map" and inner.partition(",")[0].strip() == "string":
        return {"type": "map", "values": _type(inner.partition(",")[2])}
    if head == "struct":
        fields = _fields(inner, separator=":")
        return {"type": "object", "properties": {name: {"required": False, **_type(value)} for name, value in fields}}
    raise ValueError(f"type {kind!r} has no place in an MLflow signature")


def _fields(text: str, *, separator: str) -> list[tuple[str, str]]:
    """Split at the commas outside of angle brackets, then each part into name and type."""
    parts, depth, start = [], 0, 0
    for at, character in enumerate(text):
        depth += {"<": 1, ">": -1}.get(character, 0)
        if character == "," and depth == 0:
            parts.append(text[start:at])
            start = at + 1
    named = (part.strip().partition(separator) for part in [*parts, text[start:]])
    return [(name.strip(), kind.strip()) for name, _, kind in named]
