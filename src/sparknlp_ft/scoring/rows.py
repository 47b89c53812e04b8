"""Scoring rows as they come: bad rows are marked, a failing one is found, and no other row changes because of it.

Pure pandas and numpy; the UDF (``udf``) and the MLflow model (``tracking.pyfunc``) both score through here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from sparknlp_ft.scoring.engine import Engine, Logits

OK, EMPTY, ERROR = "ok", "empty", "error"

#: What every scored row carries beside its prediction, as Spark DDL.
STATUS_FIELDS = "status string, error string, truncated boolean"

#: Longest error text kept: enough to say what failed, too short to carry a row's text into a table of errors.
ERROR_CHARS = 300

MENDED = "bytes that are not valid UTF-8 were replaced"


def score_rows(engine: Engine, texts: Sequence[Sequence[str | None]], *, rows: Sequence[int] | None = None) -> pd.DataFrame:
    """Score rows, good and bad.

    Args:
        engine: The model.
        texts: One column of texts per text role, of equal lengths; None where there is none.
        rows: Hash of each row's key, which seeds random windows.

    Returns:
        The task's prediction columns, ``status``, ``error`` and ``truncated``; one row per row, order kept. Prediction
        columns are None where status is not 'ok'.
    """
    # NULL and blank are seen here; a text of which the tokenizer keeps nothing (control characters, say) by its tokens.
    present = np.logical_and.reduce([_present(column) for column in texts])
    numbers = np.flatnonzero(present)
    columns = [_take(column, numbers) for column in texts]
    seeds = None if rows is None else _take(rows, numbers)
    logits, errors = _guarded(engine, columns, seeds)
    failed = np.asarray([error is not None for error in errors], dtype=bool)
    good = ~failed & (logits.tokens > 0)

    size = len(present)
    status = np.full(size, EMPTY, dtype=object)
    status[numbers[good]] = OK
    status[numbers[failed]] = ERROR
    error = np.full(size, None, dtype=object)
    error[numbers] = errors
    truncated = np.zeros(size, dtype=bool)
    truncated[numbers] = logits.truncated
    predictions = engine.task.decode(logits.values[good], engine.labels)
    result = _spread(predictions, numbers[good], size)
    return result.assign(status=status, error=error, truncated=truncated)


def _present(texts: Sequence[str | None]) -> np.ndarray:
    return np.fromiter((isinstance(text, str) and bool(text.strip()) for text in texts), dtype=bool, count=len(texts))


def _take(values: Sequence, numbers: np.ndarray) -> list:
    return [values[i] for i in numbers]


def _guarded(engine: Engine, columns: list[list[str]], seeds: list[int] | None) -> tuple[Logits, list[str | None]]:
    """Return logits of all rows and each row's error; what fails is halved until only the rows at fault are left."""
    size = len(columns[0])
    if not size:
        return Logits(np.zeros((0, len(engine.labels)), np.float32), np.zeros(0, bool), np.zeros(0, np.int64)), []
    try:
        result = engine.predict(columns[0], *columns[1:], rows=seeds)
        if len(result.values) != size:
            raise RuntimeError(f"the engine returned {len(result.values)} rows for {size} texts")
    except Exception as error:  # whatever a text does to a tokenizer or a network: it becomes a marked row
        if size == 1:
            return Logits(np.zeros((1, len(engine.labels)), np.float32), np.zeros(1, bool), np.zeros(1, np.int64)), [_described(error)]
        middle = size // 2
        halves = [(slice(None, middle)), (slice(middle, None))]
        parts = [_guarded(engine, [column[half] for column in columns], seeds and seeds[half]) for half in halves]
        return _joined([part[0] for part in parts]), [error for part in parts for error in part[1]]
    finite = np.isfinite(result.values).all(axis=1)
    return result, [None if fine else "the model returned a value that is not finite" for fine in finite]


def _joined(parts: list[Logits]) -> Logits:
    return Logits(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("values", "truncated", "tokens")))


def _described(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"[:ERROR_CHARS]


def _spread(predictions: pd.DataFrame, numbers: np.ndarray, size: int) -> pd.DataFrame:
    """Put predictions at their row numbers, None elsewhere (object columns, so that None stays None)."""
    columns = {}
    for name in predictions.columns:
        values = np.full(size, None, dtype=object)
        # Element by element: assigning a list of lists at once would make numpy look into it.
        for number, value in zip(numbers, predictions[name], strict=True):
            values[number] = value
        columns[name] = values
    return pd.DataFrame(columns, index=range(size))
