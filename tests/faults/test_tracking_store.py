"""The tracking store is lost in the middle of a training: the model is not, and the same command registers it, once."""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sparknlp_ft.cli import main
from sparknlp_ft.config import TrackingConfig
from sparknlp_ft.progress import setup_logging
from sparknlp_ft.tracking import patience
from sparknlp_ft.tracking.patience import REQUEST_SETTINGS
from sparknlp_ft.tracking.store import connect
from tests.servers import MlflowServer

if TYPE_CHECKING:
    pass

NAME = "classification-texts"
EPOCHS = 3
SLOW = json.dumps({"point": "forward", "action": "slow", "seconds": 0.15})


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A minute of patience is some seconds here, and MLflow's settings are put back."""
    for name in REQUEST_SETTINGS:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setattr(patience, "PATIENCE", 2.0)
    monkeypatch.setattr(patience, "LAST_PATIENCE", 4.0)
    setup_logging()  # Before a test's own handler, beside which it would add none.


def train(folder: Path, name: str, uri: str) -> int:
    """Run the command in this process, on two ranks of its Spark session; returns its exit code."""
    settings = [
        "data.table=texts", f"data.root={folder / 'lake'}", "data.validation_fraction=0.2", f"model.base={folder / 'tiny-bert'}",
        "model.dropout=0.0", "text.max_length=32", f"train={{epochs: {EPOCHS}, batch_size: 8, learning_rate: 0.002, patience: null}}",
        f"launch={{ranks: 2, run_dir: {folder / name / 'runs'}, env: {{SPARKNLP_FT_TEST_FAULT: '{SLOW}'}}}}",
        f"tracking.uri={uri}", "tracking.gate=alias",
    ]  # fmt: skip
    return main(["train", *settings])


def steps(folder: Path, name: str) -> int:
    """Return the last step that ranks told of."""
    return max((json.loads(path.read_text() or "{}").get("step", 0) for path in (folder / name).glob("runs/*/events/*.json")), default=0)


@contextmanager
def at_step(number: int, act: Callable[[], object], folder: Path, name: str) -> Iterator[None]:
    """Act, while a block runs, once its training has come to a step."""
    over = threading.Event()

    def watch() -> None:
        while steps(folder, name) < number:
            if over.wait(0.05):
                return
        act()

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MlflowServer]:
    one = MlflowServer(tmp_path / "server")
    one.start()
    yield one
    one.kill()


def assert_registered_once(uri: str) -> None:
    """One version behind the alias, of a run that has ended and holds every step and epoch once."""
    store = connect(TrackingConfig(uri=uri))
    [version] = store.client.search_model_versions(f"name='{NAME}'")
    # A server tells versions as text, a database as numbers.
    assert [str(one.version) for one in (store.client.get_model_version_by_alias(NAME, "champion"), version)] == ["1", "1"]
    [run] = store.client.search_runs([store.experiment_id])
    assert (run.info.run_id, run.info.status) == (version.run_id, "FINISHED")
    for metric, least in (("train/loss", EPOCHS * 16), ("validation/accuracy", EPOCHS)):
        logged = [one.step for one in store.client.get_metric_history(run.info.run_id, metric)]
        assert sorted(logged) == list(range(1, max(logged) + 1)) and len(logged) >= least, metric


def test_a_server_that_is_killed_loses_no_model(table: Path, server: MlflowServer, capsys: pytest.CaptureFixture[str]) -> None:
    with at_step(5, server.kill, table, "server"):
        assert train(table, "server", server.uri) == 2
    lines = capsys.readouterr().err.splitlines()
    [line] = [line for line in lines if line.startswith("sparknlp-ft train: ")]
    assert f"{server.uri!r} does not answer (Connection refused), asked for" in line
    [best] = (table / "server").glob("runs/*/best-*/")
    assert f"The training is finished and its model is safe in '{best}': the same command registers it once the store answers" in line
    assert 2 <= sum("trying again in" in line for line in lines) <= 10, "bounded, and announced"
    assert any("are kept and sent later; the job goes on" in line for line in lines) and "Traceback" not in "".join(lines)

    server.start()
    assert train(table, "server", server.uri) == 0
    told = capsys.readouterr()
    assert "is finished already" in told.err and f"champion → {NAME}/1" in told.out
    assert_registered_once(server.uri)


@pytest.mark.parametrize("released", [True, False], ids=["for a while", "to the end"])
def test_a_database_that_is_locked_loses_no_model(
    table: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, released: bool
) -> None:
    monkeypatch.setattr(patience, "LAST_PATIENCE", 30.0)  # SQLite itself waits for 20 s before it says that it is locked.
    name = f"locked-{released}"
    uri, lock = f"sqlite:///{table / name}/store/mlflow.db", list[sqlite3.Connection]()

    def lock_it() -> None:
        lock.append(sqlite3.connect(table / name / "store" / "mlflow.db", isolation_level=None, check_same_thread=False, timeout=30))
        lock[0].execute("BEGIN EXCLUSIVE")

    class Release(logging.Handler):
        """Lets go once the job, its training done, has said that it tries again."""

        def emit(self, record: logging.LogRecord) -> None:
            if released and lock and "trying again in" in record.getMessage():
                lock.pop().close()

    handler = Release()
    logging.getLogger("sparknlp_ft").addHandler(handler)
    try:
        with at_step(5, lock_it, table, name):
            code = train(table, name, uri)
    finally:
        logging.getLogger("sparknlp_ft").removeHandler(handler)
        for one in lock:
            one.close()
    error = capsys.readouterr().err
    assert "does not answer (database is locked); trying again in" in error
    if not released:
        assert code == 2 and "its model is safe in" in error and "Traceback" not in error
        code = train(table, name, uri)
    assert code == 0
    assert_registered_once(uri)
