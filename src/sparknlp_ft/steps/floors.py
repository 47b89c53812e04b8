"""What a model must reach at least for a chain of jobs to go on with it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from sparknlp_ft.errors import ConfigError, ModelError, nearest
from sparknlp_ft.steps.evaluation import Evaluation
from sparknlp_ft.tasks.task import signed

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


def hold_against(result: Evaluation, floors: dict[str, float]) -> Evaluation:
    """Return the result, if it reaches every floor.

    Raises:
        ConfigError: The task has no such metric.
        ModelError: A metric is worse; says which, and where the whole report lies.
    """
    for name in floors:
        if name not in result.metrics:
            valid = f"{nearest(name, result.metrics)} Metrics: {', '.join(sorted(result.metrics))}"
            raise ConfigError(f"--at-least: {name!r} is not a metric of this task.{valid}")
    for name, least in missed(result.metrics, floors).items():
        raise ModelError(
            f"model {result.model.display} reaches {name} {result.metrics[name]:.4f} on {result.title}, and --at-least asks for "
            f"{least:g}; train it on more or other rows, or ask for less. Logged: {result.logged or 'nothing'}"
        )
    return result
