"""What can be checked before a cluster is started, a concern each: each command puts together those that concern it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, cast

from sparknlp_ft.config import Config, SourceConfig, TrainConfig
from sparknlp_ft.errors import ConfigError, DataError, LaunchError, TableAbsent, UserError, nearest
from sparknlp_ft.models.pooling import check_pooling
from sparknlp_ft.snapshot.build import check_snapshots
from sparknlp_ft.storage import Folder, is_url
from sparknlp_ft.tables.contracts import check_given, resolve_roles
from sparknlp_ft.tables.delta import TableRef
from sparknlp_ft.tables.own_log import LOG, Columns, columns_of, local_folder, tables_beside
from sparknlp_ft.tables.places import PLACED
from sparknlp_ft.tables.session import starts_here
from sparknlp_ft.tables.spelling import LABELLED
from sparknlp_ft.tasks import Task, get_task
from sparknlp_ft.text.windows import get_window

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def check_task(config: Config) -> list[str]:
    """Check what every command on a table needs: that there is the task, and that window and roles fit it."""
    task = get_task(config.data.task)
    check_window(config)
    check_roles(config)
    check_cures(config)
    return [f"task {task.name}: needs {', '.join((*task.text_roles, task.target_role))}"]


def together(config: Config, *checks: Callable[[Config], list[str] | None]) -> list[str]:
    """Make several checks and return all that was found, a line each.

    Raises:
        UserError: What does not fit: one problem as it was raised, several as one error that lists them.
    """
    lines: list[str] = []
    problems: list[UserError] = []
    for check in checks:
        try:
            lines += check(config) or []
        except UserError as error:
            problems.append(error)
    told = list(dict.fromkeys(map(str, problems)))
    if len(told) > 1:
        raise ConfigError(f"{len(told)} problems:\n  " + "\n  ".join(told))
    if problems:
        raise problems[0]
    return lines


def look_at_table(config: Config) -> list[str]:
    """Look for the table that is trained on, and its columns, where its log lies on this machine.

    Raises:
        TableAbsent: It is not there.
        DataError: It lacks a column.
        ConfigError: The model is to compare two texts, and it has one.
    """
    found = _columns(config.data.table, config, config.data.version)
    if found is None:
        return []
    roles = resolve_roles(cast("DataFrame", found), config.data, get_task(config.data.task), need_target=True)
    check_pooling(config.model.pooling, len(roles.texts))
    return [_told(config.data.table, found)]


def look_at_scored(config: Config) -> list[str]:
    """Look for the table that is scored, its key and the columns that are named; what else is read, the model says."""
    table = config.score.table or config.data.table
    found = _columns(table, config, config.data.version if table == config.data.table else None)
    if found is None:
        return []
    check_given(cast("DataFrame", found), config.data, get_task(config.data.task))
    return [_told(table, found)]


def _columns(table: str, config: Config, version: int | None) -> Columns | None:
    ref = TableRef.parse(table, config.data.root)
    found, beside = columns_of(ref, version), tables_beside(ref)
    folder = local_folder(ref)
    if found is None and folder is not None and beside is not None and starts_here() and not (folder / LOG).exists():
        if folder.is_dir() and any(folder.iterdir()):
            return None  # Something else is there: what, is said by who opens it.
        near = nearest(folder.name, beside) or (f" Tables beside it: {', '.join(beside[:8])}." if beside else "")
        raise TableAbsent(f"table {ref.display!r} is not there.{near} Make it with `sparknlp-ft ingest`.")
    return found


def _told(table: str, found: Columns) -> str:
    return f"table {table}: version {found.version}, columns {', '.join(found.columns)}"


def check_libraries(config: Config) -> None:
    """Refuse a job whose settings need a library that this Python has not: the wheel brings what scoring needs alone.

    Raises:
        ConfigError: Names the library, how to install it, and how to do without.
    """
    launch = config.launch
    wanted = {
        "horovod": (
            launch.backend == "horovod" or (launch.backend == "auto" and launch.ranks > 1),
            "build it with scripts/build_horovod.py, or set launch.backend=torch",
        ),
        "petastorm": (launch.reader == "petastorm", "pip install --no-deps petastorm==0.13.1, or set launch.reader=arrow"),
        "peft": (config.model.tuning == "lora", "pip install 'sparknlp-ft[train]', or leave model.tuning out"),
        "tensorboard": (config.tracking.tensorboard is not None, "pip install 'sparknlp-ft[train]', or leave tracking.tensorboard out"),
        "rouge_score": (config.data.task == "summarization", "pip install 'sparknlp-ft[train]'"),
    }
    for library, (needed, recipe) in wanted.items():
        if needed and find_spec(library) is None:
            raise ConfigError(f"{library} is not installed here, and the settings need it: {recipe}")


def check_folders(config: Config) -> None:
    """Refuse a run folder, or a folder of snapshots, that cannot be written; a small object is written and deleted.

    Raises:
        LaunchError: Names the setting, the folder and the reason.
    """
    together(config, check_run_dir, functools.partial(check_snapshots, unless_kept=True))


def check_run_dir(config: Config) -> None:
    """Refuse a run folder that cannot be written; raises as ``check_folders``."""
    if (reason := Folder(config.launch.run_dir).obstacle()) is not None:
        raise LaunchError(f"launch.run_dir: {config.launch.run_dir!r} cannot be written: {reason}. Give a folder or an address that can.")


def check_window(config: Config) -> None:
    """Refuse a window that there is not, or that the task cannot use."""
    task, text = get_task(config.data.task), config.text
    get_window(text.window or task.default_window, text.window_params, max_length=text.max_length)
    if text.window is not None and task.windows is not None and text.window not in task.windows:
        raise ConfigError(f"text.window: {text.window!r} cannot be used for {task.name}. Valid: {', '.join(task.windows)}")


def check_roles(config: Config) -> None:
    """Refuse columns for roles that the task has not."""
    task = get_task(config.data.task)
    roles = (*task.text_roles, *task.optional_roles, task.target_role)
    unknown = [role for role in config.data.columns if role not in roles]
    if unknown:
        raise ConfigError(f"data.columns: {unknown[0]!r} is not a role of task {task.name}; valid roles: {', '.join(roles)}")


def check_cures(config: Config) -> None:
    """Refuse cures of the rows that the task's targets have no use for."""
    task, data = get_task(config.data.task), config.data
    for setting, value, default, kinds in (
        ("clean.labels", data.clean.labels, "none", LABELLED),
        ("on_conflict", data.on_conflict, "keep", LABELLED),
        ("on_misplaced", data.on_misplaced, "fail", PLACED),
    ):
        if value != default and task.target_kind not in kinds:
            raise ConfigError(f"data.{setting}: {value!r} means nothing to task {task.name}; leave it out")
    if data.on_misplaced == "repair" and task.target_kind == "entities":
        raise ConfigError("data.on_misplaced: 'repair' finds answers by their text, and entities have none; take 'drop'")


