"""The task families by name: each module of ``tasks.families``, and what installed packages bring.

Another package brings a family with an entry point of the group ``sparknlp_ft.tasks`` that names its module (or its class);
it must be installed wherever such a model is trained or scored.
"""

from __future__ import annotations

import functools
import inspect
import pkgutil
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType

from sparknlp_ft.errors import ConfigError, nearest
from sparknlp_ft.tasks import families
from sparknlp_ft.tasks.task import Task

GROUP = "sparknlp_ft.tasks"


@functools.cache
def all_tasks() -> dict[str, Task]:
    """Return the task families by name, those of this package first; found when they are first asked for.

    Raises:
        ConfigError: What a package brings cannot be loaded, or has the name of another.
    """
    tasks: dict[str, Task] = {}
    for task in [*_own(), *_brought()]:
        if task.name in tasks:
            raise ConfigError(f"{type(task).__module__} brings a task {task.name!r}, and there is one of this name; uninstall one of them")
        tasks[task.name] = task
    return tasks


def get_task(name: str) -> Task:
    """Return the task family called ``name``.

    Raises:
        ConfigError: There is no such task.
    """
    tasks = all_tasks()
    if name not in tasks:
        raise ConfigError(f"data.task: {name!r} is not a task.{nearest(name, tasks)} Valid: {', '.join(tasks)}")
    return tasks[name]


def _own() -> Iterator[Task]:
    # By the import system and not by the folder: the package may be read from a zip file.
    for found in sorted(pkgutil.iter_modules(families.__path__), key=lambda one: one.name):
        yield from _tasks_in(import_module(f"{families.__name__}.{found.name}"))


def _brought() -> Iterator[Task]:
    for found in sorted(entry_points(group=GROUP), key=lambda one: one.name):
        brought = _loaded(found)
        yield from _tasks_in(brought) if isinstance(brought, ModuleType) else [brought()]


def _loaded(found: EntryPoint) -> ModuleType | type[Task]:
    try:
        return found.load()
    except Exception as error:
        raise ConfigError(f"task {found.name!r} of {found.value} cannot be loaded: {error!r}; correct it, or uninstall it") from error


def _tasks_in(module: ModuleType) -> Iterator[Task]:
    for value in vars(module).values():
        if inspect.isclass(value) and issubclass(value, Task) and value.__module__ == module.__name__ and not inspect.isabstract(value):
            yield value()
