"""The loader module of a logged model: ``mlflow.pyfunc.load_model`` calls ``_load_pyfunc`` with the model folder.

It is imported from the copy of this package that lies in the logged model, unless the package is installed. It must
not import mlflow, Spark, or anything that scoring does not need.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from sparknlp_ft.errors import DataError
from sparknlp_ft.models.meta import ModelMeta, load_meta
from sparknlp_ft.scoring.engine import Engine, load_engine
from sparknlp_ft.scoring.processing import Processed, load_processing, score_model
from sparknlp_ft.tasks import get_task

#: Before the names of predictions that would stand beside columns of the same names.
PREFIX = "prediction_"


@dataclass(frozen=True)
class ModelOnDisk:
    """A model folder that becomes an engine when one is asked for: settings of the scoring job count, not of the training."""

    path: str

    @functools.cached_property
    def meta(self) -> ModelMeta:
        return load_meta(self.path)

    def engine(self, **settings: Any) -> Engine | Processed:
        """Load the engine, with the user's functions around it if the model has any; settings as in ``scoring.engine.load_engine``."""
        engine, file = load_engine(self.path, **settings), self.meta.processing
        if file is None:
            return engine
        columns = [self.meta.columns[role] for role in text_roles(self.meta, ())]
        return Processed(engine, load_processing(Path(self.path) / file, columns=columns, fields=self.meta.fields))


class PyfuncModel:
    """What MLflow wraps: ``predict`` takes and gives a frame."""

    def __init__(self, path: str) -> None:
        self.model = ModelOnDisk(path)

    @functools.cached_property
    def engine(self) -> Engine | Processed:
        return self.model.engine()

    def predict(self, frame: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Score texts.

        Args:
            frame: A column per text role (``text``, and ``text_pair`` for models of pairs), or those that a packaged model was
                given names for (``content``). What is no string counts as missing.
            params: Ignored; MLflow hands them to every model.

        Returns:
            The prediction columns, ``status``, ``error`` and ``truncated``; order and index of ``frame`` kept. A packaged model
            puts them behind all columns of ``frame``, with ``prediction_`` before their names if ``frame`` has one of them.

        Raises:
            DataError: A text column is missing.
        """
        meta = self.model.meta
        frame = _as_frame(frame)
        roles = text_roles(meta, frame.columns)
        columns = [meta.columns.get(role, role) for role in roles]
        missing = [name for name in columns if name not in frame.columns]
        if missing:
            have = ", ".join(map(str, frame.columns))
            raise DataError(f"column {missing[0]!r} is not in the input ({have}); this model reads {', '.join(columns)}")
        texts = [[text if isinstance(text, str) else None for text in frame[name]] for name in columns]
        result = score_model(self.engine, texts).set_index(frame.index)
        return _beside(frame, result) if meta.columns else result

    def get_raw_model(self) -> ModelOnDisk:
        """Return the model folder, from which a scoring worker makes an engine with its own settings."""
        return self.model


def _as_frame(given: Any) -> pd.DataFrame:
    """Return what was handed in as a frame: a packaged model is given a served request as it came, a list of records."""
    if isinstance(given, pd.DataFrame):
        return given
    try:
        return pd.DataFrame(given)
    except ValueError as error:
        raise DataError(f"the input is a {type(given).__name__} that makes no DataFrame ({error}); give a DataFrame or records") from error


def _beside(frame: pd.DataFrame, result: pd.DataFrame) -> pd.DataFrame:
    have = set(frame.columns)
    if have & set(result.columns):
        result = result.add_prefix(PREFIX)
    if clash := sorted(have & set(result.columns)):
        raise DataError(f"column {clash[0]!r} of the input is called like a prediction; rename it")
    return pd.concat([frame, result], axis=1)


def text_roles(meta: ModelMeta, available: Iterable[str]) -> tuple[str, ...]:
    """Return the text roles a model reads: those it was trained on, or else the task's with those of its optional ones that there are."""
    task, there = get_task(meta.task), set(available)
    return tuple(meta.text_roles or (*task.text_roles, *(role for role in task.optional_roles if role in there)))


def _load_pyfunc(data_path: str) -> PyfuncModel:
    return PyfuncModel(data_path)
