"""What a model must reach at least for a chain of jobs to go on with it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from sparknlp_ft.errors import ConfigError, ModelError
from sparknlp_ft.steps.checks import check_known_metric
from sparknlp_ft.steps.evaluation import Evaluation
from sparknlp_ft.tasks.task import Task, signed

_FORM = "give METRIC=NUMBER, for example accuracy=0.8"


def read_floors(given: Sequence[str]) -> dict[str, float]:
    """Return the least value of each metric.

    Raises:
        ConfigError: One is not of the form METRIC=NUMBER.
    """
    floors = {}
    for one in given:
        name, _, text = one.partition("=")
        try:
            floors[name] = float(text)
        except ValueError:
            floors[name] = math.nan
        if not name or math.isnan(floors[name]):
            raise ConfigError(f"--at-least: {one!r} says no least value; {_FORM}")
    return floors


def check_floors(given: Sequence[str]) -> None:
    """Refuse what is no least value; see ``read_floors``."""
    read_floors(given)


def missed(metrics: Mapping[str, float], floors: Mapping[str, float]) -> dict[str, float]:
    """Return the floors that metrics do not reach; of a metric of which less is better the floor is the most that it may be."""
    # Not 'less than': a metric that is NaN reaches nothing.
    return {name: least for name, least in floors.items() if not signed(name, metrics[name]) >= signed(name, least)}


def check_names(floors: Mapping[str, float], task: Task, names: Sequence[str] = ()) -> None:
    """Refuse a metric that the task has not; before the labels are known, one that it has with no labels.

    Args:
        floors: The least value of each.
        task: The task.
        names: The metrics there are, where they are known.

    Raises:
        ConfigError: Names the metrics there are.
    """
    for name in floors:
        check_known_metric("--at-least", name, task, names or task.metric_names())


def hold_against(result: Evaluation, floors: dict[str, float]) -> Evaluation:
    """Return the result, if it reaches every floor.

    Raises:
        ConfigError: These labels have no such metric.
        ModelError: A metric is worse; says which, and where the whole report lies.
    """
    check_names(floors, result.task, list(result.metrics))
    for name, least in missed(result.metrics, floors).items():
        raise ModelError(
            f"model {result.model.display} reaches {name} {result.metrics[name]:.4f} on {result.title}, and --at-least asks for "
            f"{least:g}; train it on more or other rows, or ask for less. Logged: {result.logged or 'nothing'}"
        )
    return result
