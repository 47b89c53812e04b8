"""What a model folder says of its model: ``sparknlp_ft.json``, read and written here alone. Needs no torch."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from sparknlp_ft.config import TextConfig
from sparknlp_ft.errors import ModelError
from sparknlp_ft.models.inspection import read_object
from sparknlp_ft.models.origin import check_folder
from sparknlp_ft.tasks import Task, get_task

META_FILE = "sparknlp_ft.json"
FORMAT = 2

#: Before format 2 all that is not of every model stood in a mapping of its own.
_NESTED_FORMAT, _NESTED = 1, "extra"


@dataclass(frozen=True)
class ModelMeta:
    """What is known of a saved model beside its weights and its tokenizer.

    Attributes:
        task: Name of its task.
        labels: Label list, in the order of the outputs.
        text: How texts become inputs.
        versions: Versions of the libraries that wrote the folder.
        text_roles: Text roles it was trained on, which scoring must find; empty: the task's, with those of its optional ones there are.
        columns: Role → column that a packaged model reads; empty for a model trained here, whose columns are its roles.
        output: Prediction columns as DDL, of a model whose own functions make others than the task's.
        processing: File of these functions, in the folder.
        packaged: Where a packaged model came from.
        settings: The task's settings, with what was chosen on validation rows.
        seed: Seed of the training, and
        epoch: the epoch, and
        step: the step that the weights are of, and
        validation: the metrics they had on validation rows; of a model that was not trained here nothing is known of these.
        special_tokens: How special tokens are read that a text writes out, ``text`` or ``control``; a folder that does not say is of
            the time when they controlled.
    """

    task: str
    labels: tuple[str, ...]
    text: TextConfig
    versions: Mapping[str, str] = field(default_factory=dict)
    text_roles: tuple[str, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    output: str | None = None
    processing: str | None = None
    packaged: Mapping[str, Any] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    epoch: int | None = None
    step: int | None = None
    validation: Mapping[str, float] = field(default_factory=dict)
    special_tokens: Literal["text", "control"] = "control"

    @property
    def fields(self) -> str:
        """Prediction columns as DDL: the task's, unless the model has functions of its own that make others."""
        return self.output or get_task(self.task).prediction_fields


def new_meta(task: Task, labels: Sequence[str], text: TextConfig, *, text_roles: Sequence[str] = (), **settled: Any) -> ModelMeta:
    """Return what is to be kept with a model; ``settled`` are further attributes of ``ModelMeta``."""
    return ModelMeta(task.name, tuple(labels), text, text_roles=tuple(text_roles), **{"special_tokens": "text", **settled})


def write_meta(folder: str | Path, meta: ModelMeta) -> None:
    """Write ``sparknlp_ft.json``, with the versions of the libraries that are at work."""
    versions = {name: version(name) for name in ("torch", "transformers", "tokenizers", "numpy")}
    values = asdict(replace(meta, versions=versions)) | {"text": meta.text.model_dump(mode="json")}
    (Path(folder) / META_FILE).write_text(json.dumps({"format": FORMAT, **values}, indent=1, ensure_ascii=False), encoding="utf-8")


def load_meta(folder: str | Path) -> ModelMeta:
    """Read ``sparknlp_ft.json`` of a saved model, also as older versions wrote it.

    Raises:
        ModelError: The folder was not saved by ``save_model``, is of another format, or says what no such folder would.
    """
    path = check_folder(Path(folder)) / META_FILE
    if not path.is_file():
        raise ModelError(
            f"model folder {str(folder)!r} has no {META_FILE}: it was not saved by 'sparknlp-ft train', which is what scores texts"
        )
    values = read_object(path)
    form = values.pop("format", None)
    if form == _NESTED_FORMAT and isinstance(values.get(_NESTED), dict):
        values |= values.pop(_NESTED)
    elif form != FORMAT:
        raise ModelError(f"model folder {str(folder)!r} is of another format than {FORMAT}; train it again with this version")
    known = {name: values[name] for name in (one.name for one in fields(ModelMeta)) if name in values}
    try:
        return _checker().validate_python(known)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "it"
        raise ModelError(f"{str(path)!r}: {where!r}: {first['msg']}; it is not as it was saved: train or package it again") from error


@functools.cache
def _checker() -> TypeAdapter[ModelMeta]:
    """Return what checks the types of all that is kept; made when it is first needed."""
    return TypeAdapter(ModelMeta)
