"""Task families: one file each, one registry. Shared by the Spark side and the worker side.

A task says which columns it needs, how targets are encoded, what the loss is, which metrics count, and how logits are
decoded into prediction columns. To add one, write ``tasks/NAME.py`` with a class that keeps ``Task`` and name it in
``TASKS``.
"""

from sparknlp_ft.tasks.base import Task
from sparknlp_ft.tasks.registry import TASKS, get_task

__all__ = ["TASKS", "Task", "get_task"]
