"""Photograph the reports of made-up results in headless Chromium, to look at them: wide and narrow, light, dark and printed.

    python scripts/look_at_reports.py FOLDER [PART OF A NAME ...]

Writes the pages (HTML), a PNG for each way to look, and a PDF; says what does not fit, and ends with 1 if something does not.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tests.look.browser import HOW, PRINTED, Browser, Look, browser, find_chromium  # noqa: E402
from tests.look.pages import written  # noqa: E402

LOOKS = [Look(width, dark) for width in (1280, 390) for dark in (False, True)]
LOOKS.append(PRINTED)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where pages and pictures go")
    parser.add_argument("names", nargs="*", help="only pages whose name holds one of these")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        files = [
            file
            for file in written(given.folder.absolute(), Path(scratch))
            if not given.names or any(one in file.stem for one in given.names)
        ]
    if (binary := find_chromium()) is None:
        print(f"{HOW}; {len(files)} pages without pictures are in {given.folder}")
        return 1
    with browser(binary) as opened:
        wrong = [one for file in files for one in taken(opened, file)]
    print("\n".join([*wrong, f"{len(files)} pages with their pictures are in {given.folder}; {len(wrong)} thing(s) do not fit"]))
    return int(bool(wrong))


def taken(opened: Browser, file: Path) -> list[str]:
    """Take all pictures of a page; returns what is wrong with it."""
    wrong = []
    for look in LOOKS:
        wrong += [f"{file.stem} {look}: {one}" for one in opened.open(file, look).wrong]
        opened.photograph(file.with_name(f"{file.stem}-{look}.png"))
    opened.print(file.with_suffix(".pdf"))
    return wrong


if __name__ == "__main__":
    sys.exit(main())
