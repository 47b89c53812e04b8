"""Every kind of report in a real browser: nothing wider than the page, cut off or upon another; no complaint, no request."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.look.browser import HOW, PRINTED, Browser, Look, browser, find_chromium
from tests.look.pages import written


@pytest.fixture(scope="module")
def opened() -> Iterator[Browser]:
    binary = find_chromium()
    if binary is None:
        pytest.fail(HOW)
    with browser(binary) as found:
        yield found


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return written(tmp_path_factory.mktemp("pages"), tmp_path_factory.mktemp("scratch"))


@pytest.mark.parametrize("look", [Look(1280), Look(390), Look(390, dark=True), PRINTED], ids=str)
def test_every_page_fits_and_asks_nobody(opened: Browser, files: list[Path], look: Look) -> None:
    wrong = {file.stem: seen.wrong for file in files if (seen := opened.open(file, look)).wrong}
    assert len(files) > 20 and not wrong


def test_what_does_not_fit_is_seen(opened: Browser, tmp_path: Path) -> None:
    page = tmp_path / "bad.html"
    script = "<script>console.error('oops'); undefined.x</script>"
    head = '<!DOCTYPE html><meta name="viewport" content="width=device-width, initial-scale=1">'
    svg = '<svg viewBox="0 0 9 9"><text x="8" y="4">x</text></svg>'
    page.write_text(f'{head}<p style="width: 900px">wide</p><img src="picture.png">{svg}{script}')
    seen = opened.open(page, Look(390))
    assert any("px wide" in one for one in seen.outside) and any("is cut off" in one for one in seen.outside)
    assert [one.rsplit("/", 1)[1] for one in seen.requests] == ["picture.png"]
    assert any("oops" in one for one in seen.errors) and any("exceptionThrown" in one for one in seen.errors)


def test_a_table_is_sorted_and_searched(opened: Browser, files: list[Path]) -> None:
    [page] = [file for file in files if file.stem == "evaluate-77"]
    opened.open(page, Look(1280))
    table = "[...document.querySelectorAll('section')].find((one) => one.querySelector('h2').textContent.startsWith('Labels'))"
    column = f"[...{table}.querySelectorAll('tbody tr:not([hidden])')].map((one) => Number(one.cells[1].dataset.v))"
    opened.run(f"{table}.querySelectorAll('th button')[1].click()")
    down: list[float] = opened.run(column)
    opened.run(f"{table}.querySelectorAll('th button')[1].click()")
    up: list[float] = opened.run(column)
    assert len(down) == 77 and down == sorted(down, reverse=True) and up == sorted(up)
    opened.run(f"(() => {{ const at = {table}.querySelector('input'); at.value = 'REFUND is'; at.dispatchEvent(new Event('input')) }})()")
    assert 1 <= len(opened.run(column)) < 10
