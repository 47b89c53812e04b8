"""The example's rows and the notebooks are what their scripts write."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tickets_are_the_scripts_own() -> None:
    text = (ROOT / "examples" / "tickets.csv").read_text(encoding="utf-8")
    assert text == script("write_examples").tickets()
    assert text.count("\n") == 241 and len(text) < 20_000


@pytest.mark.parametrize("file", sorted((ROOT / "notebooks").glob("*.py")), ids=lambda file: file.stem)
def test_both_forms_of_a_notebook_say_the_same(file: Path) -> None:
    made = script("write_notebooks")
    source = file.read_text(encoding="utf-8")
    assert source.startswith(made.HEAD)
    assert file.with_suffix(".ipynb").read_text(encoding="utf-8") == made.notebook(source)
    assert source == made.source_of(file.stem) if file.stem in made.FAMILIES else file.stem == "quickstart"
    assert len(made.cells(source)) <= 12 or file.stem == "quickstart"
    kinds = {kind for kind, _ in made.cells(source)}
    assert kinds == {"markdown", "code"}
