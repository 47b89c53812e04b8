"""A table is scored by the engine that was found fastest on its own rows, or by float32 where none decides as it does."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from sparknlp_ft.errors import ConfigError
from sparknlp_ft.pipelines.score import run_score
from sparknlp_ft.steps import engines
from tests.spark.scoring.conftest import Lake


def test_an_engine_is_measured_chosen_and_told(
    lake: Lake, support: Callable[[int], list[tuple]], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(engines, "MEASURED_FROM", 10)
    lake.write("support", support(60))
    run_score(lake.config("support", score={"output": "usual"}), lake.spark)
    usual = {row["id"]: row for row in lake.read("usual").collect()}
    with caplog.at_level(logging.INFO, logger="sparknlp_ft"):
        run_score(lake.config("support", score={"engine": "auto", "precision": "auto", "most_scores": 1, "output": "measured"}), lake.spark)
    assert all(f"engine torch {precision}: " in caplog.text for precision in ("float32", "bfloat16", "float16"))
    assert any(f"engine: torch {precision} is used" in caplog.text for precision in ("float32", "bfloat16"))
    found = {row["id"]: row for row in lake.read("measured").collect()}
    assert found.keys() == usual.keys()
    equal = sum(found[key]["label"] == usual[key]["label"] for key in usual)
    assert equal >= 0.95 * len(usual) and all(list(row["scores"]) == [row["label"]] for row in found.values())
    with pytest.raises(ConfigError, match="'bfloat16' is not computed by engine 'onnx'"):
        run_score(lake.config("support", score={"engine": "onnx", "precision": "bfloat16", "output": "none", "most_scores": 0}), lake.spark)
