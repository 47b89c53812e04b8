"""Engines are measured, held against float32, and given up early where they are slow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from sparknlp_ft.errors import ModelError
from sparknlp_ft.scoring import measuring
from sparknlp_ft.scoring.choice import as_plain, from_plain, pick
from sparknlp_ft.scoring.columns import Output
from sparknlp_ft.scoring.engine import Scored
from sparknlp_ft.scoring.measuring import Contest, equal_decisions, measure
from sparknlp_ft.tasks import get_task
from tests.unit.scoring.test_rows import Picky

OUTPUT = Output(get_task("classification").prediction_fields)
TEXTS = [f"{'long' * (i % 3)} text {i}" for i in range(100)]
#: What int8 is calibrated with comes before what is measured on.
SAMPLE = [*(f"calibrating {i}" for i in range(33)), *TEXTS]
WANTED = [("torch", "float32"), ("torch", "float16"), ("openvino", "float32"), ("openvino", "int8"), ("onnx", "float32")]


class Coarse(Picky):
    """Decides by the number in a text, the higher the clearer, and otherwise than it ought to where that is small."""

    def __init__(self, wrong: int, rate: float) -> None:
        super().__init__([])
        self.wrong, self.rate = wrong, rate

    def predict(self, texts: Sequence[str], pairs: Sequence[str] | None = None, *, rows: Sequence[int] | None = None) -> Scored:
        found = super().predict(texts, pairs, rows=rows)
        numbers = np.asarray([float(text.split()[-1]) if text[-1].isdigit() else 50.0 for text in texts])
        results = np.stack([np.zeros(len(texts)), numbers + 0.5], axis=1)
        return Scored(np.where((numbers < self.wrong)[:, None], results[:, ::-1], results), found.truncated, found.tokens)


@pytest.fixture
def rates(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, int]]:
    """Engines are as fast as they say; which were run on how many rows."""
    runs: list[tuple[float, int]] = []
    timed = Contest._timed

    def told(self: Contest, model: Coarse, texts: Sequence[Sequence[str]]) -> tuple[pa.StructArray, float]:
        runs.append((model.rate, len(texts[0])))
        return timed(self, model, texts)[0], model.rate

    monkeypatch.setattr(Contest, "_timed", told)
    monkeypatch.setattr(measuring, "_out_of_place", lambda engine, precision: "slow here" if precision == "float16" else None)
    return runs


def load(engine: str, precision: str, calibration: Any = ()) -> Coarse:
    if engine == "onnx":
        raise ModelError("onnxruntime is not there")
    assert list(calibration) == ([(text,) for text in SAMPLE[:33]] if precision == "int8" else [])
    return Coarse(10, 300.0) if precision == "int8" else Coarse(0, 100.0 if engine == "torch" else 110.0)


def test_engines_are_measured_and_held_against_float32(rates: list[tuple[float, int]]) -> None:
    found = measure(load, [SAMPLE], WANTED, OUTPUT, 0.5)
    assert [one.agreement for one in found if one.rows_per_second] == [1.0, 1.0, 0.9]
    assert [one.reason for one in found if one.reason] == ["slow here", "onnxruntime is not there"]
    assert from_plain(as_plain(found)) == found


def test_what_decides_otherwise_too_often_leaves_narrow_decisions_to_the_fastest_that_does_not(rates: list[tuple[float, int]]) -> None:
    found = measure(load, [SAMPLE], WANTED, OUTPUT, 0.95)
    one = found[-1]
    assert one.name == "openvino int8, narrow decisions by openvino float32"
    # 10 of 100 decisions are turned. 4 may stay, by the rule; so those of the 6 narrowest are deferred, and no others.
    assert one.deferred == 0.06 and one.agreement == 0.96
    share = sum(map(len, TEXTS[:6])) / sum(map(len, TEXTS))  # of the characters: long texts take longer
    assert one.rows_per_second == pytest.approx(1 / (1 / 300 + share / 110))
    chosen, lines = pick(found, "auto", 0.95)
    assert chosen is one and lines[-1].endswith("6.0% of rows deferred") and from_plain(as_plain(found)) == found
    assert pick(found, "openvino", 0.95)[0] is one
    assert pick(found, "torch", 0.95)[0] is found[0]


def test_without_margins_or_gain_there_is_no_deferral(rates: list[tuple[float, int]], monkeypatch: pytest.MonkeyPatch) -> None:
    slow = measure(lambda **given: Coarse(10, 111.0) if given["precision"] == "int8" else load(**given), [SAMPLE], WANTED, OUTPUT, 0.97)
    assert all(one.deferral is None for one in slow), "111 rows/s with some rows twice is slower than 110"
    monkeypatch.setattr(type(get_task("classification")), "margins", lambda *_: None)
    assert all(one.deferral is None for one in measure(load, [SAMPLE], WANTED, OUTPUT, 0.95))


def test_a_slow_engine_is_given_up_after_few_rows(rates: list[tuple[float, int]]) -> None:
    several = {"torch": Coarse(0, 100.0), "openvino": Coarse(0, 20.0)}
    wanted = [("torch", "float32"), ("openvino", "float32"), ("openvino", "bfloat16")]
    found = measure(lambda engine, **_: several[engine], [SAMPLE], wanted, OUTPUT, 0.995)
    assert rates == [(100.0, 100), (20.0, 13), (20.0, 13)]
    assert found[1].rows_per_second == 20.0, "its float32 can be fallen back to"
    assert found[2].reason == "about 20 rows/s, and torch float32 does 100"


def test_rows_that_have_no_text_have_no_margin_and_are_not_deferred() -> None:
    margins = measuring.margins_of(Coarse(0, 1.0), [[None, *TEXTS[:2], " "]])
    assert margins is not None and margins.tolist() == [np.inf, 0.5, 1.5, np.inf]
    assert np.isinf(measuring.margins_of(Coarse(0, 1.0), [[None]])).all()  # type: ignore[arg-type]


def test_predicted_numbers_agree_within_a_share_of_their_deviation_and_entities_by_what_they_are() -> None:
    def structs(first: list[Any]) -> pa.StructArray:
        return pa.StructArray.from_arrays([pa.array(first), pa.array(["ok"] * len(first))], names=["prediction", "status"])

    assert equal_decisions(structs([1.0, 2.0]), structs([1.01, 2.5]), 0.02).tolist() == [True, False]
    one, other = [[{"start": 0, "label": "a", "score": 0.5}]], [[{"start": 0, "label": "a", "score": 0.6}]]
    assert equal_decisions(structs(one), structs(other), 0.0).all()
    assert not equal_decisions(structs([["a", "b"]]), structs([["a"]]), 0.0).any()
