"""A note in a commit is believed only where nothing in the history can have changed a row behind its back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sparknlp_ft.scoring import notes
from sparknlp_ft.scoring.notes import Commit, Note, last_note, rows_unchanged
from sparknlp_ft.tables.delta import Pinned, TableRef

NOTE = Note("r", "id", 3, ("tiny", "1"), "f", 10, 0, known=4)


def history(monkeypatch: pytest.MonkeyPatch, *commits: tuple[int, str, str | None]) -> Pinned:
    """Make a table's history these commits, and return it pinned to the last."""
    told = sorted((Commit(*one) for one in commits), key=lambda one: -one.version)
    monkeypatch.setattr(notes, "_commits", lambda spark, table: [one for one in told if one.version <= table.version])
    return Pinned(TableRef("path", "/t"), "id", max(version for version, _, _ in commits))


def found(spark: Any, table: Pinned) -> int | None:
    note = last_note(spark, table)
    return None if note is None else note[1]


def test_a_note_is_read_as_it_was_written_and_nothing_else_is() -> None:
    assert Note.read(str(NOTE)) == NOTE
    assert Note.read(str(replace(NOTE, format=2))) is None
    for text in (None, "", "theirs", "sparknlp_ft-123", "[]", "3", '{"sparknlp_ft": 3}', '{"sparknlp_ft": {"run": "r"}}'):
        assert Note.read(text) is None


def test_a_note_holds_behind_what_moves_no_row(monkeypatch: pytest.MonkeyPatch) -> None:
    merge = (5, "MERGE", str(NOTE))
    assert found(None, history(monkeypatch, (4, "WRITE", None), merge)) == 5
    assert found(None, history(monkeypatch, (4, "WRITE", None), merge, (6, "OPTIMIZE", None), (7, "VACUUM END", None))) == 5
    for operation in ("WRITE", "DELETE", "UPDATE", "MERGE", "RESTORE", "CHANGE COLUMN", "SOMETHING NEW"):
        assert found(None, history(monkeypatch, (4, "WRITE", None), merge, (6, operation, None))) is None


def test_a_note_does_not_hold_where_another_came_between_what_was_known_and_the_merge(monkeypatch: pytest.MonkeyPatch) -> None:
    late = (6, "MERGE", str(NOTE))
    assert found(None, history(monkeypatch, (4, "WRITE", None), (5, "OPTIMIZE", None), late)) == 6
    assert found(None, history(monkeypatch, (4, "WRITE", None), (5, "DELETE", None), late)) is None
    assert found(None, history(monkeypatch, late)) is None, "what came between is no longer told"
    everything = (6, "MERGE", str(replace(NOTE, known=None)))
    assert found(None, history(monkeypatch, (4, "WRITE", None), (5, "MERGE", None), everything)) == 6


def test_rows_are_unchanged_where_the_history_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    spark: Any = None
    assert rows_unchanged(spark, history(monkeypatch, (3, "WRITE", None)), 3)
    assert rows_unchanged(spark, history(monkeypatch, (3, "WRITE", None), (4, "OPTIMIZE", None)), 3)
    assert not rows_unchanged(spark, history(monkeypatch, (3, "WRITE", None), (4, "RESTORE", None)), 3)
    assert not rows_unchanged(spark, history(monkeypatch, (3, "WRITE", None)), 4), "an older version is looked at anew"
    assert not rows_unchanged(spark, history(monkeypatch, (3, "WRITE", None), (5, "OPTIMIZE", None)), 3), "a commit is missing"
