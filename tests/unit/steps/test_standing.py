"""What status tells of tables, from their logs alone: versions, and what a predictions table holds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sparknlp_ft.scoring.notes import Note
from sparknlp_ft.steps.standing import list_tables, said_of_scores
from sparknlp_ft.tracking.overview import ModelView

NOTE = Note("r", "source-id", 0, ("tickets", "1"), "reads", 240, 0, None)


def commit(folder: Path, version: int, table_id: str | None = None, **info: Any) -> None:
    """Write a commit of a table with one column; the first of a table names its id."""
    log = folder / "_delta_log"
    log.mkdir(parents=True, exist_ok=True)
    fields = [{"name": "id", "type": "string", "nullable": True, "metadata": {}}]
    table = {"metaData": {"id": table_id, "schemaString": json.dumps({"type": "struct", "fields": fields})}}
    actions = [{"commitInfo": info}, *([table] if table_id else [])]
    (log / f"{version:020d}.json").write_text("\n".join(map(json.dumps, actions)), encoding="utf-8")


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    commit(tmp_path / "tickets", 0, "source-id", operation="WRITE")
    commit(tmp_path / "tickets_predictions", 0, "output-id", operation="WRITE")
    commit(tmp_path / "tickets_predictions", 1, operation="MERGE", userMetadata=str(NOTE))
    return tmp_path


def told(lake: Path, **aliases: str) -> dict[str, str]:
    tables = list_tables(str(lake))
    models = [ModelView("tickets", 2, aliases)]
    return {Path(one.path).name: said_of_scores(one, tables, models) for one in tables}


def test_a_predictions_table_says_what_it_holds(lake: Path) -> None:
    assert told(lake, champion="1") == {"tickets": "", "tickets_predictions": "all 240 rows of tickets version 0 by tickets/1"}


def test_what_has_come_since_is_said(lake: Path) -> None:
    commit(lake / "tickets", 1, operation="WRITE")
    commit(lake / "tickets_predictions", 2, operation="OPTIMIZE")
    assert told(lake, champion="2")["tickets_predictions"] == (
        "all 240 rows of tickets version 0 by tickets/1; since then tickets is at version 1, champion is tickets/2: "
        "`score` looks at what is new"
    )


def test_a_version_that_keeps_an_alias_is_not_outdated(lake: Path) -> None:
    assert "since" not in told(lake, champion="2", stable="1")["tickets_predictions"]


def test_a_table_that_somebody_else_changed_is_not_vouched_for(lake: Path) -> None:
    commit(lake / "tickets_predictions", 2, operation="DELETE")
    assert told(lake, champion="1")["tickets_predictions"] == ""


def test_a_merge_made_for_an_older_state_is_not_vouched_for(lake: Path) -> None:
    commit(lake / "tickets_predictions", 2, operation="DELETE")
    commit(lake / "tickets_predictions", 3, operation="MERGE", userMetadata=str(replace(NOTE, known=1)))
    assert told(lake, champion="1")["tickets_predictions"] == ""


def test_scores_of_a_table_elsewhere_are_told_without_its_name(lake: Path) -> None:
    for file in (lake / "tickets" / "_delta_log").iterdir():
        file.unlink()
    assert told(lake, champion="1") == {"tickets_predictions": "all 240 rows of a table version 0 by tickets/1"}
