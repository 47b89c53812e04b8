"""The loader module of a logged model: ``mlflow.pyfunc.load_model`` calls ``_load_pyfunc`` with the model folder.

It is imported from the copy of this package that lies in the logged model, unless the package is installed. It must
not import mlflow, Spark, or anything that scoring does not need.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from sparknlp_ft.errors import DataError
from sparknlp_ft.models.folder import ModelMeta, load_meta
from sparknlp_ft.scoring.engine import Engine, load_engine
from sparknlp_ft.scoring.rows import score_rows
from sparknlp_ft.tasks import get_task


@dataclass(frozen=True)
class ModelOnDisk:
    """A model folder that becomes an engine when one is asked for: settings of the scoring job count, not of the training."""

    path: str

    @functools.cached_property
    def meta(self) -> ModelMeta:
        return load_meta(self.path)

    def engine(self, **settings: Any) -> Engine:
        """Load the engine; settings as in ``scoring.engine.load_engine``."""
        return load_engine(self.path, **settings)


class PyfuncModel:
    """What MLflow wraps: ``predict`` takes and gives a frame."""

    def __init__(self, path: str) -> None:
        self.model = ModelOnDisk(path)

    @functools.cached_property
    def _engine(self) -> Engine:
        return self.model.engine()

    def predict(self, frame: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Score texts.

        Args:
            frame: A column per text role (``text``, and ``text_pair`` for models of pairs); others are ignored. What is no
                string counts as missing.
            params: Ignored; MLflow hands them to every model.

        Returns:
            The task's prediction columns, ``status``, ``error`` and ``truncated``; order and index of ``frame`` kept.

        Raises:
            DataError: A text column is missing.
        """
        roles = text_roles(self.model.meta, frame.columns)
        missing = [role for role in roles if role not in frame.columns]
        if missing:
            have = ", ".join(map(str, frame.columns))
            raise DataError(f"column {missing[0]!r} is not in the input ({have}); this model reads {', '.join(roles)}")
        texts = [[text if isinstance(text, str) else None for text in frame[role]] for role in roles]
        result = score_rows(self._engine, texts)
        return result.set_index(frame.index)

    def get_raw_model(self) -> ModelOnDisk:
        """Return the model folder, from which a scoring worker makes an engine with its own settings."""
        return self.model


def text_roles(meta: ModelMeta, available: Iterable[str]) -> tuple[str, ...]:
    """Return the text roles a model reads: those it was trained on, or else the task's with those of its optional ones that there are."""
    task, there = get_task(meta.task), set(available)
    return tuple(meta.extra.get("text_roles") or (*task.text_roles, *(role for role in task.optional_roles if role in there)))


def _load_pyfunc(data_path: str) -> PyfuncModel:
    return PyfuncModel(data_path)
