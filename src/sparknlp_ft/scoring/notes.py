"""What the commit of a merge says of the scoring that made it, so that the next run need not look at every row to know the same.

A note is believed only where nothing stands in the history behind it, or between it and the version it was made for, that could
have changed a row. Whatever is in doubt is looked up in the rows.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

from sparknlp_ft.tables.delta import Pinned, history

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: Raised when what a note means changes.
FORMAT = 1

#: Operations that leave each row as it was.
HARMLESS = ("OPTIMIZE", "VACUUM START", "VACUUM END")
#: Commits that are looked through for a note.
REACH = 50


@dataclass(frozen=True)
class Note:
    """A complete scoring: each row of a version of the source has a prediction by one model.

    Attributes:
        run: Of the stage that was merged.
        source: Id of the source table.
        version: Its version.
        model: Name and version of the model.
        reads: Fingerprint of the settings that decide which rows are scored, by which columns.
        rows: Rows of the source.
        errors: At most so many of the predictions are in error; None: not known.
        known: Version of the predictions table that the stage was made for; None: it had nothing then.
        format: See ``FORMAT``.
    """

    run: str
    source: str
    version: int
    model: tuple[str, str]
    reads: str
    rows: int
    errors: int | None
    known: int | None
    format: int = FORMAT

    def __str__(self) -> str:
        return json.dumps({"sparknlp_ft": asdict(self)})

    @classmethod
    def read(cls, text: str | None) -> Note | None:
        """Return the note in a commit's metadata; None if there is none of this format."""
        try:
            found = json.loads(text or "")["sparknlp_ft"]
        except (ValueError, KeyError, TypeError):
            return None
        if not isinstance(found, dict) or found.get("format") != FORMAT or set(found) != {one.name for one in fields(cls)}:
            return None
        return cls(**{**found, "model": tuple(found["model"])})


@dataclass(frozen=True)
class Commit:
    """What the history of a table says of one commit."""

    version: int
    operation: str
    metadata: str | None  #: That its writer gave.


def last_note(spark: SparkSession, table: Pinned) -> tuple[Note, int] | None:
    """Return the note that still holds for a predictions table, and the version that bears it; None if there is none."""
    return note_in(_commits(spark, table))


def note_in(commits: Iterable[Commit]) -> tuple[Note, int] | None:
    """Return the note that still holds after the last commits of a table, and the version that bears it.

    Args:
        commits: The latest first; no more of them are asked for than it takes to know.
    """
    left = iter(commits)
    for commit in left:
        if (note := Note.read(commit.metadata)) is not None:
            return (note, commit.version) if _follows(note, commit.version, left) else None
        if commit.operation not in HARMLESS:
            return None
    return None


def rows_unchanged(spark: SparkSession, table: Pinned, since: int) -> bool:
    """Whether a table's rows are, by its history, those it had at an earlier version."""
    if table.version <= since:
        return table.version == since
    between = [commit for commit in _commits(spark, table) if since < commit.version]
    return len(between) == table.version - since and all(commit.operation in HARMLESS for commit in between)


def _follows(note: Note, merged: int, earlier: Iterable[Commit]) -> bool:
    """Whether nothing came between the version that a stage was made for and its merge, behind ``earlier`` commits, the latest first."""
    known = note.known
    if known is None:
        return True
    between = list(itertools.takewhile(lambda commit: commit.version > known, earlier))
    return len(between) == merged - known - 1 and all(commit.operation in HARMLESS for commit in between)


def _commits(spark: SparkSession, table: Pinned) -> list[Commit]:
    """Return the last commits up to the pinned version, the latest first."""
    found = history(spark, table.ref, REACH).select("version", "operation", "userMetadata").collect()
    return [Commit(*row) for row in sorted(found, key=lambda one: -one["version"]) if row["version"] <= table.version]
