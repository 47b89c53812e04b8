"""The columns of a Delta folder, from its log's files alone: commits, checkpoints, versions, and what is not understood."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sparknlp_ft.tables.delta import TableRef
from sparknlp_ft.tables.own_log import columns_of, commits_of, tables_beside


def schema(*names: str) -> str:
    return json.dumps({"type": "struct", "fields": [{"name": one, "type": "string", "nullable": True, "metadata": {}} for one in names]})


def commit(log: Path, version: int, *names: str) -> None:
    log.mkdir(parents=True, exist_ok=True)
    actions = [{"commitInfo": {"version": version}}, *([{"metaData": {"id": "x", "schemaString": schema(*names)}}] if names else [])]
    (log / f"{version:020d}.json").write_text("\n".join(map(json.dumps, actions)), encoding="utf-8")


def checkpoint(log: Path, version: int, *names: str) -> None:
    rows = [{"add": {"path": "a"}, "metaData": None}, {"add": None, "metaData": {"id": "x", "schemaString": schema(*names)}}]
    pq.write_table(pa.Table.from_pylist(rows), log / f"{version:020d}.checkpoint.parquet")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    log = tmp_path / "tickets" / "_delta_log"
    commit(log, 0, "id", "text")
    commit(log, 1)
    commit(log, 2, "id", "text", "label")
    commit(log, 3)
    return tmp_path / "tickets"


def found(folder: Path, version: int | None = None) -> tuple[int, list[str]] | None:
    columns = columns_of(TableRef("path", str(folder)), version)
    return None if columns is None else (columns.version, list(columns.columns))


def test_each_version_has_its_columns(table: Path) -> None:
    assert found(table) == (3, ["id", "text", "label"])
    assert found(table, 1) == (1, ["id", "text"])
    assert found(table, 9) is None


def test_a_checkpoint_stands_for_the_commits_that_are_gone(table: Path) -> None:
    checkpoint(table / "_delta_log", 2, "id", "text", "label")
    for version in (0, 1, 2):
        (table / "_delta_log" / f"{version:020d}.json").unlink()
    assert found(table) == (3, ["id", "text", "label"])
    assert found(table, 2) == (2, ["id", "text", "label"])
    assert found(table, 1) is None


def test_what_is_elsewhere_is_not_looked_for(tmp_path: Path) -> None:
    assert columns_of(TableRef("path", "s3a://bucket/tickets")) is None
    assert columns_of(TableRef("name", "`main`.`tickets`")) is None
    assert found(tmp_path) is None


def test_neighbours_are_named(table: Path) -> None:
    assert tables_beside(TableRef("path", str(table.parent / "tikets"))) == ["tickets"]


def test_the_last_commits_are_told_as_long_as_none_is_gone(table: Path) -> None:
    assert [(number, one["version"]) for number, one in commits_of(table, 3)] == [(3, 3), (2, 2), (1, 1)]
    (table / "_delta_log" / f"{1:020d}.json").unlink()
    assert [number for number, _ in commits_of(table, 9)] == [3, 2]


def test_a_table_has_its_id(table: Path) -> None:
    columns = columns_of(TableRef("path", str(table)))
    assert columns is not None and columns.table_id == "x"
