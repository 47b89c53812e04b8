"""What an MLflow store holds of this project's, as plain values: the last runs, the models, one run's settings and figures."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sparknlp_ft.errors import ConfigError
from sparknlp_ft.secrecy import cleaned_address
from sparknlp_ft.tracking.patience import found
from sparknlp_ft.tracking.store import Store

SETTINGS = "config.json"


@dataclass(frozen=True)
class RunView:
    """One run as it is listed."""

    run_id: str
    name: str
    status: str
    started: datetime
    seconds: float | None  #: None while it runs
    table: str  #: with its version; empty if it has none
    metrics: Mapping[str, float]
    tags: Mapping[str, str]


@dataclass(frozen=True)
class ModelView:
    """One registered model as it is listed."""

    name: str
    versions: int
    aliases: Mapping[str, str]


def last_runs(store: Store, count: int) -> list[RunView]:
    """Return the last runs of the experiment, the newest first."""
    return [_view(run) for run in store.client.search_runs([store.experiment_id], order_by=["start_time DESC"], max_results=count)]


def find_run(store: Store, run_id: str) -> RunView:
    """Return one run.

    Raises:
        ConfigError: There is none of this id.
    """
    run = found(lambda: store.client.get_run(run_id))
    if run is None:
        raise ConfigError(f"there is no run {run_id!r} in {cleaned_address(store.uri)!r}; `sparknlp-ft status` lists the last ones")
    return _view(run)


def registered(store: Store) -> list[ModelView]:
    """Return the registered models, by name."""
    models = store.client.search_registered_models()
    counts = {model.name: len(store.client.search_model_versions(f"name='{model.name}'")) for model in models}
    return [_model(one, counts[one.name]) for one in sorted(models, key=lambda one: str(one.name))]


def _model(model: Any, versions: int) -> ModelView:
    # SQLite stores hand out numbers.
    return ModelView(model.name, versions, {alias: str(version) for alias, version in model.aliases.items()})


def settings_of_run(store: Store, run_id: str) -> dict[str, Any]:
    """Return the whole configuration that a run was made with, without its secrets.

    Raises:
        ConfigError: The run has none: it is not one of a training.
    """
    names = {file.path for file in store.client.list_artifacts(run_id)}
    if SETTINGS not in names:
        raise ConfigError(f"run {run_id!r} has no {SETTINGS}: it is not a training of this project")
    with tempfile.TemporaryDirectory(prefix="sparknlp_ft-run-") as scratch:
        path = Path(store.client.download_artifacts(run_id, SETTINGS, scratch))
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return values


def history(store: Store, run_id: str, metric: str) -> dict[int, float]:
    """Return the values of a metric by step; of several of one step the last."""
    return {one.step: one.value for one in store.client.get_metric_history(run_id, metric)}


def _view(run: Any) -> RunView:
    info, tags = run.info, dict(run.data.tags)
    seconds = (info.end_time - info.start_time) / 1000 if info.end_time else None
    table = f"{tags['source_table']} version {tags['source_version']}" if "source_version" in tags else ""
    started = datetime.fromtimestamp(info.start_time / 1000, UTC)
    return RunView(info.run_id, info.run_name or "", info.status, started, seconds, table, dict(run.data.metrics), tags)
