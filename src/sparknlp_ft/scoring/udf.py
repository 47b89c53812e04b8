"""The iterator UDF: one model per Python worker process, batches by length over many Arrow batches.

The engine comes from a loader that the caller hands in, so this module knows neither MLflow nor where models lie. It
is kept in this module, which Spark's workers import: a global of a notebook or script would be lost at each task.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa

from sparknlp_ft.scoring.columns import Inputs, Model, Output, inputs_of, score_structs
from sparknlp_ft.scoring.placement import gpu_of_process

if TYPE_CHECKING:
    from pyspark.sql import Column

#: Makes the engine on a device (None: its own choice). Runs in the worker, so it must be picklable.
Loader = Callable[[str | None], Model]

#: Rows and bytes of text that are gathered before they are cut into batches: enough for batches of like lengths with
#: little padding, little enough to hold.
WINDOW_ROWS = 32_768
WINDOW_BYTES = 64_000_000

_ENGINES: dict[str, Model] = {}


def scoring_udf(loader: Loader, key: str, output: Output) -> Callable[..., Column]:
    """Make the UDF that scores columns.

    It is declared non-deterministic: were it not, Spark might run it again for a filter, a sort or a second reference.

    Args:
        loader: Makes the engine; best a partial of an importable function.
        key: Names the engine: two UDFs with the same key share one per worker process.
        output: Its fields become the struct's, followed by status, error and truncated.

    Returns:
        A function of columns: hash of the key (bigint), whether the text was mended (boolean), and one per text role;
        it returns the struct column.
    """
    from pyspark.sql import functions as F

    def by_arrow(batches: Iterator[tuple[pa.Array, ...]]) -> Iterator[pa.Array]:
        yield from score_arrays(batches, loader, key, output)

    def by_pandas(batches: Iterator[tuple[pd.Series, ...]]) -> Iterator[pd.DataFrame]:
        yield from score_batches(batches, loader, key, output)

    if hasattr(F, "arrow_udf"):  # since Spark 4.1: no detour by pandas, which takes longer than all else around the model
        return F.arrow_udf(by_arrow, output.schema).asNondeterministic()  # type: ignore[call-overload]
    return F.pandas_udf(by_pandas, output.schema).asNondeterministic()  # type: ignore[call-overload]


def score_arrays(batches: Iterator[tuple[pa.Array, ...]], loader: Loader, key: str, output: Output) -> Iterator[pa.StructArray]:
    """Score Arrow batches in windows of many; yields one array of structs per batch, rows in order.

    While the model computes on one window, a thread reads the next and tokenises it, which needs neither the device nor the GIL.
    """
    gathered = windows(batches)
    # What goes wrong in the thread is raised where its window would have come; the thread has ended when this generator has.
    with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as reader:
        ahead = reader.submit(_next, gathered, None)
        while (window := ahead.result()) is not None:
            engine = engine_of(loader, key)
            ahead = reader.submit(_next, gathered, engine)
            result = score_structs(engine, window.texts, window.rows, window.mended, output, window.inputs)
            for start, end in itertools.pairwise(window.ends):
                yield result[start:end]


@dataclass(frozen=True)
class Window:
    """Rows that are scored together: columns of Arrow batches in one, and where each batch ends, from 0."""

    rows: pa.Array
    mended: pa.Array
    texts: list[pa.Array]
    ends: list[int]
    inputs: Inputs | None


def _next(gathered: Iterator[list[tuple[pa.Array, ...]]], engine: Model | None) -> Window | None:
    """Read the next window, and make it ready for the engine, if that is known by now; None at the end."""
    if (parts := next(gathered, None)) is None:
        return None
    rows, mended, *texts = (pa.concat_arrays(column) for column in zip(*parts, strict=True))
    inputs = None if engine is None else inputs_of(engine, texts, rows, ready=True)
    return Window(rows, mended, texts, [0, *itertools.accumulate(len(batch[0]) for batch in parts)], inputs)


def score_batches(batches: Iterator[tuple[pd.Series, ...]], loader: Loader, key: str, output: Output) -> Iterator[pd.DataFrame]:
    """Do the same for batches of pandas, the way of older versions of Spark; yields one frame per batch."""
    kinds = (pa.int64(), pa.bool_())

    def arrays(batch: tuple[pd.Series, ...]) -> tuple[pa.Array, ...]:
        return tuple(pa.array(one, kinds[i] if i < len(kinds) else pa.string(), from_pandas=True) for i, one in enumerate(batch))

    for structs in score_arrays(map(arrays, batches), loader, key, output):
        columns = zip(structs.type, structs.flatten(), strict=True)
        yield pd.DataFrame({field.name: one.to_pandas(maps_as_pydicts="strict", integer_object_nulls=True) for field, one in columns})


def windows(batches: Iterator[tuple[pa.Array, ...]]) -> Iterator[list[tuple[pa.Array, ...]]]:
    """Gather batches until a window is full."""
    window: list[tuple[pa.Array, ...]] = []
    rows = size = 0
    for batch in batches:
        window.append(batch)
        rows += len(batch[0])
        size += sum(column.nbytes for column in batch[2:])
        if rows >= WINDOW_ROWS or size >= WINDOW_BYTES:
            yield window
            window, rows, size = [], 0, 0
    if window:
        yield window


def engine_of(loader: Loader, key: str) -> Model:
    """Return this process's engine of that name; loads it at the first call, and lets another one go."""
    if key not in _ENGINES:
        # A worker is one process among many on its machine: tokenizers' own threads would only get in each other's way.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        _ENGINES.clear()
        _ENGINES[key] = loader(task_device())
    return _ENGINES[key]


def task_device() -> str | None:
    """Return the GPU that Spark gave this task, else one that few processes of this machine share; None without any."""
    from pyspark import TaskContext

    context = TaskContext.get()
    gpu = context.resources().get("gpu") if context is not None else None
    return f"cuda:{gpu.addresses[0]}" if gpu is not None else gpu_of_process()
