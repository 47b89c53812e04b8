"""evaluate --at-least: what a model must reach for a chain of jobs to go on."""

from __future__ import annotations

import math
from typing import Any, cast

import pytest

from sparknlp_ft.config import Config
from sparknlp_ft.errors import ConfigError, ModelError
from sparknlp_ft.pipelines.evaluate import run_evaluate
from sparknlp_ft.steps.evaluation import Evaluation
from sparknlp_ft.steps.floors import check_floors, check_names, hold_against, missed, read_floors
from sparknlp_ft.tasks import get_task
from sparknlp_ft.tracking.store import ModelRef


def evaluation(**metrics: float) -> Evaluation:
    model = ModelRef("tickets", "3", "r" * 32, "models:/tickets/3")
    task, nothing = get_task("classification"), cast("Any", None)
    return Evaluation(model, 10, 0, 0, (), metrics, nothing, task, title="lake/tickets version 0, test", logged="run r")


def test_floors_are_read() -> None:
    assert read_floors(["accuracy=0.8", "f1_macro=1e-1"]) == {"accuracy": 0.8, "f1_macro": 0.1}
    assert read_floors([]) == {}


@pytest.mark.parametrize("given", ["accuracy", "accuracy=high", "=0.5", "accuracy=nan", ""])
def test_what_is_no_floor_is_refused(given: str) -> None:
    with pytest.raises(ConfigError, match="--at-least: .*give METRIC=NUMBER"):
        check_floors([given])


def test_a_model_that_reaches_them_passes() -> None:
    result = evaluation(accuracy=0.8, f1_macro=0.5)
    assert hold_against(result, {"accuracy": 0.8, "f1_macro": 0.4}) is result


@pytest.mark.parametrize("reached", [0.79, math.nan])
def test_a_model_that_does_not_is_refused_and_told_where_the_report_lies(reached: float) -> None:
    with pytest.raises(ModelError, match=r"tickets/3 reaches accuracy .* 0, test, and --at-least asks for 0\.8.*Logged: run r"):
        hold_against(evaluation(accuracy=reached), {"accuracy": 0.8})


def test_of_an_error_the_floor_is_the_most_it_may_be() -> None:
    assert missed({"rmse": 0.4, "pearson": 0.4}, {"rmse": 0.5, "pearson": 0.5}) == {"pearson": 0.5}
    assert missed({"rmse": math.nan}, {"rmse": 0.5}) == {"rmse": 0.5}


def test_a_metric_that_the_task_has_not_is_refused_before_anything_is_read() -> None:
    config = Config.model_validate({"data": {"table": "tickets"}})
    with pytest.raises(ConfigError, match=r"--at-least: 'acuracy' is not a metric of task classification\. Did you mean 'accuracy'"):
        run_evaluate(config, cast("Any", None), at_least=["acuracy=0.8"])


def test_a_metric_of_two_labels_alone_is_refused_once_the_labels_are_known() -> None:
    check_names({"f1": 0.8}, get_task("classification"))
    with pytest.raises(ConfigError, match="--at-least: 'f1' is not a metric of task classification"):
        hold_against(evaluation(accuracy=1.0), {"f1": 0.8})
