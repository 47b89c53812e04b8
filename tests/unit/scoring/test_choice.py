"""An engine is used only if it decides as float32 does, and the fastest of those is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sparknlp_ft.errors import ConfigError, ModelError
from sparknlp_ft.scoring import choice
from sparknlp_ft.scoring.choice import Measured, candidates, measure, pick
from sparknlp_ft.scoring.columns import Output
from sparknlp_ft.scoring.engine import Scored
from sparknlp_ft.scoring.engines.settings import Settings
from sparknlp_ft.tasks import get_task
from tests.unit.scoring.test_rows import Picky

OUTPUT = Output(get_task("classification").prediction_fields)
TEXTS = [f"{'long' * (i % 3)} text {i}" for i in range(100)]


class Wrong(Picky):
    """Decides otherwise for the first texts."""

    def __init__(self, wrong: int) -> None:
        super().__init__([])
        self.wrong = set(TEXTS[:wrong])

    def predict(self, texts, pairs=None, *, rows=None):  # type: ignore[no-untyped-def]
        found = super().predict(texts, pairs, rows=rows)
        turned = np.asarray([text in self.wrong for text in texts])
        return Scored(np.where(turned[:, None], -found.results, found.results), found.truncated, found.tokens)


def load(engine: str, precision: str, calibration: Any = ()) -> Picky:
    if engine == "onnx":
        raise ModelError("onnxruntime is not there")
    assert bool(calibration) == (precision == "int8")
    return Wrong({"float32": 0, "int8": 10, "bfloat16": 0}[precision])


def test_engines_are_measured_and_held_against_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "_out_of_place", lambda engine, precision: "slow here" if precision == "float16" else None)
    wanted = [("torch", "float32"), ("torch", "float16"), ("openvino", "float32"), ("openvino", "int8"), ("onnx", "float32")]
    found = measure(load, [[*TEXTS]], wanted, OUTPUT)
    assert [one.agreement for one in found if one.rows_per_second] == [1.0, 1.0, 0.9]
    assert found[3].difference == pytest.approx(0.0, abs=1e-4)  # a score is that of the decision, whichever it is
    assert [one.reason for one in found if one.reason] == ["slow here", "onnxruntime is not there"]
    assert choice.from_plain(choice.as_plain(found)) == found


def measured(*rates: tuple[str, str, float | None, float]) -> list[Measured]:
    return [Measured(engine, precision, rate, None if rate else "missing", agreement, 0.1) for engine, precision, rate, agreement in rates]


def test_the_fastest_that_agrees_is_picked_and_all_are_told() -> None:
    several = measured(
        ("torch", "float32", 10, 1.0), ("torch", "bfloat16", 30, 0.996), ("openvino", "int8", 50, 0.9), ("onnx", "int8", None, 1)
    )
    chosen, lines = pick(several, "auto", 0.995)
    assert chosen.name == "torch bfloat16" and len(lines) == 4
    assert "refused, score.min_agreement is 0.995" in lines[2] and "0.9000 of decisions" in lines[2] and "not used: missing" in lines[3]
    assert pick(several, "auto", 0.999)[0].name == "torch float32"
    assert pick(several, "auto", 0.5)[0].name == "openvino int8"


def test_a_named_engine_falls_back_to_its_own_float32_and_is_an_error_where_it_is_missing() -> None:
    several = measured(("torch", "float32", 90, 1.0), ("openvino", "float32", 20, 1.0), ("openvino", "int8", 50, 0.9))
    assert pick(several, "openvino", 0.995)[0].name == "openvino float32"
    with pytest.raises(ModelError, match="missing"):
        pick(measured(("torch", "float32", 90, 1.0), ("onnx", "float32", None, 1.0)), "onnx", 0.995)


def test_what_is_tried_depends_on_what_is_asked_for_and_worth_it() -> None:
    assert candidates("torch", "auto", 5_000) == [("torch", "float32"), ("torch", "bfloat16"), ("torch", "float16")]
    assert candidates("openvino", "int8", 5_000) == [("torch", "float32"), ("openvino", "float32"), ("openvino", "int8")]
    assert {engine for engine, _ in candidates("auto", "auto", 5_000)} == {"torch"}
    assert ("openvino", "bfloat16") in candidates("auto", "auto", 50_000) and ("onnx", "int8") not in candidates("auto", "auto", 50_000)
    assert ("onnx", "int8") in candidates("auto", "auto", 500_000)
    with pytest.raises(ConfigError, match=r"'float16' is not computed by engine 'onnx'. Valid for it: auto, float32, int8"):
        candidates("onnx", "float16", 5_000)
    with pytest.raises(ConfigError, match="is not an engine. Valid: torch, openvino, onnx, auto"):
        Settings("tensorrt").check()


def test_predicted_numbers_agree_within_a_share_of_their_deviation_and_entities_by_what_they_are() -> None:
    import pyarrow as pa

    def structs(first: list[Any]) -> pa.StructArray:
        return pa.StructArray.from_arrays([pa.array(first), pa.array(["ok"] * len(first))], names=["prediction", "status"])

    assert choice.agreement(structs([1.0, 2.0]), structs([1.01, 2.5]), 0.02) == 0.5
    one, other = [[{"start": 0, "label": "a", "score": 0.5}]], [[{"start": 0, "label": "a", "score": 0.6}]]
    assert choice.agreement(structs(one), structs(other), 0.0) == 1.0
    assert choice.agreement(structs([["a", "b"]]), structs([["a"]]), 0.0) == 0.0
