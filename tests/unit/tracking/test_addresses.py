"""Where the store is, and what stays out of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sparknlp_ft.config import Config, TrackingConfig
from sparknlp_ft.errors import ConfigError
from sparknlp_ft.tracking import addresses


def test_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("DATABRICKS_RUNTIME_VERSION", raising=False)

    def address(uri: str | None) -> str:
        return addresses.store_uri(TrackingConfig(uri=uri), tmp_path)

    assert address(None) == f"sqlite:///{tmp_path}/mlflow/mlflow.db"
    assert address("sqlite:///runs.db") == f"sqlite:///{tmp_path}/runs.db"
    for kept in ("databricks", "databricks://profile", "http://tracker:5000", f"sqlite:///{tmp_path}/x.db"):
        assert address(kept) == kept
    with pytest.raises(ConfigError, match=r"tracking\.uri=sqlite:////.*/mlflow\.db"):
        address("mlruns")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracker")
    assert address(None) == "http://tracker"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "17.3")
    assert address(None) == "databricks"


def test_secrets_are_left_out() -> None:
    config = Config.model_validate(
        {"data": {"table": "t"}, "launch": {"env": {"TOKEN": "hush"}}, "tracking": {"uri": "http://me:hush@host/path"}}
    )
    whole = addresses.without_secrets(config.model_dump(mode="json"))
    assert whole["tracking"]["uri"] == "http://…@host/path" and whole["data"]["table"] == "t"
    assert "hush" not in json.dumps(whole) + "".join(addresses.param_value(key, value) for key, value in config.flat().items())
