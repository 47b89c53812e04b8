"""A store's SQLite file is there with all its tables, or not at all; one that cannot be opened is named with what to do."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from sparknlp_ft.config import TrackingConfig
from sparknlp_ft.errors import ConfigError
from sparknlp_ft.tracking import store
from sparknlp_ft.tracking.database import make_database
from sparknlp_ft.tracking.patience import StoreSilent


class Mlflow:
    """Makes a file where it is told to, and then does what a test wants."""

    def __init__(self, then: object = None) -> None:
        self.then = then

    def MlflowClient(self, tracking_uri: str) -> SimpleNamespace:
        self.file = Path(tracking_uri.removeprefix("sqlite:///"))
        return SimpleNamespace(search_experiments=self.search)

    def search(self, max_results: int) -> None:
        self.file.write_text("made")
        if isinstance(self.then, BaseException):
            raise self.then
        if isinstance(self.then, Path):
            self.then.write_text("another's")


def test_a_run_that_ends_while_tables_are_made_leaves_no_file(tmp_path: Path) -> None:
    database = tmp_path / "mlflow.db"
    with pytest.raises(KeyboardInterrupt):
        make_database(Mlflow(KeyboardInterrupt()), database)
    assert list(tmp_path.iterdir()) == []
    make_database(Mlflow(), database)
    assert database.read_text() == "made" and list(tmp_path.iterdir()) == [database]


def test_what_another_run_made_meanwhile_stays(tmp_path: Path) -> None:
    database = tmp_path / "mlflow.db"
    make_database(Mlflow(then=database), database)
    assert database.read_text() == "another's"


def test_a_file_system_without_links_serves_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", refuse)
    make_database(Mlflow(), tmp_path / "mlflow.db")
    assert (tmp_path / "mlflow.db").read_text() == "made"


@pytest.mark.parametrize("half_made", [True, False])
def test_a_file_that_mlflow_cannot_open_is_named_with_what_to_do(half_made: bool, tmp_path: Path) -> None:
    database = tmp_path / "mlflow.db"
    if half_made:
        with sqlite3.connect(database) as connection:
            connection.execute("CREATE TABLE trace_info (request_id TEXT)")
    else:
        database.write_text("no database " * 200)
    with pytest.raises(
        ConfigError, match=r"mlflow\.db' cannot be opened as a store \((table trace_info already|file is not).*remove the file"
    ):
        store.connect(TrackingConfig(uri=f"sqlite:///{database}", experiment="x"), cwd=tmp_path)


def test_a_file_that_another_job_holds_is_waited_for_and_not_called_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sparknlp_ft.tracking.patience.PATIENCE", 0.0)
    database = tmp_path / "mlflow.db"
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("CREATE TABLE experiments (name TEXT)")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreSilent, match=r"mlflow\.db' does not answer \(database is locked\)"):
            store.connect(TrackingConfig(uri=f"sqlite:///{database}", experiment="x"), cwd=tmp_path)
