"""Package: a model folder of any origin, and the user's own functions, become a registered model like one trained here.

Everything is tried on an example first, through the same code that scores a table: what does not work is not logged.
"""

from __future__ import annotations

import ast
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pandas as pd

from sparknlp_ft.config import Config, ModelConfig, PackageConfig
from sparknlp_ft.errors import ConfigError, ModelError, nearest
from sparknlp_ft.models.base import resolve_base
from sparknlp_ft.models.folder import ModelMeta, load_meta, save_model
from sparknlp_ft.models.foreign import DEFAULT_LENGTH, Adopted, adopt
from sparknlp_ft.progress import step
from sparknlp_ft.scoring import ddl
from sparknlp_ft.scoring.incremental import LINEAGE
from sparknlp_ft.scoring.processing import PROCESSING_FILE, Processed, rehearse
from sparknlp_ft.scoring.rows import OK, STATUS_FIELDS
from sparknlp_ft.tasks import Task, get_task
from sparknlp_ft.text.windows import get_window
from sparknlp_ft.tracking.logged import log_model
from sparknlp_ft.tracking.pyfunc import PyfuncModel
from sparknlp_ft.tracking.store import ModelRef, connect, register, set_alias, start_run


@dataclass(frozen=True)
class Packaged:
    """What packaging came to."""

    model: ModelRef
    source: str
    meta: ModelMeta
    alias: str | None

    def __str__(self) -> str:
        meta, columns = self.meta, ", ".join(self.meta.columns.values())
        labels = f", {len(meta.labels)} labels" if meta.labels else ""
        return "\n".join(
            [
                f"model    {self.model.display} (run {self.model.run_id})",
                f"from     {self.source}: {meta.task}{labels}, windows of {meta.text.max_length} tokens",
                f"columns  reads {columns}; adds {', '.join([*ddl.names(meta.fields), *ddl.names(STATUS_FIELDS)])}",
                f"alias    {self.alias} → {self.model.display}" if self.alias else "alias    none moved; package.alias=NAME moves one",
                f"score    sparknlp-ft score data.table=TABLE data.task={meta.task} score.model={self.model.display}",
            ]
        )


def run_package(config: Config) -> Packaged:
    """Make a registered model of ``package.model``.

    Raises:
        UserError: The folder, the functions or the settings do not fit; nothing was logged.
    """
    package, task = config.package, package_task(config)
    name = registered_name(config)
    with tempfile.TemporaryDirectory(prefix="sparknlp_ft-package-") as scratch:
        folder, source = Path(scratch) / "model", find_folder(package)
        with step(f"reading {package.model}"):
            write_folder(config, adopt(source, task), task, source, folder)
        with step("trying it on the example"):
            example = try_out(folder, package)
        store = connect(config.tracking)
        meta = load_meta(folder)
        tags = {"packaged": "true", "task": task.name, "source": package.model, "source_folder": str(source)}
        with start_run(store, f"package {name}", tags=tags, system_metrics=False) as run:
            run.log_settings({f"package.{key}": value for key, value in package.model_dump(mode="json").items()})
            with step("logging and registering the model"):
                logged = log_model(run, folder, text_roles=list(meta.columns), example=example, packages=needed_packages(package))
                model = register(store, logged, name, tags=tags)
    if package.alias:
        set_alias(store, model, package.alias)
    return Packaged(model, str(package.model), meta, package.alias)


def check_package(config: Config) -> list[str]:
    """Check what needs neither the model nor its registry, and return what was found, a line each.

    Raises:
        UserError: The first thing that does not fit.
    """
    package, task = config.package, package_task(config)
    if package.model is None:
        raise ConfigError("package.model: required, and not given; a folder, 'package:NAME/FOLDER', or the name of a Hub model")
    columns, text = text_columns(package, task), config.text
    output_fields(package, task)
    get_window(text.window or task.default_window, text.window_params, max_length=package.max_length or DEFAULT_LENGTH)
    found = [f"package.model: {package.model}, registered as {registered_name(config)}, reads {', '.join(columns.values())}"]
    if package.processing is not None:
        packages = needed_packages(package)
        found.append(f"package.processing: {package.processing}, found; it needs {', '.join(packages) or 'no further packages'}")
    if package.model.startswith("package:") or Path(package.model).is_absolute():
        find_folder(package)
    return found


def package_task(config: Config) -> Task:
    """Return the task of the model to package: ``package.task``, or else ``data.task``."""
    try:
        return get_task(config.package.task or config.data.task)
    except ConfigError as error:
        raise ConfigError(str(error).replace("data.task", "package.task") if config.package.task else str(error)) from error


def registered_name(config: Config) -> str:
    """Return the name to register under: given, or one per task and folder."""
    last = re.sub(r"[^\w.-]+", "_", str(config.package.model).rstrip("/").rsplit("/", 1)[-1])
    name = config.package.name or f"{package_task(config).name}-{last}"
    if re.search(r"[/:@]", name):
        raise ConfigError(f"package.name: {name!r} holds one of / : @, which no registered model's name may")
    return name


def text_columns(package: PackageConfig, task: Task) -> dict[str, str]:
    """Return role → column in the order of the task's roles.

    Raises:
        ConfigError: A role is unknown or missing, or two roles have one column.
    """
    roles = (*task.text_roles, *task.optional_roles)
    default = {"text": "content"} if task.text_roles == ("text",) else {role: role for role in task.text_roles}
    given = package.text_columns or default
    if unknown := [role for role in given if role not in roles]:
        hint = nearest(unknown[0], roles)
        raise ConfigError(f"package.text_columns: {unknown[0]!r} is not a text role of {task.name}.{hint} Valid: {', '.join(roles)}")
    if missing := [role for role in task.text_roles if role not in given]:
        raise ConfigError(f"package.text_columns: no column for {missing[0]!r}, which {task.name} reads; give {missing[0]}: COLUMN")
    if len(set(given.values())) < len(given):
        raise ConfigError(f"package.text_columns: {given} gives two roles one column; each needs its own")
    return {role: given[role] for role in roles if role in given}


