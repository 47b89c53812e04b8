"""A report as HTML: one page that needs nothing else, or a part of a notebook. All values are escaped."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from sparknlp_ft.reports.blocks import Cell, Report, is_number, shown_cell
from sparknlp_ft.reports.drawing import HEIGHT, WIDTH, draw_chart
from sparknlp_ft.secrecy import cleaned

if TYPE_CHECKING:
    from jinja2 import Environment

#: Characters of a text for which a narrow column would be no more than a strip, and of a word that may be broken.
LONG_TEXT, LONG_WORD = 80, 24


class Viewed(ABC):
    """What notebooks show as HTML: an object with a ``report``."""

    @abstractmethod
    def report(self) -> Report:
        """Return what is shown."""

    def _repr_html_(self) -> str:
        return as_fragment(self.report())


def as_page(report: Report) -> str:
    """Return one self-contained page: light and dark, narrow and wide, printable; nothing is fetched from anywhere."""
    return _rendered("page.html.j2", report)


def as_fragment(report: Report) -> str:
    """Return what stands in a notebook: without scripts, and in the notebook's own colours."""
    return _rendered("fragment.html.j2", report)


def _rendered(template: str, report: Report) -> str:
    return cleaned(_environment().get_template(template).render(report=report, width=WIDTH, height=HEIGHT))


@functools.cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("sparknlp_ft.reports"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"shown": shown_cell, "drawn": draw_chart, "width": _width}
    environment.tests["number"] = is_number
    environment.tests["link"] = lambda value: getattr(value, "leads", False)
    return environment


def _width(value: Cell) -> str:
    """Return the class of a cell that needs a width of its own: 'text', 'word' or none."""
    text = shown_cell(value)
    if len(text) >= LONG_TEXT:
        return "text"
    return "word" if any(len(word) > LONG_WORD for word in text.split()) else ""
