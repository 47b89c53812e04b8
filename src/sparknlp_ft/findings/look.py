"""All that is found in the rows of a table, in two passes over it, a census and a grouping of equal texts, and a sample of texts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from sparknlp_ft.config import DataConfig
from sparknlp_ft.findings.census import Census, Lengths, Tally, take_census
from sparknlp_ft.findings.finding import EXAMPLES, NOTE, WARNING, Finding, ordered
from sparknlp_ft.findings.labels import label_findings
from sparknlp_ft.findings.language import language_findings
from sparknlp_ft.findings.overlap import Overlap, find_equal
from sparknlp_ft.tables.contracts import TEST, TRAIN, VALIDATION, Roles
from sparknlp_ft.tables.spelling import LABELLED

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from sparknlp_ft.tasks import Task

#: Share of a split's rows up to which something is a note.
SMALL_SHARE = 0.01
#: Share of rows without text or target that is told of as a warning.
MISSING_SHARE = 0.1
#: How many times longer or shorter the texts of a split may be than those of train, and how sure that must be (z).
LENGTH_RATIO, LENGTH_SURE = 1.5, 4.0
#: Shares of cut texts below which nothing is said, and above which it is a warning.
CUT_SHARES = (0.01, 0.1)


def look_through(df: DataFrame, roles: Roles, data: DataConfig, task: Task, *, taught: bool = False) -> list[Finding]:
    """Return what is found, the worst first; nothing is raised.

    Args:
        df: The rows, as ``cured`` leaves them.
        roles: Columns by role.
        data: Names of splits.
        task: The task.
        taught: Whether a teacher says what is to be learnt of rows of train, which then need no target.
    """
    census = take_census(df, roles, data, task)
    missing = {split: tally for split, tally in census.without_target.items() if not (taught and split == TRAIN)}
    found = [*_missing(census.without_text, "text", census), *_missing(missing, task.target_role, census)]
    if task.target_kind in LABELLED and roles.target is not None:
        found += label_findings(census, single=task.target_kind == "label")
    overlap = find_equal(df, roles, data, task, rows=census.total)
    own = {split: count for split, count in census.rows.items() if split != VALIDATION or census.has_validation}
    return ordered([*found, *_equal(overlap, census, task), *_drift(census), *language_findings(df, roles, data, own)])


def cut_findings(lengths: Mapping[int, int], *, max_length: int, special: int, window: str) -> list[Finding]:
    """Return whether many texts are longer than what a model is shown of them.

    Args:
        lengths: Rows by tokens, without special ones.
        max_length: ``text.max_length``.
        special: Special tokens of a row.
        window: Name of the window; a sliding one leaves nothing out.
    """
    rows, cut = sum(lengths.values()), sum(count for length, count in lengths.items() if length > max_length - special)
    if window == "sliding" or not rows or cut <= CUT_SHARES[0] * rows:
        return []
    severity = WARNING if cut > CUT_SHARES[1] * rows else NOTE
    about = f"{cut / rows:.1%} of the texts have more than text.max_length={max_length} tokens, and window {window!r} leaves out the rest"
    return [Finding(severity, "texts that are cut", about, cut, "raise text.max_length, or try another text.window, such as ht")]


def _missing(tallies: Mapping[str, Tally], what: str, census: Census) -> Iterator[Finding]:
    for split, tally in tallies.items():
        there = (
            tally.rows + census.rows.get(split, 0) + (census.rows.get(VALIDATION, 0) if split == TRAIN and not census.has_validation else 0)
        )
        severity = WARNING if tally.rows > MISSING_SHARE * there else NOTE
        about = f"{tally.rows:,} of {there:,} rows of {split} have no {what}, and are left out"
        yield Finding(severity, f"rows without {what}", about, tally.rows, "fill it in, or remove these rows", tuple(tally.keys[:EXAMPLES]))


def _equal(overlap: Overlap, census: Census, task: Task) -> Iterator[Finding]:
    sampled = "" if overlap.share == 1 else f" (made up from a sample of 1 in {overlap.share} texts)"
    for split in (TEST, VALIDATION):
        found = overlap.equal[split]
        if found.rows:
            severity = WARNING if found.rows > SMALL_SHARE * census.rows.get(split, 0) else NOTE
            about = f"{found.rows:,} of {census.rows.get(split, 0):,} rows of {split} have a text that train has too{sampled}"
            cure = (
                f"take them out of train or of {split}; a split by hash of the text (data.sources[].hash_split) keeps equal texts together"
            )
            yield Finding(severity, f"equal texts in train and {split}", about, found.rows, cure, found.keys)
    found = overlap.equal[TRAIN]
    if found.rows and task.target_kind in LABELLED:
        own = census.rows.get(TRAIN, 0) + (0 if census.has_validation else census.rows.get(VALIDATION, 0))
        severity = WARNING if found.rows > SMALL_SHARE * own else NOTE
        about = f"{found.rows:,} rows of train have {found.texts:,} texts whose rows differ in {task.target_role}{sampled}"
        cure = "settle them, or leave it to data.on_conflict=drop or majority"
        yield Finding(severity, "equal texts at odds", about, found.rows, cure, found.keys)


def _drift(census: Census) -> Iterator[Finding]:
    own = census.lengths.get(TRAIN, Lengths())
    for split in (VALIDATION, TEST):
        other = census.lengths.get(split, Lengths())
        if not own.rows or not other.rows:
            continue
        ratio = math.exp(other.mean - own.mean)
        sure = abs(other.mean - own.mean) / max(math.sqrt(own.variance / own.rows + other.variance / other.rows), 1e-9)
        if max(ratio, 1 / ratio) > LENGTH_RATIO and sure > LENGTH_SURE:
            about = f"texts of {split} are {ratio:.2f} times as long as those of train (geometric mean of characters)"
            cure = f"see whether {split} is of the same kind as train; its figures tell of the texts it has"
            yield Finding(WARNING, "lengths that drift", about, other.rows, cure)
