"""One thing found in the rows of a table, and how a list of them is told and kept."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

#: The worst first: an error stops training, a warning costs quality or makes a figure untrue, a note may be meant so.
ERROR, WARNING, NOTE = "error", "warning", "note"
SEVERITIES = (ERROR, WARNING, NOTE)

#: Keys of rows that a finding shows.
EXAMPLES = 5


@dataclass(frozen=True)
class Finding:
    """One thing found.

    Attributes:
        severity: One of ``SEVERITIES``.
        kind: What it is, in a few words: the same for the same thing in every table.
        message: What was found, with the labels or splits it is about; never a row's text.
        count: Rows it concerns (of a sample: about so many).
        cure: A setting or an action.
        examples: Keys of some of these rows.
    """

    severity: str
    kind: str
    message: str
    count: int
    cure: str
    examples: tuple[str, ...] = ()

    def __str__(self) -> str:
        keys = f" (keys {', '.join(self.examples)}{', …' if self.count > len(self.examples) else ''})" if self.examples else ""
        return f"{self.severity}: {self.kind}: {self.message}{keys}; {self.cure}"


def ordered(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings, the worst first."""
    return sorted(findings, key=lambda one: SEVERITIES.index(one.severity))


def as_json(findings: Sequence[Finding]) -> str:
    """Return the findings as a JSON list."""
    return json.dumps([asdict(one) for one in findings], ensure_ascii=False, indent=1)
