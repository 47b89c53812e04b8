"""What can be checked before a cluster is started: names, folders, files, the fit of model and text settings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sparknlp_ft.config import Config, TrainConfig, is_url
from sparknlp_ft.errors import ConfigError, DataError, UserError, nearest
from sparknlp_ft.tasks import get_task
from sparknlp_ft.tasks.base import Task
from sparknlp_ft.text.windows import get_window
from sparknlp_ft.tracking.registry import FORMS


def check_before_cluster(command: str, config: Config) -> list[str]:
    """Check everything that needs neither Spark nor a hub, and return what was found, a line each.

    Raises:
        UserError: The first thing that does not fit.
    """
    if command == "package":
        from sparknlp_ft.pipelines.package import check_package

        return check_package(config)
    task = get_task(config.data.task)
    _check_window(config, task)
    _check_roles(config, task)
    found = [f"task {task.name}: needs {', '.join((*task.text_roles, task.target_role))}"]
    if command == "ingest":
        found += _check_sources(config)
    if command == "train":
        found += _check_base(config)
        _check_loss(config, task)
        check_metric(config, task)
    if command == "promote":
        check_metric(config, task)
        if config.score.model is None:
            raise ConfigError(f"score.model: not given; name the model to promote as {FORMS}")
    if command == "compare":
        found += _check_compare(config)
    return found


def _check_window(config: Config, task: Task) -> None:
    text = config.text
    get_window(text.window or task.default_window, text.window_params, max_length=text.max_length)
    if text.window is not None and task.windows is not None and text.window not in task.windows:
        raise ConfigError(f"text.window: {text.window!r} cannot be used for {task.name}. Valid: {', '.join(task.windows)}")


def _check_roles(config: Config, task: Task) -> None:
    roles = (*task.text_roles, *task.optional_roles, task.target_role)
    unknown = [role for role in config.data.columns if role not in roles]
    if unknown:
        raise ConfigError(f"data.columns: {unknown[0]!r} is not a role of task {task.name}; valid roles: {', '.join(roles)}")


def _check_loss(config: Config, task: Task) -> None:
    """Refuse settings that would have no effect: who gives them counts on one."""
    default = TrainConfig()
    for name in ("loss", "class_weights", "label_smoothing"):
        value = getattr(config.train, name)
        if value != getattr(default, name) and name not in task.train_settings:
            raise ConfigError(f"train.{name}: {value!r} means nothing to task {task.name}; leave it out")


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
    from sparknlp_ft.models.base import REGISTRY_PREFIX, resolve_base
    from sparknlp_ft.text.encoder import TextEncoder

    base = config.model.base
    if base.startswith(REGISTRY_PREFIX):
        return [f"model.base: {base} (a registered model; not looked up before the job runs)"]
    if not (base.startswith("package:") or Path(base).is_absolute()):
        return [f"model.base: {base} (a Hub name; not looked up before the job runs)"]
    folder = resolve_base(config.model)
    TextEncoder.load(folder, config.text, default_window=get_task(config.data.task).default_window)
    return [f"model.base: {base}, found"]


def check_metric(config: Config, task: Task, labels: Sequence[str] = ()) -> None:
    """Refuse a ``train.metric`` that the task has not.

    Args:
        config: The configuration.
        task: The task.
        labels: The label list once it is known: some metrics are of two labels alone.

    Raises:
        ConfigError: Names the metrics there are.
    """
    if config.train.metric is not None:
        loss = ["loss"] if "loss" in task.shown_metrics else []
        _known_metric("train.metric", config.train.metric, task, [*_metric_names(task, labels), *loss])


def decisive_metric(config: Config, task: Task) -> str:
    """Return the metric that models are compared by: of predictions, so never the loss, which predictions do not tell."""
    return task.default_metric if config.train.metric in (None, "loss") else config.train.metric


def compared_metric(config: Config) -> str:
    """Return the validation metric that candidates are ordered by: of predictions, so never the loss.

    Raises:
        ConfigError: ``compare.measure`` is none of the task's.
    """
    task = get_task(config.data.task)
    if config.compare.measure is not None:
        _known_metric("compare.measure", config.compare.measure, task, _metric_names(task))
        return config.compare.measure
    return decisive_metric(config, task)


def _known_metric(setting: str, name: str, task: Task, names: list[str]) -> None:
    if name not in names:
        raise ConfigError(
            f"{setting}: {name!r} is not a metric of task {task.name}.{nearest(name, names)} Valid: {', '.join(sorted(names))}"
        )


def _metric_names(task: Task, labels: Sequence[str] = ()) -> list[str]:
    """Return the metrics that a task has, seen from two made-up rows."""
    names = labels if len(labels) > 1 else ("a", "b")
    values = {"label": list(names[:2]), "number": ["1", "2"], "texts": ['["a"]', '["b"]']}.get(task.target_kind, ["[]", "[]"])
    predictions = ["a", "b"] if task.target_kind == "texts" else values
    return sorted(task.metrics(task.outcomes_of_values(values, list(predictions), names, [1, 1]), names))


def _check_compare(config: Config) -> list[str]:
    """Check the settings of all candidates. A base model that is not there is reported, and stops no other candidate."""
    from sparknlp_ft.pipelines.candidates import candidates_of, search_space

    task = get_task(config.data.task)
    compared_metric(config)
    search_space(config)
    found = []
    for candidate in candidates_of(config):
        _check_window(candidate.config, task)
        check_metric(candidate.config, task)
        _check_loss(candidate.config, task)
        try:
            told = _check_base(candidate.config)
        except UserError as error:
            told = [f"will fail: {error}"]
        found += [f"candidate {candidate.name}: {line}" for line in told]
    return found
