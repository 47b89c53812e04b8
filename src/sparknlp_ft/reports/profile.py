"""The printed profile of a table: rows by split, labels, lengths, and what is missing or doubled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sparknlp_ft.reports.blocks import Block, Facts, Report, Table
from sparknlp_ft.reports.page import Viewed

#: Labels that are listed by name; the rest is summed up.
LISTED_LABELS = 200
SHARES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0)
WIDTH = 110


@dataclass(frozen=True)
class Profile(Viewed):
    """What one version of a table holds. Quantiles are at ``SHARES``."""

    table: str
    version: int
    rows: int
    splits: Mapping[str, int]  #: As the table's own split column names them; empty if it has none.
    labels: Mapping[str, int]
    without_text: int
    without_label: int
    mended: int  #: Texts that are not valid UTF-8, and are read with U+FFFD for each bad byte.
    repeated: int  #: Rows whose texts stand in an earlier row too.
    words: tuple[int, ...]
    characters: tuple[int, ...]
    tokens: tuple[int, ...] | None  #: None where there was no tokenizer.
    sampled: int | None  #: Rows that ``tokens`` is of, if not all.
    findings: Sequence[object] = ()  #: What was found in the rows, each as it is told.

    def report(self) -> Report:
        """Return what notebooks show."""
        told = {
            "without text": self.without_text, "without label": self.without_label, "bad UTF-8": self.mended,
            "text seen before": self.repeated, **{f"split {name}": rows for name, rows in self.splits.items()},
        }  # fmt: skip
        blocks: list[Block] = [Facts.of("Rows", told)]
        lengths = {"tokens": self.tokens, "words": self.words, "characters": self.characters}
        columns = ["at most", *[f"{share:.0%} of rows" for share in SHARES]]
        note = "" if self.sampled is None else f"Tokens: of a sample of {self.sampled:,} rows."
        blocks.append(Table("Lengths", columns, [[name, *values] for name, values in lengths.items() if values], note))
        if self.labels:
            ranked = sorted(self.labels.items(), key=lambda pair: (-pair[1], pair[0]))
            blocks.append(Table("Labels", ["label", "rows"], ranked).shortened("the table itself"))
        said = [f"{self.table} is at version {self.version} and has {self.rows:,} rows.", *[str(one) for one in self.findings]]
        return Report("ingest", self.table, said, blocks)

    def __str__(self) -> str:
        head = [f"{self.table} at version {self.version}: {self.rows:,} rows"]
        if self.splits:
            head.append("  splits      " + ", ".join(f"{name} {rows:,}" for name, rows in self.splits.items()))
        told = {
            "without text": self.without_text,
            "without label": self.without_label,
            "bad UTF-8": self.mended,
            "text seen before": self.repeated,
        }
        head.append("  of these    " + ", ".join(f"{name} {rows:,}" for name, rows in told.items()))
        found = [f"  {len(self.findings)} finding(s)", *(f"    {one}" for one in self.findings)] if self.findings else []
        return "\n".join([*head, *self._lengths(), *self._label_lines(), *found])

    def _lengths(self) -> list[str]:
        names = [{0.5: "median", 1.0: "longest"}.get(share, f"{share:.0%}") for share in SHARES]
        lines = [f"  {'length in':<12}" + "".join(f"{name:>9}" for name in names)]
        for name, values in (("tokens", self.tokens), ("words", self.words), ("characters", self.characters)):
            if values:
                lines.append(f"  {name:<12}" + "".join(f"{value:>9,}" for value in values))
        if self.sampled is not None:
            lines.append(f"  (tokens: of a sample of {self.sampled:,} rows)")
        return lines

    def _label_lines(self) -> list[str]:
        if not self.labels:
            return []
        ranked = sorted(self.labels.items(), key=lambda pair: (-pair[1], pair[0]))
        cells = [f"{label} {rows:,}" for label, rows in ranked[:LISTED_LABELS]]
        wide = max(map(len, cells)) + 2
        each = max(1, WIDTH // wide)
        lines = ["    " + "".join(f"{cell:<{wide}}" for cell in cells[at : at + each]).rstrip() for at in range(0, len(cells), each)]
        rest = ranked[LISTED_LABELS:]
        more = [f"    and {len(rest):,} more labels with {sum(rows for _, rows in rest):,} rows"] if rest else []
        return [f"  {len(ranked):,} labels", *lines, *more]


def quantiles(counts: Mapping[int, int], shares: Sequence[float]) -> tuple[int, ...]:
    """Return the smallest values that at least the given shares of all rows do not exceed.

    Args:
        counts: Rows by value.
        shares: Each in (0, 1].
    """
    total = sum(counts.values())
    found, below = [], 0
    ordered = iter(sorted(counts.items()))
    value = 0
    for share in sorted(shares):
        while below < share * total:
            value, rows = next(ordered)
            below += rows
        found.append(value)
    return tuple(found)
