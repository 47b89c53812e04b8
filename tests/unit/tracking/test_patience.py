"""A store that does not answer: bounded, announced tries, one line in the end; and metrics that wait for it."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator

import pytest

from sparknlp_ft.cli import main
from sparknlp_ft.config import TrackingConfig
from sparknlp_ft.errors import ConfigError
from sparknlp_ft.tracking import outbox, patience, store
from sparknlp_ft.tracking.outbox import Outbox
from sparknlp_ft.tracking.patience import REQUEST_SETTINGS, StoreSilent, patiently
from tests.unit.tracking.stores import FakeStore, closed_port, fake_store


@pytest.fixture
def server() -> Iterator[FakeStore]:
    with fake_store() as one:
        yield one


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds become tenths, and MLflow's settings are put back."""
    for name in REQUEST_SETTINGS:
        monkeypatch.setenv(name, "")  # Put back what was there, whatever the test leaves.
        monkeypatch.delenv(name)
    monkeypatch.setitem(patience.REQUEST_SETTINGS, "MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setattr(patience, "PATIENCE", 1.0)
    monkeypatch.setattr(patience, "FIRST_WAIT", 0.1)
    monkeypatch.setattr(outbox, "FIRST_WAIT", 0.05)
    monkeypatch.setattr(outbox, "HURRY", 0.3)


def test_a_store_that_is_not_there_is_one_line_before_spark(capsys: pytest.CaptureFixture[str]) -> None:
    start, uri = time.monotonic(), f"http://me:p4ssw0rd@127.0.0.1:{closed_port()}"
    assert main(["score", "data.table=main.support.t", f"tracking.uri={uri}"]) == 2
    *tries, error = capsys.readouterr().err.splitlines()
    assert "sparknlp-ft score: tracking.uri: 'http://…@127.0.0.1" in error and "does not answer (Connection refused)" in error
    assert tries and all("trying again in" in line for line in tries) and "p4ssw0rd" not in "".join([*tries, error])
    assert time.monotonic() - start < 20


def test_a_database_that_is_not_there_is_told_without_its_driver() -> None:
    with pytest.raises(ConfigError, match=r"'postgresql://…@127.0.0.1:\d+/x' does not answer \(Connection refused\)"):
        store.ask(TrackingConfig(uri=f"postgresql://me:hu/sh@127.0.0.1:{closed_port()}/x"))


@pytest.mark.parametrize(("mode", "reason"), [("busy", "error 503"), ("silent", "no answer within 1 s")])
def test_a_store_that_does_not_work(server: FakeStore, mode: str, reason: str) -> None:
    server.mode = mode
    with pytest.raises(StoreSilent, match=rf"does not answer \({reason}\), asked for \d s; start it, or give another"):
        store.ask(TrackingConfig(uri=server.uri))


def test_a_store_that_comes_back_is_used(server: FakeStore, caplog: pytest.LogCaptureFixture) -> None:
    server.mode, server.recover = "busy", 2
    with caplog.at_level(logging.WARNING, logger="sparknlp_ft"):
        assert store.connect(TrackingConfig(uri=server.uri)).experiment_id == "7"
    assert [message.count("trying again in") for message in caplog.messages] == [1, 1] and len(server.asked) == 3


def test_the_users_own_settings_are_left_to_mlflow(server: FakeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", "0")
    server.mode = "busy"
    with pytest.raises(StoreSilent):
        store.ask(TrackingConfig(uri=server.uri))
    assert len(server.asked) == 2 and "MLFLOW_HTTP_REQUEST_TIMEOUT" not in os.environ


def test_what_is_no_outage_comes_through_at_once() -> None:
    calls = []

    def refuse() -> None:
        calls.append(1)
        raise FileNotFoundError("a file of ours")

    with pytest.raises(FileNotFoundError):
        patiently(refuse, "http://host")
    assert len(calls) == 1


def test_metrics_neither_fail_nor_delay_a_job_and_come_later(server: FakeStore, caplog: pytest.LogCaptureFixture) -> None:
    run = store.Run(store.connect(TrackingConfig(uri=server.uri)), "0a")
    server.mode = "busy"
    with caplog.at_level(logging.INFO, logger="sparknlp_ft"):
        for step in range(2500):
            run.log_metrics({"loss": 1.0}, step=step)
        assert len(server.asked) < 250, "who logs a metric waits for no answer"
        while not caplog.messages:
            time.sleep(0.01)
        server.mode = "up"
        run.close()
    assert [metric["step"] for metric in server.metrics] == list(range(2500))
    assert sum("are kept and sent later" in message for message in caplog.messages) == 1 and "are sent again" in caplog.messages[-1]


def test_a_sender_that_hangs_is_not_waited_for_longer_than_said(caplog: pytest.LogCaptureFixture) -> None:
    stuck = threading.Event()
    box = Outbox(lambda items: stuck.wait(30) and None, "metrics")
    box.add(list(range(1500)))
    start = time.monotonic()
    with caplog.at_level(logging.WARNING, logger="sparknlp_ft"):
        box.close(hurry=True)
    assert time.monotonic() - start < 2 and "1500 metrics could not be sent" in caplog.text
    stuck.set()


def test_what_was_added_while_sending_is_sent_in_order() -> None:
    sent: list[int] = []
    box = Outbox(sent.extend, "metrics")
    for start in range(0, 5000, 100):
        box.add(list(range(start, start + 100)))
    assert box.flush(10) and sent == list(range(5000))
    box.close()
