"""Which engine scores a table: each measured on the table's own texts, and held against float32 before it may be used."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from sparknlp_ft.errors import ConfigError, ModelError, UserError
from sparknlp_ft.scoring.columns import Model, Output, score_structs
from sparknlp_ft.scoring.engines.settings import FLOAT32, PRECISIONS, Settings
from sparknlp_ft.scoring.processing import Processed

#: With fewer rows to score than this, nothing is measured: it costs more than it saves (6,000 rows of MiniLM on two cores: 37 s, not 35).
MEASURED_FROM = 10_000
#: With fewer rows than this, ``auto`` tries no engine that a model is exported for, which takes seconds,
EXPORTED_FROM = 20_000
#: and with fewer than this no int8, whose calibration takes longer.
QUANTISED_FROM = 100_000

#: Rows that are measured on, and rows of these that int8 is calibrated with.
SAMPLE, CALIBRATION = 512, 128

#: Predicted numbers count as equal up to this share of the target's deviation.
TOLERANCE = 0.02

REFERENCE = ("torch", FLOAT32)


@dataclass(frozen=True)
class Measured:
    """What came of one engine in one number format.

    Attributes:
        engine: Its name.
        precision: Its number format.
        rows_per_second: In one worker; None: it could not be used, and
        reason: says why.
        agreement: Share of rows with the same decision as torch in float32.
        difference: Largest difference of a score or number.
    """

    engine: str
    precision: str
    rows_per_second: float | None = None
    reason: str | None = None
    agreement: float = 1.0
    difference: float = 0.0

    @property
    def name(self) -> str:
        return f"{self.engine} {self.precision}"


def candidates(engine: str, precision: str, rows: int) -> list[tuple[str, str]]:
    """Return the engines and number formats to measure, torch in float32 first.

    Args:
        engine: As in ``score.engine``.
        precision: As in ``score.precision``.
        rows: Rows to score, which decide what is worth to be tried.

    Raises:
        ConfigError: No such engine computes in this number format.
    """
    engines = [engine] if engine != "auto" else ["torch", *(["openvino", "onnx"] if rows >= EXPORTED_FROM else [])]
    if engine != "auto":
        Settings(engine, precision).check()
    elif precision not in ("auto", *{one for several in PRECISIONS.values() for one in several}):
        raise ConfigError(f"score.precision: {precision!r} is computed by no engine")
    found = [REFERENCE]
    for name in engines:
        tried = [one for one in PRECISIONS[name] if precision in ("auto", one) or one == FLOAT32]
        if precision == "auto":
            tried = [one for one in tried if one != "int8" or (engine == "auto" and rows >= QUANTISED_FROM)]
        found += [(name, one) for one in tried if (name, one) not in found]
    return found


def measure(
    load: Callable[..., Model], texts: Sequence[Sequence[str | None]], wanted: Iterable[tuple[str, str]], output: Output
) -> list[Measured]:
    """Measure engines on rows of the table, on this machine.

    Args:
        load: Makes the model from ``engine``, ``precision`` and ``calibration``.
        texts: A column of texts per text role.
        wanted: What ``candidates`` returned.
        output: What is written of a prediction.
    """
    calibration = calibration_rows(texts)
    reference: pa.StructArray | None = None
    found = []
    for engine, precision in wanted:
        if (reason := _out_of_place(engine, precision)) is not None:
            found.append(Measured(engine, precision, reason=reason))
            continue
        try:
            model = load(engine=engine, precision=precision, calibration=calibration if precision == "int8" else ())
            structs, rate = _timed(model, texts, output)
        except UserError as error:
            found.append(Measured(engine, precision, reason=str(error)))
            continue
        reference = structs if reference is None else reference
        tolerance = TOLERANCE * float((model.engine if isinstance(model, Processed) else model).setup.settings.get("deviation", 1.0))
        found.append(Measured(engine, precision, rate, None, agreement(reference, structs, tolerance), difference(reference, structs)))
    return found


def calibration_rows(texts: Sequence[Sequence[str | None]]) -> list[tuple[str, ...]]:
    """Return the rows that int8 is calibrated with: the first of those that have all their texts."""
    whole = [row for row in zip(*texts, strict=True) if all(text and text.strip() for text in row)]
    return whole[:CALIBRATION]


def pick(measured: Sequence[Measured], engine: str, least: float) -> tuple[Measured, list[str]]:
    """Return the fastest engine that may be used, and a line on each.

    Raises:
        ModelError: The engine that was named cannot be used; says why.

    Args:
        measured: What ``measure`` returned; torch in float32 first.
        engine: As in ``score.engine``: of a named one, float32 is what is used if nothing else may be.
        least: Share of equal decisions that a number format other than float32 needs.
    """
    lines, allowed = [], []
    for one in measured:
        if one.rows_per_second is None:
            lines.append(f"{one.name}: not used: {one.reason}")
            continue
        agrees = f"{one.agreement:.4f} of decisions equal to float32, largest difference {one.difference:.3g}"
        line = f"{one.name}: {one.rows_per_second:,.0f} rows/s" + ("" if one is measured[0] else f", {agrees}")
        if one.precision != FLOAT32 and one.agreement < least:
            lines.append(f"{line}: refused, score.min_agreement is {least}")
            continue
        lines.append(line)
        if engine in ("auto", one.engine):
            allowed.append(one)
    if engine != "auto" and not allowed:
        raise ModelError(
            next((one.reason for one in measured if one.engine == engine and one.reason), f"engine {engine!r} was not measured")
        )
    chosen = max(allowed or measured[:1], key=lambda one: one.rows_per_second or 0.0)
    return chosen, lines


def as_plain(measured: Sequence[Measured]) -> list[dict[str, Any]]:
    """Return what was measured as plain values, and ``from_plain`` takes them back."""
    return [asdict(one) for one in measured]


def from_plain(values: Iterable[Mapping[str, Any]]) -> list[Measured]:
    """Return what ``as_plain`` was given."""
    return [Measured(**value) for value in values]


def agreement(one: pa.StructArray, other: pa.StructArray, tolerance: float) -> float:
    """Return the share of rows whose status and first prediction column are the same, scores inside of it aside."""
    pairs = zip(one.field(0).to_pylist(), other.field(0).to_pylist(), strict=True)
    same = [_same(a, b, tolerance) for a, b in pairs]
    status = np.asarray(one.field("status").to_pylist()) == np.asarray(other.field("status").to_pylist())
    return float((np.asarray(same, dtype=bool) & status).mean()) if same else 1.0


def _same(one: Any, other: Any, tolerance: float) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= tolerance
    return bool(_decided(one) == _decided(other))


def _decided(value: Any) -> Any:
    """Return a prediction without the numbers that say how sure it is."""
    if isinstance(value, list):
        return [_decided(one) for one in value]
    if isinstance(value, dict):
        return {name: _decided(one) for name, one in value.items() if not isinstance(one, float)}
    return value


def difference(one: pa.StructArray, other: pa.StructArray) -> float:
    """Return the largest difference of a number in columns of numbers."""
    found = [0.0]
    for a, b in zip(one.flatten(), other.flatten(), strict=True):
        if pa.types.is_floating(a.type):
            gaps = np.abs(a.to_numpy(zero_copy_only=False) - b.to_numpy(zero_copy_only=False))
            found.append(float(np.nanmax(gaps, initial=0.0)))
    return max(found)


def _timed(model: Model, texts: Sequence[Sequence[str | None]], output: Output) -> tuple[pa.StructArray, float]:
    """Return the scored rows and rows a second of the second of two runs: the first one compiles."""
    columns, size = [pa.array(text, pa.string()) for text in texts], len(texts[0])
    rows, mended = pa.array(range(size), pa.int64()), pa.array([False] * size)
    score_structs(model, [column[:16] for column in columns], rows[:16], mended[:16], output)
    start = time.perf_counter()
    structs = score_structs(model, columns, rows, mended, output)
    return structs, size / (time.perf_counter() - start)


def _out_of_place(engine: str, precision: str) -> str | None:
    """Return why a number format is slow here, if it is; measuring it would take longer than the job."""
    if engine != "torch" or precision == FLOAT32:
        return None
    from sparknlp_ft.models.device import has_bfloat16, pick_device

    device = pick_device()
    if precision == "bfloat16" and not has_bfloat16(device):
        return "this processor only emulates bfloat16"
    if precision == "float16" and device.type != "cuda":
        return "only GPUs compute float16 fast"
    return None
