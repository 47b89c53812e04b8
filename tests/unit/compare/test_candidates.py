"""Candidates and the space of a search: each mistake is named before anything runs."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
import yaml
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from sparknlp_ft.cli import parse
from sparknlp_ft.comparing.candidates import AS_CONFIGURED, candidates_of, overrides, search_space
from sparknlp_ft.config import Config, load_config
from sparknlp_ft.errors import ConfigError
from sparknlp_ft.pipelines.compare import check_compare
from sparknlp_ft.pipelines.train import check_train
from sparknlp_ft.steps.checks import check_metric, compared_metric


def config_of(compare: dict[str, Any], *more: str) -> Config:
    return load_config(None, ["data.table=texts", f"compare={yaml.safe_dump(compare, default_flow_style=True, width=10_000)}", *more])


def test_without_candidates_the_configuration_is_the_one() -> None:
    assert [one.name for one in candidates_of(load_config(None, ["data.table=texts"]))] == [AS_CONFIGURED]
    assert candidates_of(config_of({"candidates": []})) == []


def test_a_candidate_changes_what_it_says_and_nothing_else() -> None:
    config = config_of({"candidates": [{"name": "lora", "set": {"model.tuning": "lora", "model.lora.rank": 4, "text.window": "ht"}}]})
    [candidate] = candidates_of(config)
    changed = {key for key, value in candidate.config.flat().items() if config.flat()[key] != value}
    assert changed == {"model.tuning", "model.lora.rank", "text.window"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"trian.epochs": 2}, r"a: 'trian.epochs' is nothing that candidates may differ in.*train"),
        ({"data.table": "other"}, r"'data.table' is nothing that candidates may differ in"),
        ({"train": {}}, r"'train' is nothing that candidates may differ in"),
        ({"train.epochs": 0}, r"train.epochs: 0"),
        ({"train.epoch": 1}, r"train.epoch: no such key.*epochs"),
    ],
)
def test_a_setting_that_does_not_fit_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        candidates_of(config_of({"candidates": [{"name": "a", "set": given}]}))


def test_two_candidates_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="two candidates are called 'a'"):
        config_of({"candidates": [{"name": "a"}, {"name": "a"}]})


def test_the_space_of_a_search() -> None:
    space = search_space(
        config_of({"search": {"train.learning_rate": {"low": 1e-5, "high": 1e-3, "log": True}, "train.epochs": {"low": 1, "high": 4},
                              "text.window": ["head", None]}})
    )  # fmt: skip
    assert space["train.learning_rate"] == FloatDistribution(1e-5, 1e-3, log=True)
    assert space["train.epochs"] == IntDistribution(1, 4)
    assert space["text.window"] == CategoricalDistribution(['"head"', "null"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], r"expected a list of choices, or \{low"),
        ({"low": 1}, r"expected a list of choices, or \{low"),
        ({"low": 3, "high": 1}, "low must be less than high"),
        ({"low": 0, "high": 1, "log": True}, "more than 0 with log"),
        ({"low": "a", "high": 1}, "expected numbers for low and high"),
        ({"low": 0, "high": 5}, r"train.epochs: 0"),
        ([1, "many"], r"train.epochs: 'many'"),
    ],
)
def test_a_space_that_does_not_fit_is_refused(given: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        search_space(config_of({"search": {"train.epochs": given}}))


def test_numbers_that_yaml_takes_for_texts_are_numbers() -> None:
    config = config_of({"search": {"train.learning_rate": {"low": "1e-5", "high": "1e-3"}}})
    assert search_space(config)["train.learning_rate"] == FloatDistribution(1e-5, 1e-3)


@pytest.mark.parametrize(
    ("task", "setting", "message"),
    [
        (
            "token_classification",
            "train.class_weights=balanced",
            "train.class_weights: 'balanced' means nothing to task token_classification",
        ),
        ("multi_label", "train.label_smoothing=0.1", "train.label_smoothing: 0.1 means nothing"),
        ("regression", "train.metric=loss", "train.metric: 'loss' is not a metric of task regression"),
    ],
)
def test_a_setting_without_effect_is_refused(task: str, setting: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_train(load_config(None, ["data.table=t", f"data.task={task}", setting]))


def test_a_metric_of_two_labels_is_none_of_three() -> None:
    config = load_config(None, ["data.table=t", "train.metric=f1"])
    check_metric(config, ["a", "b"])
    with pytest.raises(ConfigError, match=r"train.metric: 'f1' is not a metric"):
        check_metric(config, ["a", "b", "c"])


def test_settings_go_through_the_command_line_unchanged() -> None:
    settings = {
        "train.learning_rate": 3e-5,
        "text.window": None,
        "model.base": "a b/c's",
        "text.window_params": [1, 2],
        "model.tuning": "lora",
    }
    line = shlex.join(["train", "data.table=t", *overrides(settings)])
    flat = load_config(None, parse(shlex.split(line)).overrides).flat()
    assert {key: flat[key] for key in settings} == settings


def test_candidates_are_ordered_by_a_metric_of_predictions() -> None:
    assert compared_metric(config_of({}, "train.metric=loss")) == "accuracy"
    assert compared_metric(config_of({"measure": "f1_macro"})) == "f1_macro"
    with pytest.raises(ConfigError, match=r"compare.measure: 'f1_macr' is not a metric"):
        compared_metric(config_of({"measure": "f1_macr"}))


def test_a_dry_run_tells_what_will_fail() -> None:
    lines = check_compare(config_of({"candidates": [{"name": "far", "set": {"model.base": "/no/such"}}]}))
    assert any(line.startswith("candidate far: will fail:") for line in lines)
