"""Package: a model folder of any origin, and the user's own functions, become a registered model like one trained here.

Everything is tried on an example first, through the same code that scores a table: what does not work is not logged.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from sparknlp_ft.config import Config, PackageConfig
from sparknlp_ft.errors import ConfigError
from sparknlp_ft.models.foreign import DEFAULT_LENGTH
from sparknlp_ft.models.meta import ModelMeta
from sparknlp_ft.progress import step
from sparknlp_ft.reports.blocks import Facts, Report
from sparknlp_ft.reports.page import Viewed
from sparknlp_ft.scoring import ddl
from sparknlp_ft.scoring.rows import STATUS_FIELDS
from sparknlp_ft.steps.command import Command
from sparknlp_ft.steps.packaging import (
    Made,
    find_folder,
    log_package,
    make_folder,
    needed_packages,
    output_fields,
    package_task,
    registered_name,
    text_columns,
    try_out,
)
from sparknlp_ft.storage import is_url
from sparknlp_ft.text.windows import get_window
from sparknlp_ft.tracking.store import ModelRef, connect, register, set_alias, start_run


@dataclass(frozen=True)
class Packaged(Viewed):
    """What packaging came to."""

    model: ModelRef
    source: str
    meta: ModelMeta
    alias: str | None

    def report(self) -> Report:
        """Return what notebooks show."""
        meta, alias = self.meta, f"{self.alias} → {self.model.display}" if self.alias else "none moved"
        rows = {
            "model": self.model.display, "run": self.model.run_id, "task": meta.task, "labels": len(meta.labels) or None,
            "tokens of a window": meta.text.max_length, "reads": ", ".join(meta.columns.values()),
            "adds": ", ".join([*ddl.names(meta.fields), *ddl.names(STATUS_FIELDS)]), "alias": alias,
        }  # fmt: skip
        said = f"{self.source} is registered as {self.model.display}: score with score.model={self.model.display}."
        return Report("package", self.source, [said], [Facts.of("", rows)])

    def __str__(self) -> str:
        code = " score.allow_code=true" if self.meta.processing else ""
        meta, columns = self.meta, ", ".join(self.meta.columns.values())
        labels = f", {len(meta.labels)} labels" if meta.labels else ""
        return "\n".join(
            [
                f"model    {self.model.display} (run {self.model.run_id})",
                f"from     {self.source}: {meta.task}{labels}, windows of {meta.text.max_length} tokens",
                f"columns  reads {columns}; adds {', '.join([*ddl.names(meta.fields), *ddl.names(STATUS_FIELDS)])}",
                f"alias    {self.alias} → {self.model.display}" if self.alias else "alias    none moved; package.alias=NAME moves one",
                f"score    sparknlp-ft score data.table=TABLE data.task={meta.task} score.model={self.model.display}{code}",
            ]
        )


def run_package(config: Config) -> Packaged:
    """Make a registered model of ``package.model``.

    Raises:
        UserError: The folder, the functions or the settings do not fit; nothing was logged.
    """
    package, name = config.package, registered_name(config)
    with tempfile.TemporaryDirectory(prefix="sparknlp_ft-package-") as scratch:
        made = make_folder(config, scratch)
        example = try_out(made, package)
        store, tags = connect(config.tracking), _tags(made, package)
        with start_run(store, f"package {name}", tags=tags, system_metrics=False) as run, step("logging and registering the model"):
            model = register(store, log_package(run, made, package, example), name, tags=tags)
    if package.alias:
        set_alias(store, model, package.alias)
    return Packaged(model, str(package.model), made.meta, package.alias)


def _tags(made: Made, package: PackageConfig) -> dict[str, object]:
    return {"packaged": "true", "task": made.meta.task, "source": package.model, "source_folder": str(made.source)}


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
    if package.model.startswith("package:") or is_url(package.model) or Path(package.model).is_absolute():
        find_folder(package)
    return found


COMMAND = Command(
    place=7,
    help="model folder of any origin + your own functions → a registered model like one trained here",
    check=check_package,
    run=lambda config, spark, arguments: run_package(config),
    needs_spark=False,
    needs_table=False,
    subject=lambda config: str(config.package.model),
)
