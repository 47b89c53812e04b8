"""Which engine scores a table: what is worth to be measured, and the fastest of those that decide as float32 does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import Any

from sparknlp_ft.errors import ConfigError, ModelError
from sparknlp_ft.scoring.engines.settings import FLOAT32, PRECISIONS, Settings

#: With fewer rows than this for each task that runs at once, nothing is measured: it takes longer than it saves (MiniLM on two
#: cores: 3,000 rows each took 37 s, and 35 s without).
MEASURED_FROM = 5_000
#: With fewer than this, ``auto`` tries no engine that a model is exported for, which takes seconds,
EXPORTED_FROM = 10_000
#: with fewer than this no int8, whose calibration takes more,
QUANTISED_FROM = 15_000
#: and with fewer than this no second such engine, where the first one is installed.
SECOND_FROM = 500_000

#: Rows of the sample, those included that int8 is calibrated with.
SAMPLE = 640

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
        deferral: Fields of a ``Deferral``, if narrow decisions are left to another engine, and
        deferred: the share of rows that are.
    """

    engine: str
    precision: str
    rows_per_second: float | None = None
    reason: str | None = None
    agreement: float = 1.0
    difference: float = 0.0
    deferral: dict[str, Any] | None = None
    deferred: float = 0.0

    @property
    def name(self) -> str:
        own = f"{self.engine} {self.precision}"
        return own if self.deferral is None else f"{own}, narrow decisions by {self.deferral['engine']} {self.deferral['precision']}"


def candidates(engine: str, precision: str, rows: int) -> list[tuple[str, str]]:
    """Return the engines and number formats to measure, torch in float32 first.

    Args:
        engine: As in ``score.engine``.
        precision: As in ``score.precision``.
        rows: Rows to score of each task that runs at once, which decide what is worth to be tried.

    Raises:
        ConfigError: No such engine computes in this number format.
    """
    engines = [engine] if engine != "auto" else ["torch", *exporting(rows)]
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


def exporting(rows: int) -> list[str]:
    """Return the engines that a model is exported for, of those that are worth to be tried for so many rows of each task."""
    if rows < EXPORTED_FROM:
        return []
    return ["openvino", "onnx"] if rows >= SECOND_FROM or find_spec("openvino") is None else ["openvino"]


def fastest(measured: Iterable[Measured], least: float) -> Measured | None:
    """Return the fastest of the engines that may be used by themselves."""
    allowed = [one for one in measured if one.rows_per_second and (one.precision == FLOAT32 or one.agreement >= least)]
    return max(allowed, key=lambda one: one.rows_per_second or 0.0, default=None)


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
        line += "" if one.deferral is None else f", {one.deferred:.1%} of rows deferred"
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
