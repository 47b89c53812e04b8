"""Write the notebooks of the task families from their template, and notebooks/*.ipynb from the Databricks sources beside them.

Tests hold all of them in step.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from notebook_families import FAMILIES, source_of

FOLDER = Path(__file__).parent.parent / "notebooks"
HEAD = "# Databricks notebook source\n"
CUT = re.compile(r"\n*# COMMAND -+\n*")
MAGIC = "# MAGIC"


def cells(source: str) -> list[tuple[str, str]]:
    """Return (kind, text) of the cells of a Databricks source: 'markdown' or 'code'."""
    return [_cell(text.strip("\n")) for text in CUT.split(source.removeprefix(HEAD)) if text.strip()]


def notebook(source: str) -> str:
    """Return the Jupyter form of a Databricks source."""
    made: list[dict[str, Any]] = []
    for number, (kind, text) in enumerate(cells(source)):
        cell: dict[str, Any] = {"cell_type": kind, "id": f"cell-{number}", "metadata": {}, "source": text.splitlines(keepends=True)}
        made.append(cell | ({"execution_count": None, "outputs": []} if kind == "code" else {}))
    about = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}, "language_info": {"name": "python"}}
    return json.dumps({"cells": made, "metadata": about, "nbformat": 4, "nbformat_minor": 5}, ensure_ascii=False, indent=1) + "\n"


def _cell(text: str) -> tuple[str, str]:
    if not text.startswith(f"{MAGIC} %md"):
        return "code", text
    lines = [line.removeprefix(MAGIC).removeprefix(" ") for line in text.splitlines()]
    return "markdown", "\n".join([lines[0].removeprefix("%md"), *lines[1:]]).strip("\n")


if __name__ == "__main__":
    for name in FAMILIES:
        (FOLDER / f"{name}.py").write_text(source_of(name), encoding="utf-8")
    for file in sorted(FOLDER.glob("*.py")):
        file.with_suffix(".ipynb").write_text(notebook(file.read_text(encoding="utf-8")), encoding="utf-8")