def output_fields(package: PackageConfig, task: Task) -> str | None:
    """Return the declared prediction columns as DDL, ``*`` filled in; None where they are the task's own.

    Raises:
        ConfigError: They cannot be read, or nothing makes them.
    """
    if package.output is None:
        return None
    if package.processing is None:
        raise ConfigError(f"package.output: {package.output!r}, but package.processing is not given, and postprocess makes such columns")
    declared = ", ".join(task.prediction_fields if name == "*" else f"{name} {kind}" for name, kind in ddl.fields(package.output))
    try:
        ddl.check(declared)
    except ValueError as error:
        raise ConfigError(f"package.output: {package.output!r}: {error}") from error
    if taken := [name for name in ddl.names(declared) if name.lower() in (*ddl.names(STATUS_FIELDS), *LINEAGE)]:
        raise ConfigError(f"package.output: column {taken[0]!r} is one that every prediction has; give it another name")
    return declared


def find_folder(package: PackageConfig) -> Path:
    """Return the checked local folder of ``package.model``; a Hub model is downloaded.

    Raises:
        ModelError: It is not there, or holds no model.
    """
    try:
        return resolve_base(ModelConfig(base=str(package.model), revision=package.revision))
    except ModelError as error:
        raise ModelError(str(error).replace("model.base", "package.model")) from error


def needed_packages(package: PackageConfig) -> list[str]:
    """Return the packages that the user's file imports, beyond Python's own.

    Raises:
        ConfigError: The file is not there, cannot be parsed, or imports what no installed package brings and would be left behind.
    """
    if package.processing is None:
        return []
    file = Path(package.processing)
    if not file.is_file():
        near = nearest(file.name, [one.name for one in file.parent.glob("*.py")] if file.parent.is_dir() else [])
        raise ConfigError(f"package.processing: file {str(file)!r} does not exist.{near} Give a Python file.")
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError) as error:
        raise ConfigError(f"package.processing: {str(file)!r} is not Python: {error}") from error
    modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    modules |= {"." if node.level else str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    brought, found = packages_distributions(), set()
    for module in sorted(name.partition(".")[0] for name in modules):
        if module in sys.stdlib_module_names or module in ("__future__", "sparknlp_ft"):
            continue
        if module not in brought:
            raise ConfigError(
                f"package.processing: {str(file)!r} imports {module or 'a file beside it'!r}, which is no installed package and would not "
                "travel with the model; put it into the file, or install it as a package"
            )
        found.add(brought[module][0])
    return sorted(found)


def write_folder(config: Config, adopted: Adopted, task: Task, source: Path, folder: Path) -> None:
    """Write the model folder as training would have left it, with the user's file.

    Raises:
        ConfigError: ``package.max_length`` is more than the model takes.
    """
    package = config.package
    if package.max_length and adopted.longest and package.max_length > adopted.longest:
        raise ConfigError(f"package.max_length: {package.max_length} is more than the {adopted.longest} tokens this model takes; give less")
    columns, output = text_columns(package, task), output_fields(package, task)
    trained = adopted.extra.get("text_roles", list(columns))
    if set(trained) != set(columns):
        raise ConfigError(f"package.text_columns: {columns}, and this model was trained on {', '.join(trained)}; give a column for each")
    text = adopted.text or config.text.model_copy(update={"max_length": min(adopted.longest or DEFAULT_LENGTH, DEFAULT_LENGTH)})
    own = {
        "settings": adopted.extra.get("settings") or default_settings(config, task),
        "text_roles": list(columns),
        "columns": columns,
        "output": output,
        "processing": None if package.processing is None else PROCESSING_FILE,
        "packaged": {"model": package.model, "revision": package.revision},
    }
    text = text.model_copy(update={"max_length": package.max_length or text.max_length})
    save_model(adopted.network, folder, base_dir=source, task=task, labels=adopted.labels, text=text, extra={**adopted.extra, **own})
    if package.processing is not None:
        shutil.copyfile(package.processing, folder / PROCESSING_FILE)


def default_settings(config: Config, task: Task) -> dict[str, Any]:
    """Return what training would have settled: a number is taken as the network says it, texts and answers as configured."""
    if task.name == "regression":
        return {"mean": 0.0, "deviation": 1.0}
    return task.settings(config, {}, 0) if task.name in ("summarization", "question_answering") else {}


def try_out(folder: Path, package: PackageConfig) -> pd.DataFrame:
    """Score the example as a table is scored and as MLflow is asked, and return it with its ``id``.

    Raises:
        ConfigError: The user's functions do not work, or a text of the example cannot be scored.
    """
    model = PyfuncModel(str(folder))
    columns: Sequence[str] = list(model.model.meta.columns.values())
    frame = pd.DataFrame({"id": range(1, len(package.example) + 1), **dict.fromkeys(columns, package.example)})
    engine = model.engine
    if isinstance(engine, Processed):
        rehearse(engine, frame[list(columns)].astype(object), file=str(package.processing))
    result = model.predict(frame)
    failed = result[result["status"] != OK]
    if len(failed):
        row = failed.iloc[0]
        raise ConfigError(f"package.example: text {row['id']} cannot be scored ({row['error'] or row['status']}); give another")
    return frame
