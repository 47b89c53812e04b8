"""Notebooks run cell by cell, as their readers run them."""

from __future__ import annotations

import ast
import contextlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent.parent / "notebooks"

#: Names that a notebook leaves, what its cells show, and what they print.
Ran = tuple[dict[str, Any], list[Any], str]


def run_notebook(name: str, own: Mapping[str, Any]) -> Ran:
    """Run a notebook.

    Args:
        name: Of the file, without its ending.
        own: Values for names of the notebook, in place of those that it gives them.
    """
    cells = json.loads((FOLDER / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    names: dict[str, Any] = {}
    shown: list[Any] = []
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        for cell in cells:
            if cell["cell_type"] == "code":
                tree = ast.parse("".join(cell["source"]))
                last = ast.Expression(tree.body.pop().value) if tree.body and isinstance(tree.body[-1], ast.Expr) else None
                exec(compile(tree, name, "exec"), names)  # noqa: S102  the project's own notebook
                names |= {one: value for one, value in own.items() if one in names}
                shown += [] if last is None else [eval(compile(last, name, "eval"), names)]  # noqa: S307
    return names, [one for one in shown if one is not None], printed.getvalue()
