"""The benchmark of training: from what processes left to ratios, table, docs and picture."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from bench.train_ways import picture, report

ROOT = Path(__file__).parents[3]
FACTS = {"data": "toy", "rows": 6, "epochs": 1, "tokens": 60, "tokens_per_row": 10.0, "labels": 2, "validation_rows": 4}


def left(seconds: float, tokens: list[int], losses: list[float]) -> dict[str, Any]:
    """What a process leaves."""
    waiting = {"feed": seconds / 10, "allreduce": seconds / 4}
    validation = {"accuracy": 0.5, "loss": 0.7}
    values = {"seconds": seconds, "first_step": 3.0, "losses": losses, "tokens": tokens, "waiting": waiting, "threads": 1}
    return {**values, "validation": validation}


def way(name: str, kind: str, seconds: list[float], *, processes: int = 1) -> dict[str, Any]:
    """A way with a round for each of the seconds."""
    one = [[left(taken, [20 // processes] * 3, [2.0, 1.5, 1.0])] * processes for taken in seconds]
    runs = [report.run_figures(ranks, FACTS) for ranks in one]
    return {"name": name, "title": f"the way {name}", "kind": kind, "processes": processes, "runs": runs, **report.summary(runs)}


@pytest.fixture
def measured() -> dict[str, Any]:
    ways = {
        "one_rank": way("one_rank", "ours", [1.0, 4.0, 1.0]),
        "two_ranks": way("two_ranks", "ours", [0.5, 2.0, 1.0], processes=2),
        "one_rank_single_threaded": way("one_rank_single_threaded", "ours", [1.0, 4.0, 2.0]),
        "trainer_grouped": way("trainer_grouped", "trainer", [2.0, 8.0, 2.0]),
        "bare": way("bare", "bare", [1.5, 6.0, 1.5]),
    }
    peak = {"operations": 6e12, "operations_in_model_shapes": 3e12, "parameters": 2_000_000, "parameters_without_embeddings": 1_000_000}
    return {
        "date": "2026-01-01",
        "precision": "bfloat16",
        "processor": {"name": "Some(R) CPU @ 2.0GHz", "cores": 2, "flags": ["avx2", "avx512_bf16", "sse4_1"]},
        "versions": {"torch": "2"},
        "facts": FACTS,
        "settings": {"batch_size": 2, "rounds": 3},
        "ways": ways,
        "ratios": report.ratios(ways, {"fixed_seconds": 21.0}),
        "bound": report.bound([peak], FACTS),
        "whole": {"rows_of_table": 10, "command_seconds": 30.0, "fixed_seconds": 21.0},
    }


def test_ratios_are_taken_within_rounds(measured: dict[str, Any]) -> None:
    assert measured["ratios"] == pytest.approx(
        {
            "one_rank_to_trainer_grouped": 2.0,
            "one_rank_to_bare": 1.5,
            "two_ranks_to_trainer_grouped": 4.0,
            "two_ranks_to_one_single_threaded": 2.0,
            "padding": 1.0,
            "fixed_seconds": 21.0,
        }
    )


def test_what_was_not_measured_has_no_ratio(measured: dict[str, Any]) -> None:
    only = {"one_rank": measured["ways"]["one_rank"]}
    found = report.ratios(only, None)
    assert found["one_rank_to_bare"] is None
    assert found["fixed_seconds"] is None
    assert report.table({**measured, "ways": only}).count("\n") == 2
    assert "`one_rank_to_bare` not measured" in report.section({**measured, "ratios": found, "whole": None, "bound": None}, None)


def test_the_slower_of_two_counts() -> None:
    ranks = [left(1.0, [30, 10, 20], [2.0, 2.0, 2.0]), left(1.5, [10, 30, 20], [1.0, 1.0, 1.0])]
    figures = report.run_figures(ranks, FACTS)
    assert figures["rows_per_second"] == 4.0
    assert figures["padding"] == 2.0
    assert figures["padding_of_slower"] == pytest.approx(160 / 60)
    assert figures["losses"] == [1.5, 1.5, 1.5]
    assert figures["waiting"]["feed"] == pytest.approx(0.125 / 1.5)


def test_bound_is_peak_over_operations_of_a_row(measured: dict[str, Any]) -> None:
    assert measured["bound"]["rows_per_second"] == 100_000
    assert measured["bound"]["rows_per_second_in_model_shapes"] == 50_000


def test_the_file_is_named_by_processor_and_precision(measured: dict[str, Any]) -> None:
    assert report.slug(measured) == "train-some-r-cpu-2-0ghz-avx512-bf16-2-cores-bfloat16"


def test_table_and_picture(measured: dict[str, Any], tmp_path: Path) -> None:
    lines = report.table(measured).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert lines[2].startswith("| the way one_rank | 6.0 | 1.5–6.0 | 2.00 | 1.000 | 2.00 → 1.00 | 0.500 | 3.0 | 10.0%, 25.0% |")
    assert "1.000 (1.000)" in lines[3]
    picture.draw(measured, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 10_000


def test_docs_take_the_sections_between_the_marks(measured: dict[str, Any]) -> None:
    script = load_script()
    text = f"# Title\n\n{script.START}\n\nold\n\n{script.END}\n\nrest\n"
    once = script.written(text, {"train-x": measured})
    assert script.written(once, {"train-x": measured}) == once
    assert "old" not in once
    assert "bench/results/train-x.png" in once
    assert once.endswith("\n\nrest\n")
    with pytest.raises(ValueError, match="lacks the lines"):
        script.written("# Title\n", {})


def test_docs_are_in_step_with_the_results() -> None:
    script = load_script()
    text = script.FILE.read_text(encoding="utf-8")
    assert script.written(text, script.reports()) == text, "run scripts/write_benchmarks.py"


def load_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("write_benchmarks", ROOT / "scripts" / "write_benchmarks.py")
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script
