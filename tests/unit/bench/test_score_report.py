"""The benchmark of scoring: from runs to ratios and tables, and the texts that all ways score."""

from __future__ import annotations

from typing import Any

import pytest

from bench.score_ways import report
from bench.score_ways.material import texts


def way(*rates: float, equal: float | None = None) -> dict[str, Any]:
    return {"runs": [{"rows": 100, "seconds": 100 / rate} for rate in rates], "equal": equal}


@pytest.fixture
def found() -> dict[str, Any]:
    engines = {
        "bare_sorted_loop": way(9, 11, equal=1.0),
        "torch_float32": way(10, 12, 11, equal=1.0),
        "torch_bfloat16": way(40, 44, equal=0.996),
        "openvino_int8": way(90, equal=0.9),
    }
    values = {
        "date": "2026-01-01",
        "processor": {"name": "Some(R) CPU", "cores": 2, "flags": ["avx2", "avx512_bf16", "sse4_1"]},
        "versions": {"torch": "2"},
        "threads": 1,
        "peaks": {"float32": 2e11, "bfloat16": 8e11},
        "engines": {"mixed": engines},
        "jobs": {"pipeline_1": way(5), "pipeline_32": way(4), "ours_float32": way(20), "ours_auto": way(40)},
        "equal": {"0": way(20), "30": way(28), "90": way(100)},
        "student": {
            "teacher": {"torch_float32": way(10, equal=1.0), "torch_bfloat16": way(20, equal=1.0)},
            "student": {"torch_float32": way(30, equal=1.0), "onnx_int8": way(90, equal=0.99), "torch_bfloat16": way(50, equal=0.997)},
            "taught": {"epochs": 8, "rows": 12000, "labelled": 9000},
            "agreement": 0.985,
        },
        "machinery": [{"labels": 3, "rows": 10, "rows_per_second_per_core": 30000.0}],
        "table": {"rows": 1000, "first": 100.0, "unchanged": 5.0},
        "cold": [30.0, 20.0, 25.0],
    }
    return {**values, "ratios": report.ratios(values)}


def test_ratios_are_of_medians_and_of_engines_that_agree(found: dict[str, Any]) -> None:
    ratios = found["ratios"]
    assert tuple(ratios) == report.RATIOS
    assert ratios["auto_to_float32"] == pytest.approx(42 / 11, rel=0.01) and ratios["auto_agreement"] == 0.996
    assert ratios["job_to_pipeline"] == pytest.approx(8) and ratios["equal_texts_30"] == pytest.approx(1.4)
    assert ratios["rerun_unchanged"] == 0.05 and ratios["rerun_one_permille"] is None
    assert ratios["cold_seconds_100_rows"] == 25.0 and ratios["student_to_auto"] == pytest.approx(2.5)
    assert ratios["student_agreement"] == 0.985


def test_the_section_has_what_was_measured_and_nothing_else(found: dict[str, Any]) -> None:
    text = report.section(found)
    assert "| torch_bfloat16 | 42.0 | 40.0–44.0 | 3.82 | 0.9960 | 100, 2 |" in text and "`job_to_pipeline` 8" in text
    assert "| student torch_bfloat16 | 50.0 | 50.0–50.0 | 5.00 | 0.9970 | 100, 1 |" in text
    assert "decides 98.50% of texts it was not shown as its teacher does after 8 epochs of 12,000 texts, 9,000 of them labelled." in text
    assert "`rerun_one_permille` not measured" in text and "unchanged 5.0 s." in text
    bare = {name: found[name] for name in ("date", "processor", "versions", "threads")}
    assert "|" not in report.section({**bare, "ratios": report.ratios(bare)})
    assert report.slug(found) == "score-some-r-cpu-avx512-bf16-2-cores"


def test_texts_are_as_equal_as_asked_for() -> None:
    for share in (0.0, 0.3, 0.9):
        assert len(set(texts(200, equal=share))) == round(200 * (1 - share))
    assert len(texts(50, mix="long")) == 50 and len(set(texts(5000, mix="short"))) == 5000
