"""Where the MLflow store is, and what must not be written into it. Knows nothing of mlflow itself."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from sparknlp_ft.config import Config, TrackingConfig
from sparknlp_ft.errors import ConfigError
from sparknlp_ft.secrecy import cleaned_address, keep_addresses_secret, keep_environment_secret, keep_secret
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


def make_room(database: Path | None) -> None:
    """Make the folder of a SQLite store.

    Raises:
        ConfigError: It cannot be made, or not written.
    """
    if database is None:
        return
    try:
        database.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"tracking.uri: the folder {str(database.parent)!r} cannot be made ({error}); give another") from error
    if not os.access(database if database.exists() else database.parent, os.W_OK):
        raise ConfigError(f"tracking.uri: {str(database)!r} cannot be written; give another, or the right to")


def param_value(key: str, value: object) -> str:
    """Return a setting as a parameter's value: short, and without secrets."""
    secret = key.startswith("launch.env.") or (key == "tracking.notify" and value is not None)
    text = "(set)" if secret else cleaned_address(str(value))
    return text if len(text) <= PARAM_CHARS else text[: PARAM_CHARS - 1] + "…"


def tag_values(tags: Mapping[str, object]) -> dict[str, str]:
    """Return tags as MLflow takes them, without secrets."""
    return {key: cleaned_address(str(value)) for key, value in tags.items()}


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
            shown.append(cleaned_address(override))
        else:
            shown.append(f"{dotted}={cleaned_address(text)}")
    return shown


def keep_config_secret(config: Config) -> None:
    """Keep what of a configuration is secret out of all that this process says."""
    keep_environment_secret(config.launch.env)
    keep_tracking_secret(config.tracking)
    keep_addresses_secret(_leaves(config.model_dump(mode="json")))


def keep_tracking_secret(tracking: TrackingConfig) -> None:
    """Keep what of the section ``tracking`` is secret out of all that this process says."""
    keep_addresses_secret((tracking.uri, tracking.artifacts))
    if tracking.notify is not None:
        keep_secret(tracking.notify, urlsplit(tracking.notify).path)  # Errors of HTTP may name the path alone.


def keep_overrides_secret(overrides: Sequence[str]) -> None:
    """Keep what of ``section.key=value`` settings is secret, before it is known whether they are settings at all."""
    for dotted, _, text in (override.partition("=") for override in overrides):
        keep_addresses_secret([text])
        if dotted.startswith("launch.env."):
            keep_environment_secret({dotted.removeprefix("launch.env."): text})
        elif dotted.startswith("tracking.not"):
            keep_secret(text)


def _leaves(value: Any) -> Iterator[object]:
    """Yield the plain values in nested mappings and lists."""
    if isinstance(value, Mapping | list):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _leaves(inner)
    else:
        yield value


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return cleaned_address(value) if isinstance(value, str) else value
