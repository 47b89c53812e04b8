"""The report: one file that needs nothing else, with everything escaped; its JSON twin; intervals that hold what they should."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sparknlp_ft.reports.blocks import Bars, Chart, Facts, Line, Link, Report, Table, shown_cell
from sparknlp_ft.reports.drawing import HEIGHT, WIDTH, draw_chart
from sparknlp_ft.reports.page import as_fragment, as_page
from sparknlp_ft.reports.quality import Quality, confusions, coverage, intervals, quality_blocks
from tests.look.pages import classified as evaluated

HOSTILE = "\"><script>alert(1)</script>'{{7*7}}</td>&"


def classified(labels: list[str], rows: int, *, right: float = 0.8, seed: int = 0) -> Quality:
    """Return the quality of a made-up classifier."""
    return evaluated(labels, rows, right=right, seed=seed).quality()


def report_of(quality: Quality, title: str = "a table") -> Report:
    """Return a report with each kind of block."""
    steps = [(float(i), 2 / (1 + i / 30)) for i in range(300)]
    loss = Chart("Loss", "step", "loss", [Line("training", steps), Line("validation", [(100, 1.1), (299, 0.4)])])
    facts = Facts.of("Where it comes from", {"table": title, "run": Link("1a2b", "https://mlflow.example/#/runs/1a2b"), "cut": 0.031})
    lengths = Bars("Tokens of train's rows", [("≤ 8", 120.0), ("≤ 16", 640.0), ("≤ 32", 210.0), ("≤ 64", 4.0)])
    return Report("evaluate", title, ["Model m/1 was held against 500 labelled rows."], [*quality_blocks(quality), loss, lengths, facts])


@pytest.mark.parametrize("labels", [2, 77, 500])
def test_a_page_is_one_small_file_that_asks_nothing_of_any_network(labels: int) -> None:
    page = as_page(report_of(classified([f"label {i}" for i in range(labels)], 20 * labels)))
    assert len(page.encode()) < 1_000_000
    fetched = re.findall(r"(?:src|srcset|action|data)=|@import|url\(|<link|<iframe|fetch\(", page)
    assert not fetched
    assert "default-src 'none'" in page and page.count("<script>") == 1
    assert "prefers-color-scheme: dark" in page and "@media print" in page and 'name="viewport"' in page
    assert page.count("<tr>") > labels
    _Balanced().feed(page)


@pytest.mark.parametrize("form", [as_page, as_fragment])
def test_a_hostile_label_is_text(form: Any) -> None:
    quality = classified([HOSTILE, "good"], 40, right=0.5)
    report = report_of(quality, title=HOSTILE)
    html = form(report)
    assert "<script>alert" not in html and "&lt;script&gt;alert(1)" in html
    assert "{{7*7}}" in html
    [labels] = [block for block in report.as_json()["blocks"] if block["title"] == "Labels, test"]
    assert HOSTILE in [row[0] for row in labels["rows"]]
    _Balanced().feed(html)


def test_only_web_addresses_are_followed() -> None:
    facts = Facts("", [("bad", Link("run", "javascript:alert(1)")), ("good", Link("run", "https://host/x?a=1&b=2"))])
    page = as_page(Report("train", "t", [], [facts]))
    assert "javascript:" not in page and 'href="https://host/x?a=1&amp;b=2"' in page


def test_the_twin_holds_the_same_values_as_plain_json() -> None:
    report = report_of(classified(["a", "b", "c"], 90))
    twin = json.loads(json.dumps(report.as_json(), allow_nan=False))
    assert [block["kind"] for block in twin["blocks"]] == [block.kind for block in report.blocks]
    [labels] = [block for block in twin["blocks"] if block["title"] == "Labels, test"]
    assert labels["columns"][:2] == ["label", "rows"] and len(labels["rows"]) == 3
    broken = Report("train", "t", [], [Facts("", [("loss", float("nan"))])])
    assert broken.as_json()["blocks"][0]["rows"] == [["loss", None]]


def test_intervals_hold_what_was_measured_and_narrow_with_more_rows() -> None:
    small, large = classified(["a", "b"], 60), classified(["a", "b"], 6000)
    for quality in (small, large):
        low, high = quality.spread["accuracy"]
        assert low < quality.metrics["accuracy"] < high
    few, many = ((high - low) for low, high in (small.spread["accuracy"], large.spread["accuracy"]))
    # As one over the square root of the rows: a tenth.
    assert 0.05 < many / few < 0.2


def test_intervals_are_as_wide_as_theory_has_them() -> None:
    outcomes = {"right": np.asarray([1.0, 0.0]), "weight": np.asarray([80, 20])}
    low, high = intervals(lambda some: {"accuracy": float(np.average(some["right"], weights=some["weight"]))}, outcomes)["accuracy"]
    deviation = (0.8 * 0.2 / 100) ** 0.5
    assert (high - low) / (2 * 1.96 * deviation) == pytest.approx(1, abs=0.2)


def test_coverage_counts_the_surest_first() -> None:
    bins = pd.DataFrame({"confidence": [9, 9, 5, 1], "right": [True, False, True, False], "rows": [6, 2, 1, 1]})
    assert coverage(bins, 0.1) == [pytest.approx(point) for point in [(0.9, 0.8, 0.75), (0.5, 0.9, 7 / 9), (0.1, 1.0, 0.7)]]


def test_confusions_are_the_worst_first() -> None:
    matrix = pd.DataFrame([[5, 1, 0], [3, 2, 0], [0, 0, 4]], index=["a", "b", "c"], columns=["a", "b", "c"])
    assert confusions(matrix).rows == [["b", "a", 3, 0.6], ["a", "b", 1, pytest.approx(1 / 6)]]


def test_a_long_table_says_where_the_rest_is() -> None:
    table = Table("Labels", ["label"], [[str(i)] for i in range(5000)]).shortened("labels.csv")
    assert len(table.rows) == 2000 and "first 2,000 of 5,000 rows; all are in labels.csv" in table.note


@pytest.mark.parametrize("points", [[], [(1.0, 5.0)], [(0.0, float("nan")), (1.0, 2.0)], [(i, i * i) for i in range(3000)]])
def test_a_chart_stays_on_its_surface(points: list[tuple[float, float]]) -> None:
    drawing = draw_chart(Chart("c", "x", "y", [Line("one", points)]))
    for pair in drawing.strokes[0].points.split():
        x, y = map(float, pair.split(","))
        assert 0 <= x <= WIDTH and 0 <= y <= HEIGHT
    assert len(drawing.strokes[0].points.split()) <= 401
    assert all(0 <= tick.at <= WIDTH for tick in drawing.x_ticks)


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (float("nan"), "–"), (True, "yes"), (12345, "12,345"), (0.87654, "0.8765"), (123.456, "123.5"), (5e4, "50,000")],
)
def test_cells_are_read_easily(value: Any, text: str) -> None:
    assert shown_cell(value) == text


class _Balanced(HTMLParser):
    """Fails where an element is closed that is not open."""

    VOID = frozenset({"meta", "input", "br", "line", "circle", "polyline"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in self.VOID

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, (tag, self.getpos())
