"""The task families by name."""

from __future__ import annotations

from sparknlp_ft.errors import ConfigError, nearest
from sparknlp_ft.tasks.base import Task
from sparknlp_ft.tasks.classification import Classification
from sparknlp_ft.tasks.multi_label import MultiLabel
from sparknlp_ft.tasks.question_answering import QuestionAnswering
from sparknlp_ft.tasks.regression import Regression
from sparknlp_ft.tasks.summarization import Summarization
from sparknlp_ft.tasks.token_classification import TokenClassification

FAMILIES = (Classification(), MultiLabel(), Regression(), TokenClassification(), QuestionAnswering(), Summarization())
TASKS: dict[str, Task] = {task.name: task for task in FAMILIES}


def get_task(name: str) -> Task:
    """Return the task family called ``name``.

    Raises:
        ConfigError: There is no such task.
    """
    if name not in TASKS:
        raise ConfigError(f"data.task: {name!r} is not a task.{nearest(name, TASKS)} Valid: {', '.join(TASKS)}")
    return TASKS[name]
