"""What a logged model declares: its signature, from the task, and the packages it needs, as installed.

The signature holds whatever a single example shows: inferred from one, a map of scores becomes an object with one
property per label, and a column that is empty in the example has no type at all.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from sparknlp_ft.scoring.ddl import fields
from sparknlp_ft.scoring.rows import STATUS_FIELDS

#: What loading and running the model needs.
REQUIREMENTS = ("mlflow", "torch", "transformers", "tokenizers", "safetensors", "numpy", "pandas", "pydantic", "pyyaml")

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
    return [{"name": name, "required": False, **_type(kind)} for name, kind in fields(ddl)]


def signature_of(columns: Sequence[str], prediction_fields: str) -> dict[str, str]:
    """Return a model's signature as ``ModelSignature.from_dict`` takes it: texts in, predictions and status out."""
    inputs = [{"name": name, "required": True, "type": "string"} for name in columns]
    return {"inputs": json.dumps(inputs), "outputs": json.dumps(column_specs(f"{prediction_fields}, {STATUS_FIELDS}"))}


def requirements(more: Sequence[str] = ()) -> list[str]:
    """Return what the model needs, pinned to the installed versions (local build tags such as +cu130 left off)."""
    return [f"{name}=={version(name).partition('+')[0]}" for name in dict.fromkeys([*REQUIREMENTS, *more])]


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
        inside = fields(inner, separator=":")
        return {"type": "object", "properties": {name: {"required": False, **_type(value)} for name, value in inside}}
    raise ValueError(f"type {kind!r} has no place in an MLflow signature")
