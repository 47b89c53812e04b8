"""The user's own functions around a model: a file that travels with it, called on batches, and never able to fail a job.

``preprocess(frame)`` and ``postprocess(frame, predictions)`` are called with the rows that have text, and with its columns
alone, in scoring a table as in ``predict``. A row at which one of them raises is found by halving, and marked.
"""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from sparknlp_ft.errors import ConfigError, UserError, nearest, shown
from sparknlp_ft.identity import fingerprint
from sparknlp_ft.scoring import ddl
from sparknlp_ft.scoring.engine import Engine
from sparknlp_ft.scoring.faults import Doubt
from sparknlp_ft.scoring.halving import by_halves, spread
from sparknlp_ft.scoring.rows import ERROR, ERROR_CHARS, OK, STATUS_FIELDS, described, present_texts, score_rows

#: Name of the user's file in a model folder.
PROCESSING_FILE = "processing.py"

FUNCTIONS = ("preprocess", "postprocess")

Function = Callable[..., Any]


class ProcessingError(Exception):
    """What a function returned is not what is asked of it."""


@dataclass(frozen=True)
class Processing:
    """The user's functions, either of which may be missing.

    Attributes:
        columns: Columns that the functions and the model read, one per text role.
        fields: Prediction columns that come out, as DDL.
        preprocess: Texts in, texts out.
        postprocess: Texts as preprocess left them and the task's prediction columns in, prediction columns out.
    """

    columns: tuple[str, ...]
    fields: str
    preprocess: Function | None = None
    postprocess: Function | None = None

    def prepare(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the frame as the model shall see it; rows in order, under their old index.

        Raises:
            ProcessingError: It is not such a frame. Whatever the function raises comes through.
        """
        if self.preprocess is None:
            return frame
        result = _called("preprocess", self.preprocess, frame)
        if missing := [name for name in self.columns if name not in result.columns]:
            have = ", ".join(map(str, result.columns))
            raise ProcessingError(f"preprocess returned no column {missing[0]!r}; it returned {have or 'none'}")
        return result

    def finish(self, frame: pd.DataFrame, predictions: pd.DataFrame) -> pd.DataFrame:
        """Return the prediction columns, each value of its declared type.

        Args:
            frame: What ``prepare`` returned, of rows that have a prediction.
            predictions: The task's prediction columns of these rows.

        Raises:
            ProcessingError: Columns are missing, more than declared, or hold other values.
        """
        if self.postprocess is None:
            return predictions
        result = _called("postprocess", self.postprocess, frame, predictions.infer_objects())
        declared = dict(ddl.fields(self.fields))
        if missing := [name for name in declared if name not in result.columns]:
            raise ProcessingError(f"postprocess returned no column {missing[0]!r}; package.output is {self.fields!r}")
        if more := [name for name in result.columns if name not in declared]:
            raise ProcessingError(f"postprocess returned column {more[0]!r}, which package.output does not declare ({self.fields!r})")
        columns = {name: _cast(name, result[name], kind) for name, kind in declared.items()}
        return pd.DataFrame(columns, index=frame.index)


@dataclass(frozen=True)
class Processed:
    """An engine with the user's functions around it."""

    engine: Engine
    processing: Processing

    def score(self, texts: Sequence[Sequence[str | None]], *, rows: Sequence[int] | None = None) -> pd.DataFrame:
        """Score rows as ``rows.score_rows`` does, through the functions."""
        frame = pd.DataFrame(dict(zip(self.processing.columns, map(list, texts), strict=True)), dtype=object)
        present = np.logical_and.reduce([present_texts(column) for column in texts])
        prepared, errors = _guarded(self.processing.prepare, "preprocess", frame.iloc[np.flatnonzero(present)])
        shown = prepared.reindex(frame.index)
        inputs = [[text if isinstance(text, str) else None for text in shown[name]] for name in self.processing.columns]
        scored = score_rows(self.engine, inputs, rows=rows)
        good = scored.index[scored["status"] == OK]
        predictions = scored.loc[good].drop(columns=ddl.names(STATUS_FIELDS))
        finished, more = _guarded(self.processing.finish, "postprocess", prepared.loc[good], predictions)
        errors |= more
        columns = {name: spread(finished.get(name, ()), finished.index, len(frame)) for name in ddl.names(self.processing.fields)}
        status = {name: scored[name].to_numpy().copy() for name in ddl.names(STATUS_FIELDS)}
        for row, message in errors.items():
            status["status"][row], status["error"][row] = ERROR, message
        return pd.DataFrame({**columns, **status}, index=frame.index)


def score_model(model: Engine | Processed, texts: Sequence[Sequence[str | None]], *, rows: Sequence[int] | None = None) -> pd.DataFrame:
    """Score rows with an engine, through the user's functions if it has any; as ``rows.score_rows``."""
    return model.score(texts, rows=rows) if isinstance(model, Processed) else score_rows(model, texts, rows=rows)


def load_processing(file: str | Path, *, columns: Sequence[str], fields: str) -> Processing:
    """Run the user's file and return its functions.

    Raises:
        ConfigError: The file cannot be run, or has neither function.
    """
    module = _run(Path(file))
    found = {name: getattr(module, name, None) for name in FUNCTIONS}
    if not any(map(callable, found.values())):
        have = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
        hint = next((near for name in have if (near := nearest(name, FUNCTIONS))), "")
        raise ConfigError(
            f"package.processing: {str(file)!r} defines neither preprocess(frame) nor postprocess(frame, predictions); it defines "
            f"{', '.join(have) or 'no function'}.{hint}"
        )
    return Processing(tuple(columns), fields, **{name: value for name, value in found.items() if callable(value)})


def rehearse(processed: Processed, frame: pd.DataFrame, *, file: str) -> pd.DataFrame:
    """Score an example with nothing caught, so that functions which do not work are refused before they are packaged.

    Args:
        processed: The model.
        frame: Example with the text columns.
        file: What the user calls the file, for messages.

    Returns:
        What ``Processed.score`` gives for the example.

    Raises:
        ConfigError: A function raised or returned something else; says where.
    """
    processing = processed.processing
    try:
        _strictly(processed, frame)
    except ProcessingError as error:
        raise ConfigError(f"package.processing: {file!r}: {error}") from error
    except UserError:
        raise
    except Exception as error:  # whatever a user's function raises is the user's to mend
        at = [line for line in traceback.extract_tb(error.__traceback__) if Path(line.filename).name == PROCESSING_FILE]
        if not at:
            raise
        where = f"line {at[-1].lineno}, in {at[-1].name}"
        raise ConfigError(f"package.processing: {file!r}, {where}: {described(error)}, on the texts of package.example") from error
    return processed.score([frame[name].tolist() for name in processing.columns])


def _strictly(processed: Processed, frame: pd.DataFrame) -> None:
    processing, texts = processed.processing, list(processed.processing.columns)
    prepared = processing.prepare(frame)
    _compare("preprocess", prepared[texts], processing.prepare(frame[:1])[texts])
    scored = score_rows(processed.engine, [[t if isinstance(t, str) else None for t in prepared[name]] for name in texts])
    if (unfit := scored["status"] != OK).any():
        at = int(np.flatnonzero(unfit)[0])
        raise ProcessingError(f"text {at + 1} of package.example cannot be scored: {scored['error'][at] or 'no text is left of it'}")
    predictions = scored.drop(columns=ddl.names(STATUS_FIELDS))
    _compare("postprocess", processing.finish(prepared, predictions), processing.finish(prepared[:1], predictions[:1]))


def _compare(name: str, whole: pd.DataFrame, one: pd.DataFrame) -> None:
    if repr(whole[:1].to_dict("records")) != repr(one.to_dict("records")):
        raise ProcessingError(
            f"{name} makes something else of a row by itself than of the same row among others; batches are of any size, so what "
            "becomes of a row may depend on that row alone"
        )


def _called(name: str, function: Function, *frames: pd.DataFrame) -> pd.DataFrame:
    """Call a function on copies that count their rows from 0, and put the old index back."""
    given = [frame.reset_index(drop=True).copy() for frame in frames]
    index, size = frames[0].index, len(frames[0])
    result = function(*given)
    if not isinstance(result, pd.DataFrame):
        raise ProcessingError(f"{name} returned a {type(result).__name__}; expected a DataFrame")
    if len(result) != size:
        raise ProcessingError(f"{name} returned {len(result)} rows for {size}; expected one for each, in any order under its index")
    if not result.index.is_unique or set(result.index) != set(range(size)):
        raise ProcessingError(f"{name} returned rows under an index of its own ({shown(result.index, 3)}); keep the frame's index")
    return result.loc[list(range(size))].set_axis(index)


def _guarded(call: Function, name: str, *frames: pd.DataFrame) -> tuple[pd.DataFrame, dict[Any, str]]:
    """Return what a function makes of the rows that it can take, under their index, and the errors of the others.

    Raises:
        MachineFault: The machine fails on whatever row.
    """
    errors: dict[Any, str] = {}

    def at_fault(row: int, error: Exception) -> pd.DataFrame:
        message = described(error) if isinstance(error, ProcessingError) else f"{name} raised {described(error)}"
        errors[frames[0].index[row]] = message[:ERROR_CHARS]
        return frames[-1][:0]

    def attempt(rows: slice) -> pd.DataFrame:
        return call(*[frame.iloc[rows] for frame in frames])

    # Of a user's function no text is known to be good.
    doubt = Doubt(lambda row: attempt(slice(row, row + 1)), list(frames[0].itertuples(index=False, name=None)))
    parts = by_halves(len(frames[0]), attempt, at_fault, doubt)
    kept = [part for part in parts if len(part)]
    return pd.concat(kept) if kept else frames[-1][:0], errors


def _cast(name: str, values: pd.Series, kind: str) -> np.ndarray:
    cast = ddl.caster(kind)
    result = np.full(len(values), None, dtype=object)
    for at, value in enumerate(values):
        try:
            result[at] = cast(value)
        except (TypeError, ValueError, OverflowError) as error:
            raise ProcessingError(f"postprocess returned in column {name!r} ({kind}) {error}") from error
    return result


def _run(file: Path) -> ModuleType:
    """Import the file under a name of its own: two models in one process do not get each other's functions."""
    name = f"_sparknlp_ft_processing_{fingerprint(str(file.absolute()), length=16)}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None or not file.is_file():
        raise ConfigError(f"package.processing: {str(file)!r} is not a Python file; give one that defines preprocess or postprocess")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # Dataclasses look their module up there.
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise ConfigError(f"package.processing: {str(file)!r} cannot be run: {described(error)}") from error
    return module
