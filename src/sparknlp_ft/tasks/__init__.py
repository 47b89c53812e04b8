"""Task families: one file each, one registry. Shared by the Spark side and the worker side.

A task says which columns it needs, how targets are encoded, what the loss is, which metrics count, and how the network's
outputs are decoded into prediction columns. To add one, write ``tasks/families/NAME.py`` with a class that extends ``Task``;
or write it into a package of your own that names it as an entry point (see ``registry``).
"""

from sparknlp_ft.tasks.outcomes import Outcomes
from sparknlp_ft.tasks.registry import all_tasks, get_task
from sparknlp_ft.tasks.task import Rows, Setup, Statistics, Task

__all__ = ["Outcomes", "Rows", "Setup", "Statistics", "Task", "all_tasks", "get_task"]
