"""The iterator pandas_udf: one model per Python worker process, batches by length over many Arrow batches.

The engine comes from a loader that the caller hands in, so this module knows neither MLflow nor where models lie. It
is kept in this module, which Spark's workers import: a global of a notebook or script would be lost at each task.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from sparknlp_ft.scoring.engine import Engine
from sparknlp_ft.scoring.processing import Processed, score_model
from sparknlp_ft.scoring.rows import MENDED, OK, STATUS_FIELDS

if TYPE_CHECKING:
    from pyspark.sql import Column

    from sparknlp_ft.tasks import Task

#: What a worker holds: an engine, with the user's functions around it if the model has any.
Model = Engine | Processed

#: Makes the engine on a device (None: its own choice). Runs in the worker, so it must be picklable.
Loader = Callable[[str | None], Model]

#: Rows and characters that are gathered before they are cut into batches: enough for batches of like lengths with
#: little padding, little enough to hold.
WINDOW_ROWS = 32_768
WINDOW_CHARS = 64_000_000

_ENGINES: dict[str, Model] = {}


def scoring_udf(loader: Loader, key: str, task: Task, fields: str | None = None) -> Callable[..., Column]:
    """Make the UDF that scores columns.

    It is declared non-deterministic: were it not, Spark might run it again for a filter, a sort or a second reference.

    Args:
        loader: Makes the engine; best a partial of an importable function.
        key: Names the engine: two UDFs with the same key share one per worker process.
        task: Its prediction fields become the struct's, followed by status, error and truncated.
        fields: Prediction fields instead of the task's, for a model whose own functions make others.

    Returns:
        A function of columns: hash of the key (bigint), whether the text was mended (boolean), and one per text role;
        it returns the struct column.
    """
    from pyspark.sql.functions import pandas_udf

    def score(batches: Iterator[tuple[pd.Series, ...]]) -> Iterator[pd.DataFrame]:
        yield from score_batches(batches, loader, key)

    schema = f"{fields or task.prediction_fields}, {STATUS_FIELDS}"
    return pandas_udf(score, schema).asNondeterministic()  # type: ignore[call-overload]


def score_batches(batches: Iterator[tuple[pd.Series, ...]], loader: Loader, key: str) -> Iterator[pd.DataFrame]:
    """Score Arrow batches in windows of many; yields one frame per batch, rows in order."""
    for window in windows(batches):
        engine = engine_of(loader, key)
        columns: list[pd.Series] = [pd.concat(parts, ignore_index=True) for parts in zip(*window, strict=True)]
        rows, mended = columns[:2]
        result = score_model(engine, [texts.to_list() for texts in columns[2:]], rows=rows.to_list())
        noted = mended.to_numpy(dtype=bool) & (result["status"] == OK).to_numpy()
        result.loc[noted, "error"] = MENDED
        ends = np.cumsum([len(batch[0]) for batch in window])
        for start, end in zip([0, *ends[:-1]], ends, strict=True):
            yield result.iloc[start:end]


def windows(batches: Iterator[tuple[pd.Series, ...]]) -> Iterator[list[tuple[pd.Series, ...]]]:
    """Gather batches until a window is full."""
    window: list[tuple[pd.Series, ...]] = []
    rows = chars = 0
    for batch in batches:
        window.append(batch)
        rows += len(batch[0])
        chars += sum(int(column.str.len().sum()) for column in batch[2:] if len(column))
        if rows >= WINDOW_ROWS or chars >= WINDOW_CHARS:
            yield window
            window, rows, chars = [], 0, 0
    if window:
        yield window


def engine_of(loader: Loader, key: str) -> Model:
    """Return this process's engine of that name; loads it at the first call, and lets another one go."""
    if key not in _ENGINES:
        # A worker is one process among many on its machine: tokenizers' own threads would only get in each other's way.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        _ENGINES.clear()
        _ENGINES[key] = loader(_task_device())
    return _ENGINES[key]


def _task_device() -> str | None:
    """Return the GPU that Spark gave this task, if its cluster hands out GPUs."""
    from pyspark import TaskContext

    context = TaskContext.get()
    gpu = context.resources().get("gpu") if context is not None else None
    return f"cuda:{gpu.addresses[0]}" if gpu is not None else None
