"""The task families by name."""

from __future__ import annotations

from sparknlp_ft.errors import ConfigError, nearest
from sparknlp_ft.tasks.base import Task
from sparknlp_ft.tasks.classification import Classification

TASKS: dict[str, Task] = {task.name: task for task in (Classification(),)}


def get_task(name: str) -> Task:
    """Return the task family called ``name``.

    Raises:
        ConfigError: There is no such task.
    """
    if name not in TASKS:
        raise ConfigError(f"data.task: {name!r} is not a task.{nearest(name, TASKS)} Valid: {', '.join(TASKS)}")
    return TASKS[name]
