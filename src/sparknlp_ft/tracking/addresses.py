"""Where the MLflow store is, and what must not be written into it. Knows nothing of mlflow itself."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from sparknlp_ft.config import TrackingConfig
from sparknlp_ft.errors import ConfigError
from sparknlp_ft.storage import is_url

#: Longest parameter value that every MLflow server takes; the whole configuration is kept as an artifact.
PARAM_CHARS = 500


def store_uri(tracking: TrackingConfig, cwd: Path) -> str:
    """Return the absolute address of the store: given, or the environment's, or a SQLite file under ``cwd``.

    Raises:
        ConfigError: The address is a folder.
    """
    uri = tracking.uri or os.environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        return "databricks" if os.environ.get("DATABRICKS_RUNTIME_VERSION") else f"sqlite:///{cwd.absolute() / 'mlflow' / 'mlflow.db'}"
    # A relative SQLite address would be another store in each working directory.
    if uri.startswith("sqlite:///") and not uri.startswith("sqlite:////"):
        return f"sqlite:///{cwd.absolute() / uri.removeprefix('sqlite:///')}"
    if not is_url(uri) and uri not in {"databricks", "databricks-uc", "uc"} and "://" not in uri:
        raise ConfigError(
            f"tracking.uri: {uri!r} is a folder; MLflow's file store is no longer maintained. "
            f"Use a SQLite store in it instead: tracking.uri=sqlite:///{(cwd / uri).absolute()}/mlflow.db"
        )
    return uri


def sqlite_file(uri: str) -> Path | None:
    """Return the file of a SQLite store, or None for another kind."""
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None


def param_value(key: str, value: object) -> str:
    """Return a setting as a parameter's value: short, and without secrets."""
    secret = key.startswith("launch.env.") or (key == "tracking.notify" and value is not None)
    text = "(set)" if secret else without_password(str(value))
    return text if len(text) <= PARAM_CHARS else text[: PARAM_CHARS - 1] + "…"


def without_secrets(whole: Mapping[str, Any]) -> dict[str, Any]:
    """Return a whole configuration without ``tracking.notify``, the values of ``launch.env`` and passwords in addresses."""
    launch = {**whole.get("launch", {}), "env": dict.fromkeys(whole.get("launch", {}).get("env", {}), "(set)")}
    tracking = {**whole.get("tracking", {})}
    tracking |= {"notify": "(set)"} if tracking.get("notify") else {}
    plain: dict[str, Any] = _plain({**whole, "launch": launch, "tracking": tracking})
    return plain


def shown_overrides(overrides: Sequence[str]) -> list[str]:
    """Return ``section.key=value`` settings as they may be shown: those that are secrets left out, passwords in addresses too."""
    shown = []
    for override in overrides:
        dotted, _, text = override.partition("=")
        if dotted == "tracking.notify" or dotted.startswith("launch.env"):
            continue
        if dotted in ("tracking", "launch") and isinstance(values := yaml.safe_load(text), dict):
            kept = {key: value for key, value in values.items() if key not in ("notify", "env")}
            override = f"{dotted}={yaml.safe_dump(kept, default_flow_style=True, width=10_000).strip()}"
        shown.append(without_password(override))
    return shown


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return without_password(value) if isinstance(value, str) else value


def without_password(text: str) -> str:
    """Return a text in which ``scheme://user:password@`` has lost its middle."""
    return re.sub(r"(\w://)[^/@\s]+@", r"\1…@", text)
