"""Task families: one file each, one registry. Shared by the Spark side and the worker side.

A task says which columns it needs, how targets are encoded, what the loss is, which metrics count, and how the network's
outputs are decoded into prediction columns. To add one, write ``tasks/NAME.py`` with a class that extends ``Task`` and
name it in ``registry.FAMILIES``.
"""

from sparknlp_ft.tasks.base import Outcomes, Rows, Setup, Task
from sparknlp_ft.tasks.registry import TASKS, get_task

__all__ = ["TASKS", "Outcomes", "Rows", "Setup", "Task", "get_task"]
