"""What a report says, as plain values: sentences, facts, tables and charts. Pages, notebook views and the JSON twin are made of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

#: Rows of a table that a page holds; its note says where the others are.
MOST_ROWS = 2000

#: Of the JSON twin: changes when what stands in it is called otherwise.
FORMAT = 1


@dataclass(frozen=True)
class Link:
    """A text that leads to a web address; any other address is shown as the text alone."""

    text: str
    address: str = ""

    @property
    def leads(self) -> bool:
        """Whether a browser may follow it."""
        return self.address.startswith(("https://", "http://"))


Cell = str | int | float | bool | Link | None


@dataclass(frozen=True)
class Facts:
    """Names with their values."""

    kind: ClassVar[str] = "facts"
    title: str
    rows: Sequence[tuple[str, Cell]]
    note: str = ""

    @classmethod
    def of(cls, title: str, values: Mapping[str, object], note: str = "") -> Facts:
        """Return them as a mapping has them."""
        return cls(title, [(name, as_cell(value)) for name, value in values.items()], note)


@dataclass(frozen=True)
class Table:
    """Rows of equal columns; a page lets its reader sort and search them."""

    kind: ClassVar[str] = "table"
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""

    @property
    def numeric(self) -> list[bool]:
        """Of each column, whether it holds numbers, and nothing else but where there is none."""
        columns = [[row[i] for row in self.rows if row[i] is not None] for i in range(len(self.columns))]
        return [bool(values) and all(map(is_number, values)) for values in columns]

    def shortened(self, where: str) -> Table:
        """Return the table with as many rows as a page holds, and a note that says where all are."""
        if len(self.rows) <= MOST_ROWS:
            return self
        note = f"{self.note} The first {MOST_ROWS:,} of {len(self.rows):,} rows; all are in {where}.".strip()
        return Table(self.title, self.columns, self.rows[:MOST_ROWS], note)


@dataclass(frozen=True)
class Line:
    """One line of a chart: points (x, y) in the order of x."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Chart:
    """Lines over common axes."""

    kind: ClassVar[str] = "chart"
    title: str
    x: str
    y: str
    lines: Sequence[Line]
    note: str = ""


@dataclass(frozen=True)
class Bars:
    """Amounts by name, each drawn as long as it is large."""

    kind: ClassVar[str] = "bars"
    title: str
    rows: Sequence[tuple[str, float]]
    note: str = ""

    @property
    def most(self) -> float:
        """The largest amount; 1 where there is none."""
        return max((amount for _, amount in self.rows), default=0.0) or 1.0


Block = Facts | Table | Chart | Bars


@dataclass(frozen=True)
class Report:
    """What a command came to.

    Attributes:
        command: Which.
        title: What it worked on.
        said: It in words, a sentence or two each.
        blocks: The particulars.
    """

    command: str
    title: str
    said: Sequence[str]
    blocks: Sequence[Block] = field(default_factory=tuple)

    def as_json(self) -> dict[str, Any]:
        """Return all of it as plain values; what is no number (NaN, infinity) as None."""
        blocks = [{"kind": block.kind, **asdict(block)} for block in self.blocks]
        return _plain({"format": FORMAT, "command": self.command, "title": self.title, "said": list(self.said), "blocks": blocks})


def is_number(value: object) -> bool:
    """Whether a value is a number, and no truth value."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def as_cell(value: object) -> Cell:
    """Return a value as a report keeps it: what is neither number nor text as text."""
    return value if isinstance(value, (str, int, float, bool, Link)) or value is None else str(value)


def shown_cell(value: Cell) -> str:
    """Return a value as people read it."""
    if isinstance(value, Link):
        return value.text
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        whole = abs(value) >= 1000 or (abs(value) >= 2 and value.is_integer())
        return f"{value:,.0f}" if whole else f"{value:.{1 if abs(value) >= 100 else 2 if abs(value) >= 10 else 4}f}"
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
