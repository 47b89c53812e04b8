"""The parts of packaging: what of the configuration fits a model that was not trained here, its folder, the trial on an example."""

from __future__ import annotations

import ast
import re
import shutil
import sys
from dataclasses import dataclass, replace
from importlib.metadata import packages_distributions
from pathlib import Path

import pandas as pd

from sparknlp_ft.config import Config, ModelConfig, PackageConfig
from sparknlp_ft.errors import ConfigError, ModelError, nearest
from sparknlp_ft.models.folder import save_model
from sparknlp_ft.models.foreign import DEFAULT_LENGTH, Adopted, adopt
from sparknlp_ft.models.meta import ModelMeta, load_meta, new_meta
from sparknlp_ft.models.origin import resolve_base
from sparknlp_ft.progress import step
from sparknlp_ft.scoring import ddl
from sparknlp_ft.scoring.incremental import LINEAGE
from sparknlp_ft.scoring.processing import PROCESSING_FILE, Processed, rehearse
from sparknlp_ft.scoring.rows import OK, STATUS_FIELDS
from sparknlp_ft.tasks import Task, get_task
from sparknlp_ft.tracking.logged import log_model
from sparknlp_ft.tracking.pyfunc import PyfuncModel
from sparknlp_ft.tracking.store import ModelRef, Run


@dataclass(frozen=True)
class Made:
    """A packaged model before it is logged."""

    folder: Path
    source: Path  #: the folder that it was made of
    meta: ModelMeta


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


def make_folder(config: Config, scratch: str | Path) -> Made:
    """Write the model folder as training would have left it, with the user's file.

    Args:
        config: The configuration.
        scratch: An empty folder, to make it in.

    Raises:
        ModelError: The model is not there, or has no head for the task.
        ConfigError: A setting does not fit the model.
    """
    package, folder, source = config.package, Path(scratch) / "model", find_folder(config.package)
    with step(f"reading {package.model}"):
        adopted = adopt(source, package_task(config))
        save_model(adopted.network, folder, base_dir=source, meta=_meta(config, adopted))
        if package.processing is not None:
            shutil.copyfile(package.processing, folder / PROCESSING_FILE)
    return Made(folder, source, load_meta(folder))


def _meta(config: Config, adopted: Adopted) -> ModelMeta:
    """Return what is kept with the model: what training kept, if it was trained here, and what ``package`` says."""
    package, task = config.package, package_task(config)
    if package.max_length and adopted.longest and package.max_length > adopted.longest:
        raise ConfigError(f"package.max_length: {package.max_length} is more than the {adopted.longest} tokens this model takes; give less")
    text = config.text.model_copy(update={"max_length": min(adopted.longest or DEFAULT_LENGTH, DEFAULT_LENGTH)})
    kept, columns = adopted.meta or new_meta(task, adopted.labels, text), text_columns(package, task)
    trained = kept.text_roles or tuple(columns)
    if set(trained) != set(columns):
        raise ConfigError(f"package.text_columns: {columns}, and this model was trained on {', '.join(trained)}; give a column for each")
    return replace(
        kept,
        text=kept.text.model_copy(update={"max_length": package.max_length or kept.text.max_length}),
        settings=kept.settings or task.untrained_settings(config),
        text_roles=tuple(columns),
        columns=columns,
        output=output_fields(package, task),
        processing=None if package.processing is None else PROCESSING_FILE,
        packaged={"model": package.model, "revision": package.revision},
    )


def try_out(made: Made, package: PackageConfig) -> pd.DataFrame:
    """Score the example as a table is scored and as MLflow is asked, and return it with its ``id``.

    Raises:
        ConfigError: The user's functions do not work, or a text of the example cannot be scored.
    """
    model, columns = PyfuncModel(str(made.folder)), list(made.meta.columns.values())
    frame = pd.DataFrame({"id": range(1, len(package.example) + 1), **dict.fromkeys(columns, package.example)})
    with step("trying it on the example"):
        engine = model.engine
        if isinstance(engine, Processed):
            rehearse(engine, frame[columns].astype(object), file=str(package.processing))
        result = model.predict(frame)
    failed = result[result["status"] != OK]
    if len(failed):
        row = failed.iloc[0]
        raise ConfigError(f"package.example: text {row['id']} cannot be scored ({row['error'] or row['status']}); give another")
    return frame


def log_package(run: Run, made: Made, package: PackageConfig, example: pd.DataFrame) -> ModelRef:
    """Log settings and model to a run."""
    run.log_settings({f"package.{key}": value for key, value in package.model_dump(mode="json").items()})
    return log_model(run, made.folder, text_roles=list(made.meta.columns), example=example, packages=needed_packages(package))
