"""Where the MLflow store is, and what must not be written into it. Knows nothing of mlflow itself."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sparknlp_ft.config import TrackingConfig, is_url
from sparknlp_ft.errors import ConfigError

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
    tracking = {key: without_password(v) if isinstance(v, str) else v for key, v in whole.get("tracking", {}).items()}
    tracking |= {"notify": "(set)"} if tracking.get("notify") else {}
    return {**whole, "launch": launch, "tracking": tracking}


def without_password(text: str) -> str:
    """Return a text in which ``scheme://user:password@`` has lost its middle."""
    return re.sub(r"(\w://)[^/@\s]+@", r"\1…@", text)
