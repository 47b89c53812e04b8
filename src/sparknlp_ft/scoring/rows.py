"""Scoring rows as they come: bad rows are marked, a failing one is found, and no other row changes because of it.

Pure pandas and numpy; the UDF (``udf``) and the MLflow model (``tracking.pyfunc``) both score through here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from sparknlp_ft.scoring.engine import Engine, Scored
from sparknlp_ft.scoring.engines.protocol import ReadsAhead, Ready
from sparknlp_ft.scoring.faults import Doubt
from sparknlp_ft.scoring.halving import by_halves, spread
from sparknlp_ft.tasks import Rows

if TYPE_CHECKING:
    import pyarrow as pa

OK, EMPTY, ERROR = "ok", "empty", "error"
#: Of a prediction whose row is no longer in the source, where ``score.on_deleted`` speaks of such.
DELETED = "deleted"

#: What every scored row carries beside its prediction, as Spark DDL.
STATUS_FIELDS = "status string, error string, truncated boolean"

#: Longest error text kept: enough to say what failed, too short to carry a row's text into a table of errors.
ERROR_CHARS = 300

#: A text for every model, where none of the rows has passed yet.
PROBE = "a text"

MENDED = "bytes that are not valid UTF-8 were replaced"


@dataclass(frozen=True)
class Asked:
    """Rows, and those of them that an engine is asked.

    Attributes:
        size: How many rows there are.
        numbers: Numbers of those that have all their texts, in order.
        columns: Their texts, a column per text role.
        seeds: Hash of each one's key; None: no row has one.
        ready: Their texts as the engine computes on them, if that was made beforehand.
    """

    size: int
    numbers: np.ndarray
    columns: list[list[str]]
    seeds: list[int] | None = None
    ready: Ready | None = None


@dataclass(frozen=True)
class Judged:
    """Rows of which is known what becomes of each.

    Attributes:
        engine: What scored them.
        good: Numbers of the rows that have a prediction, in order.
        results: Their results.
        shown: Their texts and offsets, as ``Task.decode`` takes them.
        status: Of all rows, strings.
        error: What is wrong with each row, strings or None.
        truncated: bool [rows].
    """

    engine: Engine
    good: np.ndarray
    results: np.ndarray
    shown: Rows
    status: np.ndarray
    error: np.ndarray
    truncated: np.ndarray

    def arrays(self, most_scores: int | None = None) -> dict[str, pa.Array] | None:
        """Return the predictions of the good rows, of which there are some, as ``Task.arrays`` makes them."""
        return self.engine.task.arrays(self.results, self.shown, self.engine.setup, most_scores=most_scores)

    def frame(self) -> pd.DataFrame:
        """Return what ``score_rows`` returns."""
        predictions, size = self.engine.task.decode(self.results, self.shown, self.engine.setup), len(self.status)
        columns = {name: spread(predictions[name], self.good, size) for name in predictions.columns}
        return pd.DataFrame(columns, index=range(size)).assign(status=self.status, error=self.error, truncated=self.truncated)


def score_rows(engine: Engine, texts: Sequence[Sequence[str | None]], *, rows: Sequence[int] | None = None) -> pd.DataFrame:
    """Score rows, good and bad.

    Args:
        engine: The model.
        texts: One column of texts per text role, of equal lengths; None where there is none.
        rows: Hash of each row's key, which seeds random windows.

    Returns:
        The task's prediction columns, ``status``, ``error`` and ``truncated``; one row per row, order kept. Prediction
        columns are None where status is not 'ok'.

    Raises:
        MachineFault: The rows are not at fault for what went wrong.
    """
    return judge(engine, ask(texts, rows=rows)).frame()


def ask(texts: Sequence[Sequence[str | None]], *, rows: Sequence[int] | None = None) -> Asked:
    """Find the rows that have all their texts; arguments as ``score_rows`` takes them."""
    # NULL and blank are seen here; a text of which the tokenizer keeps nothing (control characters, say) by its tokens.
    present = np.logical_and.reduce([present_texts(column) for column in texts])
    numbers = np.flatnonzero(present)
    return Asked(len(present), numbers, [_take(column, numbers) for column in texts], None if rows is None else _take(rows, numbers))


def made_ready(engine: Engine, asked: Asked) -> Asked:
    """Return the rows with their texts tokenised, if the engine can do that beforehand."""
    if not len(asked.numbers) or not isinstance(engine, ReadsAhead):
        return asked
    try:
        return replace(asked, ready=engine.ready(asked.columns[0], *asked.columns[1:], rows=asked.seeds))
    except Exception:  # Whichever row it is: it is found, and marked, when the rows are scored.
        return asked


def judge(engine: Engine, asked: Asked) -> Judged:
    """Run rows through the engine, and find those that are empty or at fault.

    Raises:
        MachineFault: The rows are not at fault for what went wrong.
    """
    numbers, columns = asked.numbers, asked.columns
    parts, errors = _guarded(engine, asked)
    failed = np.asarray([error is not None for error in errors], dtype=bool)
    tokens = _joined([part.tokens for part in parts])
    good = ~failed & (tokens > 0)

    size = asked.size
    status = np.full(size, EMPTY, dtype=object)
    status[numbers[good]] = OK
    status[numbers[failed]] = ERROR
    error = np.full(size, None, dtype=object)
    error[numbers] = errors
    truncated = np.zeros(size, dtype=bool)
    truncated[numbers] = _joined([part.truncated for part in parts]).astype(bool)
    chosen = np.flatnonzero(good)
    offsets = [one for part in parts for one in part.offsets or ()]
    shown = Rows([], texts=_take(columns[-1], chosen), offsets=_take(offsets, chosen) if engine.task.needs_offsets else [])
    return Judged(engine, numbers[good], _joined([part.results for part in parts])[good], shown, status, error, truncated)


def present_texts(texts: Sequence[str | None]) -> np.ndarray:
    """Return which texts there are, bool: neither None nor blank."""
    return np.fromiter((isinstance(text, str) and bool(text.strip()) for text in texts), dtype=bool, count=len(texts))


def _take(values: Sequence, numbers: np.ndarray) -> list:
    return [values[i] for i in numbers]


def _guarded(engine: Engine, asked: Asked) -> tuple[list[Scored], list[str | None]]:
    """Return results of all rows and each row's error.

    A row at fault has a part of its own, whose ``results`` is an object array that holds None.

    Raises:
        MachineFault: No row is: the machine fails, or the model on it.
    """
    columns, seeds, ready = asked.columns, asked.seeds, asked.ready
    good = [[PROBE] for _ in columns]

    def attempt(rows: slice) -> tuple[Scored, str | None]:
        texts = [column[rows] for column in columns]
        if ready is not None and isinstance(engine, ReadsAhead) and len(texts[0]) == len(columns[0]):
            scored = engine.compute(ready)
        else:
            scored = engine.predict(texts[0], *texts[1:], rows=seeds and seeds[rows])
        if len(scored.results) != len(texts[0]):
            raise RuntimeError(f"the engine returned {len(scored.results)} rows for {len(texts[0])} texts")
        good[:] = [column[:1] for column in texts]
        return scored, None

    def at_fault(row: int, error: Exception) -> tuple[Scored, str | None]:
        nothing = np.full(1, None, dtype=object)
        return Scored(nothing, np.zeros(1, bool), np.zeros(1, np.int64), [_NO_OFFSETS]), described(error)

    rows = list(zip(*columns, strict=True))
    doubt = Doubt(lambda row: attempt(slice(row, row + 1)), rows, lambda: engine.predict(*good))
    parts = by_halves(len(rows), attempt, at_fault, doubt)
    errors = [one for scored, error in parts for one in ([error] if error is not None else _not_finite(scored.results))]
    return [scored for scored, _ in parts], errors


_NO_OFFSETS = np.zeros((0, 2), dtype=np.int32)


def _not_finite(results: np.ndarray) -> list[str | None]:
    """Return the error of each row whose result holds a value that is not finite."""
    return [None if fine else "the model returned a value that is not finite" for fine in _finite(results)]


def _finite(results: np.ndarray) -> list[bool]:
    if results.dtype == object:
        return [bool(np.isfinite(result).all()) for result in results]
    return np.isfinite(results.reshape(len(results), -1)).all(axis=1).tolist()


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    """Join the parts' arrays; a row in error, which is never decoded, gets zeros where the others have numbers."""
    usual = next((part for part in parts if part.dtype != object), None)
    if usual is None:
        return np.concatenate(parts) if parts else np.zeros(0)
    return np.concatenate([part if part.dtype != object else np.zeros((len(part), *usual.shape[1:]), usual.dtype) for part in parts])


def described(error: Exception) -> str:
    """Return an exception's kind and first line, short enough for a table of errors."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"[:ERROR_CHARS]
