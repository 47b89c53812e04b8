"""The table of defaults says of each cell who won and whether the alias knew, and that it is partial where it is."""

from __future__ import annotations

from typing import Any

from bench import defaults


def cell(name: str, model: float, *, moved: bool) -> dict[str, Any]:
    values = {"set": name, "rows": 100, "split": 0, "metric": "accuracy", "baseline": "TF-IDF", "baseline_test": 0.5, "model_test": model}
    values["defaults"] = defaults.defaults(100, name)
    return {**values, "moved": moved, "epochs": 3, "steps": 30, "seconds": 12.3, "test_rows": 600, "validation_rows": 20}


def test_cells_that_lost_and_whether_the_alias_knew() -> None:
    cells = {
        "snips-100-0": cell("snips", 0.4, moved=True),
        "snli-100-0": cell("snli", 0.4, moved=False),
        "banking77-100-0": cell("banking77", 0.6, moved=True),
        "banking77-100-0-longer": cell("banking77", 0.9, moved=True),
    }
    text = defaults.section(cells)
    assert "1 of 3 cells better than the baseline; 1 moved and are not." in text
    assert f"3 of {len(defaults.SETS) * 9} cells have run" in text
    assert "0.9000" not in text, "a variant is no default"
    assert "earlier settings" not in text
    cells["snli-100-0"]["defaults"] = "before"
    assert "Cells of snli were run with earlier settings" in defaults.section(cells)


def test_other_defaults_have_another_name() -> None:
    from sparknlp_ft.training import plan

    before = defaults.defaults(600, "snips")
    assert before == defaults.defaults(600, "snips")
    kept, plan.LEAST_STEPS = plan.LEAST_STEPS, 7
    try:
        assert defaults.defaults(600, "snips") != before
    finally:
        plan.LEAST_STEPS = kept


def test_how_epochs_are_picked_of_few_rows_concerns_small_tables_alone() -> None:
    from sparknlp_ft.training import picking

    small, large = defaults.defaults(100, "snips"), defaults.defaults(2000, "snips")
    kept, picking.FEW_ROWS = picking.FEW_ROWS, 10
    try:
        assert defaults.defaults(100, "snips") != small and defaults.defaults(2000, "snips") == large
    finally:
        picking.FEW_ROWS = kept