def check_loss(config: Config) -> None:
    """Refuse settings that would have no effect: who gives them counts on one."""
    task, default = get_task(config.data.task), TrainConfig()
    for name in ("loss", "class_weights", "label_smoothing"):
        value = getattr(config.train, name)
        if value != getattr(default, name) and name not in task.train_settings:
            raise ConfigError(f"train.{name}: {value!r} means nothing to task {task.name}; leave it out")


def check_sources(config: Config) -> list[str]:
    """Look for the files that are to be ingested.

    Raises:
        ConfigError: No source is given.
        DataError: A source is not there.
    """
    if not config.data.sources:
        raise ConfigError("data.sources: empty; ingest needs at least one, for example [{format: csv, path: train.csv, split: train}]")
    return [_source(f"data.sources.{i}", source) for i, source in enumerate(config.data.sources)]


def _source(where: str, source: SourceConfig) -> str:
    if source.format == "hub" or is_url(source.path):
        return f"{where}: {source.format} {source.path} (not looked up before the job runs)"
    path = Path(source.path)  # absolute, as every path of a loaded configuration
    files = [path] if path.exists() else list(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
    if not files:
        raise DataError(f"{where}.path: {source.path!r} does not exist; give a file, folder or glob")
    return f"{where}: {source.format}, {len(files)} file(s) or folder(s)"


def check_base(config: Config) -> list[str]:
    """Look for the base model, and whether the windows fit it, if it is a folder.

    Raises:
        ModelError: It is not there, or cannot be used.
        ConfigError: The windows do not fit it.
    """
    from sparknlp_ft.models.folder import check_architecture
    from sparknlp_ft.models.origin import REGISTRY_PREFIX
    from sparknlp_ft.steps.base_model import address_of_base, find_base, is_taught
    from sparknlp_ft.steps.teaching import check_student, check_teacher
    from sparknlp_ft.text.encoder import TextEncoder

    check_student(config)
    base, setting = address_of_base(config), "teacher" if is_taught(config) else "model.base"
    if base.startswith(REGISTRY_PREFIX):
        return [f"{setting}: {base} (a registered model; not looked up before the job runs)"]
    if not (base.startswith("package:") or is_url(base) or Path(base).is_absolute()):
        return [f"{setting}: {base} (a Hub name; not looked up before the job runs)"]
    folder, task = find_base(config), get_task(config.data.task)
    check_architecture(folder, task)
    TextEncoder.load(folder, config.text, default_window=task.default_window)
    if is_taught(config):
        check_teacher(config, folder)
    return [f"{setting}: {base}, found"]


def check_metric(config: Config, labels: Sequence[str] = ()) -> None:
    """Refuse a ``train.metric``, or one of ``tracking.at_least``, that the task has not.

    Args:
        config: The configuration.
        labels: The label list once it is known: some metrics are of two labels alone.

    Raises:
        ConfigError: Names the metrics there are.
    """
    if config.train.metric is None and not config.tracking.at_least:
        return  # To know the names is to compute every metric once.
    task = get_task(config.data.task)
    names = task.metric_names(labels)
    if config.train.metric is not None:
        check_known_metric("train.metric", config.train.metric, task, [*names, *(["loss"] if "loss" in task.shown_metrics else [])])
    for name in config.tracking.at_least:
        check_known_metric("tracking.at_least", name, task, names)


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
        check_known_metric("compare.measure", config.compare.measure, task, task.metric_names())
        return config.compare.measure
    return decisive_metric(config, task)


def check_known_metric(setting: str, name: str, task: Task, names: Sequence[str]) -> None:
    """Refuse the name of a metric that is none of those given; the setting that names it stands in the message."""
    if name not in names:
        raise ConfigError(
            f"{setting}: {name!r} is not a metric of task {task.name}.{nearest(name, names)} Valid: {', '.join(sorted(names))}"
        )
