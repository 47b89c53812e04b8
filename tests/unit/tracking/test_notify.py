"""A webhook is told of the start and the end; that it cannot be told stops nothing and shows no secret."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from sparknlp_ft.config import load_config
from sparknlp_ft.errors import ConfigError
from sparknlp_ft.tracking.addresses import param_value, shown_overrides, without_secrets
from sparknlp_ft.tracking.notify import VARIABLE, notified


@pytest.fixture
def room() -> Iterator[tuple[str, list[str]]]:
    """A chat room's address, and what was told there."""
    told: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["text"])
            self.send_response(404 if self.path == "/gone" else 200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", told
    server.shutdown()
    thread.join()
    server.server_close()


def test_start_and_end_are_told(room: tuple[str, list[str]]) -> None:
    address, told = room
    with notified(f"{address}/hook", "train tickets") as ended:
        assert told == ["train tickets: started"]
        ended("alias moved")
    assert told[1].startswith("train tickets: done in 0 s") and "alias moved" in told[1]


def test_a_failure_is_told_and_raised(room: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    address, told = room
    monkeypatch.setenv(VARIABLE, address)
    with pytest.raises(ConfigError), notified(None, "train tickets"):
        raise ConfigError("no such table")
    assert told == ["train tickets: started", "train tickets: failed after 0 s: no such table"]


@pytest.mark.parametrize("path", ["/gone", ":none"])
def test_what_cannot_be_told_stops_nothing(room: tuple[str, list[str]], path: str, caplog: pytest.LogCaptureFixture) -> None:
    address = room[0] + path
    with caplog.at_level(logging.WARNING, logger="sparknlp_ft"), notified(address, "train tickets") as ended:
        ended("fine")
    assert "could not be sent" in caplog.text and address not in caplog.text


def test_nobody_is_told_without_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    with notified(None, "train tickets") as ended:
        ended("fine")


def test_what_is_shown_of_the_command_line_has_no_secrets() -> None:
    shown = shown_overrides(
        [
            "tracking.notify=https://hooks.example.com/secret",
            "launch.env.TOKEN=secret",
            "launch={ranks: 2, env: {TOKEN: secret}}",
            "tracking={notify: https://h.example.com/secret, uri: 'postgresql://me:secret@db/x'}",
            "train.epochs=3",
        ]
    )
    assert "secret" not in " ".join(shown)
    assert shown == ["launch={ranks: 2}", "tracking={uri: 'postgresql://…@db/x'}", "train.epochs=3"]


@pytest.mark.parametrize("given", ["tracking.notfy=https://h.example.com/secret", "launch.env={TOKEN: [secret]}"])
def test_a_mistyped_secret_is_not_echoed(given: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(None, ["data.table=t", given])
    assert "secret" not in str(error.value)


def test_the_address_is_kept_secret() -> None:
    config = load_config(None, ["data.table=t", "tracking.notify=https://hooks.example.com/T0/secret"])
    assert config.tracking.notify == "https://hooks.example.com/T0/secret"
    assert "secret" not in json.dumps(without_secrets(config.model_dump(mode="json")))
    assert "secret" not in "".join(param_value(key, value) for key, value in config.flat().items())
    with pytest.raises(ConfigError, match=r"tracking.notify: expected the web address") as error:
        load_config(None, ["data.table=t", "tracking.notify=hooks/secret"])
    assert "secret" not in str(error.value)
