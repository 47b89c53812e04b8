"""A canary leaves the process by no way out: messages, tracebacks, log lines, the chat room, MLflow, the pickled UDF."""

from __future__ import annotations

import json
import logging

import pytest

from sparknlp_ft import secrecy
from sparknlp_ft.cli import main
from sparknlp_ft.config import Config, load_config
from sparknlp_ft.progress import CleanedLogs, log, setup_logging
from sparknlp_ft.tracking.addresses import (
    keep_config_secret,
    keep_overrides_secret,
    param_value,
    shown_overrides,
    tag_values,
    without_secrets,
)

CANARY = "c4n/ry @ s3cret"


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrecy, "_KNOWN", set())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://me:hush@host/path", "http://…@host/path"),
        ("no answer of postgresql+psycopg2://u:p/w@db:5432/x", "no answer of postgresql+psycopg2://…@db:5432/x"),
        ("https://token@host", "https://…@host"),
        ("abfss://me:hush@account.dfs.core.windows.net/t", "abfss://…@account.dfs.core.windows.net/t"),
        ("GET /x?token=abc&sig=q%2B&v=1", "GET /x?token=…&sig=…&v=1"),
        ("https://b.s3/x?X-Amz-Signature=0a&X-Amz-Credential=k/s3", "https://b.s3/x?X-Amz-Signature=…&X-Amz-Credential=…"),
        ("{'Authorization': 'Bearer abc.def'}", "{'Authorization': 'Bearer …'}"),
    ],
)
def test_what_looks_like_a_secret_is_taken_out(text: str, shown: str) -> None:
    assert secrecy.cleaned(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "http://host:5000/models:/intents@champion",
        "http://host:5000: no alias intents@champion",
        "s3://bucket/a@b/c",
        "table abfss://production-data@account.dfs.core.windows.net/t, wasbs://c@a.blob.core.windows.net/x: a@b",
        "models:/intents@champion, runs:/0a/model, sqlite:////data/mlflow.db",
        "token_classification: key=id, sig=3",
    ],
)
def test_what_is_none_stays(text: str) -> None:
    assert secrecy.cleaned(text) == text
    assert secrecy.cleaned_address("s3://bucket/a@b/c") == "s3://bucket/a@b/c"
    assert list(secrecy.passwords("abfss://production-data@account.dfs.core.windows.net/t")) == []


def test_a_password_may_hold_anything() -> None:
    address = f"postgresql://me:{CANARY}@db/x"
    assert secrecy.cleaned_address(address) == "postgresql://…@db/x"
    secrecy.keep_addresses_secret([address, "postgresql://me:q%2Fuoted1@db"])
    said = secrecy.cleaned(f"cannot reach {address} nor c4n%2Fry%20%40%20s3cret nor c4n/ry%20%40%20s3cret nor q/uoted1 nor q%2Fuoted1")
    assert "s3cret" not in said and "uoted1" not in said


def test_variables_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalr/XUtn")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:{CANARY}@host")
    assert secrecy.cleaned(f"wJalr/XUtn {CANARY}") == "… …"


def test_words_and_paths_of_the_environment_stay() -> None:
    env = {
        "NCCL_SOCKET_IFNAME": "eth0",
        "LOG": "info",
        "CACHE": "/data/cache",
        "API_TOKEN": "t0k3n",
        "WORD_TOKEN": "secret",
        "ODD": "x9-long-one",
    }
    secrecy.keep_environment_secret(env)
    assert secrecy.cleaned("eth0 info /data/cache secret t0k3n x9-long-one") == "eth0 info /data/cache secret … …"


def config_with_secrets() -> Config:
    config = load_config(
        None,
        [
            "data.table=t",
            f"tracking={{uri: 'http://me:{CANARY}@host', notify: 'https://hooks.example.com/T0/c4naryhook'}}",
            "launch.env.MY_TOKEN=c4naryenv",
        ],
    )
    keep_config_secret(config)
    return config


def test_settings_and_tags_are_clean() -> None:
    config = config_with_secrets()
    whole = json.dumps(without_secrets(config.model_dump(mode="json")))
    params = "".join(param_value(key, value) for key, value in config.flat().items())
    tags = "".join(tag_values({"source": f"http://me:{CANARY}@host", "note": f"of {CANARY}"}).values())
    shown = "".join(shown_overrides([f"tracking.uri=http://me:{CANARY}@host", "launch.env.MY_TOKEN=c4naryenv"]))
    assert not [found for found in ("s3cret", "c4nary") if found in whole + params + tags + shown]


def test_log_lines_and_their_tracebacks_are_clean(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    config_with_secrets()
    setup_logging()
    monkeypatch.setattr(log, "propagate", True)
    with caplog.at_level(logging.INFO, logger="sparknlp_ft"):
        log.warning("cannot reach %s (%s)", f"http://me:{CANARY}@host", "/T0/c4naryhook")
        try:
            raise RuntimeError("c4naryenv")
        except RuntimeError:
            log.exception("failed")
    said = capsys.readouterr().err + caplog.messages[0]
    assert "s3cret" not in said and "c4nary" not in said and "Traceback" in said
    record = logging.LogRecord("mlflow", logging.WARNING, "", 0, "request to http://me:%s@host", (CANARY,), None)
    assert CleanedLogs().filter(record) and "s3cret" not in record.getMessage()


@pytest.mark.parametrize("unexpected", [False, True])
def test_the_command_line_says_no_secret(unexpected: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise (RuntimeError if unexpected else __import__("sparknlp_ft.errors").errors.DataError)(f"http://me:{CANARY}@host c4naryenv")

    monkeypatch.setattr("sparknlp_ft.cli._run", fail)
    arguments = ["data.table=t", f"tracking.uri=http://me:{CANARY}@host", "launch.env.MY_TOKEN=c4naryenv"]
    assert main(["score", *arguments]) == (1 if unexpected else 2)
    assert main(["score", "--dry-run", *arguments]) == 0
    said = "".join(capsys.readouterr())
    assert "s3cret" not in said and "c4nary" not in said and "…" in said


def test_a_setting_that_is_none_is_kept_secret_too() -> None:
    keep_overrides_secret(
        ["tracking.notfy=https://hooks.example.com/c4naryhook", "launch.env.X_TOKEN=c4naryenv", f"x.y=http://a:{CANARY}@h"]
    )
    said = secrecy.cleaned(f"https://hooks.example.com/c4naryhook c4naryenv {CANARY}")
    assert said == "… … …"
