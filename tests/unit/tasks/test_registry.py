"""Tasks are found: those of this package, and those that others bring; what they bring and cannot be used is said."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from sparknlp_ft.errors import ConfigError
from sparknlp_ft.tasks import all_tasks, get_task, registry

FAMILIES = Path(registry.__file__).parent / "families"


@pytest.fixture
def fresh() -> Iterator[None]:
    all_tasks.cache_clear()
    yield
    all_tasks.cache_clear()


def test_each_file_is_a_task_and_another_package_brings_one() -> None:
    assert list(all_tasks()) == [*sorted(file.stem for file in FAMILIES.glob("[!_]*.py")), "loudness"]
    assert type(get_task("loudness")).__module__ == "toy_task"
    with pytest.raises(ConfigError, match=r"'sumarization' is not a task\. Did you mean 'summarization'\? Valid: classification, "):
        get_task("sumarization")


@pytest.mark.parametrize(
    ("brought", "message"),
    [
        ("no_such_module", "task 'mine' of no_such_module cannot be loaded: ModuleNotFoundError"),
        ("sparknlp_ft.tasks.families.regression:Regression", "brings a task 'regression', and there is one of this name"),
    ],
)
def test_what_cannot_be_used_is_said(fresh: None, monkeypatch: pytest.MonkeyPatch, brought: str, message: str) -> None:
    monkeypatch.setattr(registry, "entry_points", lambda group: [EntryPoint("mine", brought, group)])
    with pytest.raises(ConfigError, match=message):
        get_task("regression")


def test_a_class_is_as_good_as_its_module(fresh: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "entry_points", lambda group: [EntryPoint("mine", "toy_task:Loudness", group)])
    assert type(get_task("loudness")) is sys.modules["toy_task"].Loudness
