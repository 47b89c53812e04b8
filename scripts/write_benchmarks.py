"""Write docs/BENCHMARKS.md, and a picture of each measurement, from the JSON files that ``bench.train``, ``bench.score`` and
``bench.defaults`` left in bench/results.

Run after a measurement: ``python scripts/write_benchmarks.py``; a test holds the file in step with the JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))  # Run as a script, Python looks beside the script alone.

from bench import defaults  # noqa: E402
from bench.score_ways import report as score_report  # noqa: E402
from bench.train_ways import picture, report  # noqa: E402

FILE = ROOT / "docs" / "BENCHMARKS.md"
RESULTS = ROOT / "bench" / "results"
START, END = "<!-- written by scripts/write_benchmarks.py: from here -->", "<!-- to here -->"


def reports(results: Path = RESULTS) -> dict[str, dict[str, Any]]:
    """Return the measurements that are kept, by the name of their file; what ``--quick`` left tells nothing."""
    found = {
        path.stem: json.loads(path.read_text(encoding="utf-8"))
        for pattern in ("train-*.json", "score-*.json", defaults.RESULTS.name)
        for path in sorted(results.glob(pattern))
    }
    return {name: value for name, value in found.items() if not value.get("quick")}


def written(text: str, found: dict[str, dict[str, Any]]) -> str:
    """Return the docs with the sections of these measurements between the marks.

    Raises:
        ValueError: The marks are not there.
    """
    if START not in text or END not in text:
        raise ValueError(f"{FILE} lacks the lines {START!r} and {END!r}")
    sections = [_section(name, value) for name, value in found.items()] or ["No measurement is kept yet.\n"]
    before, after = text.partition(START)[0], text.partition(END)[2]
    return f"{before}{START}\n\n" + "\n".join(sections) + f"\n{END}{after}"


def _section(name: str, found: dict[str, Any]) -> str:
    if name == defaults.RESULTS.stem:
        return defaults.section(found)
    return score_report.section(found) if found.get("benchmark") == "score" else report.section(found, f"{name}.png")


def main() -> None:
    found = reports()
    FILE.write_text(written(FILE.read_text(encoding="utf-8"), found), encoding="utf-8")
    for name, value in found.items():
        if name.startswith("train-"):
            picture.draw(value, RESULTS / f"{name}.png")


if __name__ == "__main__":
    main()
