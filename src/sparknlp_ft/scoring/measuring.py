"""Engines measured on rows of the table, on the machine that will score it, and held against float32."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from sparknlp_ft.errors import UserError
from sparknlp_ft.scoring.choice import Measured, fastest
from sparknlp_ft.scoring.columns import Model, Output, score_structs
from sparknlp_ft.scoring.deferral import Look, margins_of, with_deferral
from sparknlp_ft.scoring.engines.settings import FLOAT32
from sparknlp_ft.scoring.processing import Processed

#: Rows that int8 is calibrated with; of a small sample a quarter.
CALIBRATION = 128

#: Predicted numbers count as equal up to this share of the target's deviation.
TOLERANCE = 0.02

#: An engine is tried on every so many-th row first,
EACH = 8
#: and goes no further if it is there slower than this share of the best one's rate; on few rows more is padded.
SLOW = 0.8

#: Makes a model from ``engine``, ``precision`` and ``calibration``.
Load = Callable[..., Model]
Texts = Sequence[Sequence[str | None]]


def measure(load: Load, texts: Texts, wanted: Iterable[tuple[str, str]], output: Output, least: float) -> list[Measured]:
    """Measure engines, and what those come to with a deferral that decide otherwise too often alone.

    Args:
        load: Makes an engine.
        texts: A column of texts per text role. The first rows calibrate (``calibration_rows``), and are not measured on: what was
            fitted to them decides them better than others.
        wanted: What ``choice.candidates`` returned.
        output: What is written of a prediction.
        least: Share of equal decisions that a number format other than float32 needs.
    """
    cut = calibrating(len(texts[0]))
    contest = Contest(load, [column[cut:] for column in texts], output, least, calibration_rows(texts))
    for engine, precision in wanted:
        contest.enter(engine, precision)
    return [*contest.found, *contest.deferring()]


@dataclass
class Contest:
    """Engines that were measured so far; arguments as ``measure`` takes them, and the rows that int8 is calibrated with."""

    load: Load
    texts: Texts
    output: Output
    least: float
    calibration: Sequence[tuple[str, ...]]
    found: list[Measured] = field(default_factory=list)
    _reference: pa.StructArray | None = None
    _looks: list[Look] = field(default_factory=list)

    def enter(self, engine: str, precision: str) -> None:
        """Measure one more."""
        found = Measured(engine, precision, reason=_out_of_place(engine, precision))
        if found.reason is None:
            calibration = self.calibration if precision == "int8" else ()
            try:
                found = self._measured(found, self.load(engine=engine, precision=precision, calibration=calibration))
            except UserError as error:
                found = Measured(engine, precision, reason=str(error))
        self.found.append(found)

    def deferring(self) -> list[Measured]:
        """Return those that are faster than all others if they leave narrow decisions to one of these, the one that suits them best."""
        usable, alone = [look for look in self._looks if fastest([look.found], self.least)], fastest(self.found, self.least)
        sizes = np.asarray([sum(len(text or "") for text in row) for row in zip(*self.texts, strict=True)])
        best = []
        for quick in self._looks:
            several = [with_deferral(quick, sure, self.least, sizes) for sure in usable] if quick.margins is not None else []
            best.append(fastest([one for one in several if one is not None], self.least))
        return [one for one in best if one is not None and alone is not None and fastest([alone, one], self.least) is one]

    def _measured(self, entered: Measured, model: Model) -> Measured:
        exact, best = entered.precision == FLOAT32, fastest(self.found, self.least)
        if best is not None and best.rows_per_second is not None:
            _, rate = self._timed(model, [column[::EACH] for column in self.texts])
            if rate < SLOW * best.rows_per_second:
                if exact:  # It can be fallen back to, where nothing else of its engine may be used.
                    return replace(entered, rows_per_second=rate)
                return replace(entered, reason=f"about {rate:,.0f} rows/s, and {best.name} does {best.rows_per_second:,.0f}")
        structs, rate = self._timed(model, self.texts)
        self._reference = structs if self._reference is None else self._reference
        equal = equal_decisions(self._reference, structs, _tolerance(model))
        agrees, gap = float(equal.mean()) if len(equal) else 1.0, difference(self._reference, structs)
        found = replace(entered, rows_per_second=rate, agreement=agrees, difference=gap)
        margins = margins_of(model, self.texts) if not exact and agrees < self.least else None
        self._looks.append(Look(found, ~equal, margins))
        return found

    def _timed(self, model: Model, texts: Texts) -> tuple[pa.StructArray, float]:
        """Return the scored rows and rows a second of the second of two runs: the first one, of few rows, compiles."""
        columns, size = [pa.array(text, pa.string()) for text in texts], len(texts[0])
        rows, mended = pa.array(range(size), pa.int64()), pa.array([False] * size)
        score_structs(model, [column[:16] for column in columns], rows[:16], mended[:16], self.output)
        start = time.perf_counter()
        structs = score_structs(model, columns, rows, mended, self.output)
        return structs, size / (time.perf_counter() - start)


def calibrating(rows: int) -> int:
    """Return how many rows of a sample calibrate."""
    return min(CALIBRATION, rows // 4)


def calibration_rows(texts: Texts) -> list[tuple[str, ...]]:
    """Return the rows of a sample that int8 is calibrated with: of its first ones those that have all their texts."""
    first = [column[: calibrating(len(column))] for column in texts]
    return [row for row in zip(*first, strict=True) if all(text and text.strip() for text in row)]


def equal_decisions(one: pa.StructArray, other: pa.StructArray, tolerance: float) -> np.ndarray:
    """Return of which rows status and first prediction column are the same, scores inside of it aside; bool [rows]."""
    pairs = zip(one.field(0).to_pylist(), other.field(0).to_pylist(), strict=True)
    same = [_same(a, b, tolerance) for a, b in pairs]
    status = np.asarray(one.field("status").to_pylist()) == np.asarray(other.field("status").to_pylist())
    return np.asarray(same, dtype=bool) & status


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


def _tolerance(model: Model) -> float:
    setup = (model.engine if isinstance(model, Processed) else model).setup
    return TOLERANCE * float(setup.settings.get("deviation", 1.0))


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
