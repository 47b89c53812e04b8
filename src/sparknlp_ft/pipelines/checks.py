"""What can be checked before a cluster is started: names, folders, files, the fit of model and text settings."""

from __future__ import annotations

from pathlib import Path

from sparknlp_ft.config import Config, is_url
from sparknlp_ft.errors import ConfigError, DataError
from sparknlp_ft.tasks import get_task
from sparknlp_ft.tasks.base import Task
from sparknlp_ft.text.windows import get_window


def check_before_cluster(command: str, config: Config) -> list[str]:
    """Check everything that needs neither Spark nor a hub, and return what was found, a line each.

    Raises:
        UserError: The first thing that does not fit.
    """
    task = get_task(config.data.task)
    get_window(config.text.window)
    _check_roles(config, task)
    found = [f"task {task.name}: needs {', '.join((*task.text_roles, task.target_role))}"]
    if command == "ingest":
        found += _check_sources(config)
    if command == "train":
        found += _check_base(config)
        _check_metric(config, task)
    return found


def _check_roles(config: Config, task: Task) -> None:
    roles = (*task.text_roles, *task.optional_roles, task.target_role)
    unknown = [role for role in config.data.columns if role not in roles]
    if unknown:
        raise ConfigError(f"data.columns: {unknown[0]!r} is not a role of task {task.name}; valid roles: {', '.join(roles)}")


def _check_sources(config: Config) -> list[str]:
    if not config.data.sources:
        raise ConfigError("data.sources: empty; ingest needs at least one, for example [{format: csv, path: train.csv, split: train}]")
    found = []
    for i, source in enumerate(config.data.sources):
        if source.format == "hub" or is_url(source.path):
            found.append(f"data.sources.{i}: {source.format} {source.path} (not looked up before the job runs)")
            continue
        path = Path(source.path)  # absolute, as every path of a loaded configuration
        files = [path] if path.exists() else list(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
        if not files:
            raise DataError(f"data.sources.{i}.path: {source.path!r} does not exist; give a file, folder or glob")
        found.append(f"data.sources.{i}: {source.format}, {len(files)} file(s) or folder(s)")
    return found


def _check_base(config: Config) -> list[str]:
    from sparknlp_ft.models.base import resolve_base
    from sparknlp_ft.text.encoder import TextEncoder

    base = config.model.base
    if not (base.startswith("package:") or Path(base).is_absolute()):
        return [f"model.base: {base} (a Hub name; not looked up before the job runs)"]
    folder = resolve_base(config.model)
    TextEncoder.load(folder, config.text)
    return [f"model.base: {base}, found"]


def _check_metric(config: Config, task: Task) -> None:
    import numpy as np

    if config.train.metric is None:
        return
    sample = {"target": np.array([0, 1]), "prediction": np.array([0, 1])}
    names = sorted(task.metrics(sample, ["a", "b"]))
    if config.train.metric not in names:
        raise ConfigError(f"train.metric: {config.train.metric!r} is not a metric of task {task.name}; valid: {', '.join(names)}")
