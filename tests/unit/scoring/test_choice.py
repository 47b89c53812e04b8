"""The fastest engine that decides as float32 does is picked, of those that are worth to be tried."""

from __future__ import annotations

import pytest

from sparknlp_ft.errors import ConfigError, ModelError
from sparknlp_ft.scoring.choice import Measured, candidates, pick
from sparknlp_ft.scoring.engines.settings import Settings


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
    assert ("openvino", "int8") in candidates("auto", "auto", 50_000) and ("onnx", "int8") in candidates("auto", "auto", 500_000)
    with pytest.raises(ConfigError, match=r"'float16' is not computed by engine 'onnx'. Valid for it: auto, float32, int8"):
        candidates("onnx", "float16", 5_000)
    with pytest.raises(ConfigError, match="is not an engine. Valid: torch, openvino, onnx, auto"):
        Settings("tensorrt").check()
