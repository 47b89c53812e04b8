"""The face for notebooks before a session is asked for: a light import, keywords as settings, errors as exceptions."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

import sparknlp_ft as ft
from sparknlp_ft.config import load_config
from sparknlp_ft.notebook import settings_of


def test_the_import_brings_no_library_along() -> None:
    code = """
import sys, sparknlp_ft as ft
print([name for name in ("torch", "pyspark", "mlflow", "pandas", "numpy") if name in sys.modules])
ft.train
print([name for name in ("torch", "pyspark", "mlflow", "transformers") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]", "[]"]


def test_every_name_is_there() -> None:
    assert all(callable(getattr(ft, name)) for name in ft.__all__ if name != "__version__")
    with pytest.raises(AttributeError, match="has no attribute 'trian'"):
        ft.trian  # noqa: B018


@pytest.mark.parametrize(
    ("command", "keywords", "settings"),
    [
        ("train", {"table": "t", "label": "queue"}, {"data.table": "t", "data.columns.label": "queue"}),
        ("train", {"text": "body"}, {"data.columns.text": "body"}),
        ("train", {"train": {"epochs": 3}, "text": {"max_length": 64}}, {"train.epochs": 3, "text.max_length": 64}),
        ("train", {"train.epochs": 3, "key": ["a", "b"]}, {"train.epochs": 3, "data.key": ["a", "b"]}),
        ("train", {"model": "base"}, {"model.base": "base"}),
        ("compare", {"model": {"tuning": "lora"}}, {"model.tuning": "lora"}),
        ("score", {"model": "m@champion"}, {"score.model": "m@champion"}),
        ("package", {"model": "folder"}, {"package.model": "folder"}),
    ],
)
def test_keywords_are_settings(command: str, keywords: dict[str, Any], settings: dict[str, Any]) -> None:
    assert settings_of(command, keywords) == settings


def test_keywords_win_over_a_mapping_which_is_left_as_it_was() -> None:
    given = {"data": {"table": "t", "columns": {"text": "body"}}, "train": {"epochs": 9, "seed": 1}}
    config = load_config(given=given, settings={"train.epochs": 3, "data.columns.label": "queue"})
    assert (config.train.epochs, config.train.seed, config.data.columns) == (3, 1, {"text": "body", "label": "queue"})
    assert given["train"] == {"epochs": 9, "seed": 1}


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"tabel": "t"}, "Did you mean 'table'"),
        ({"train": 3}, "expected a mapping of settings"),
        ({"table": "t", "train": {"epoch": 3}}, "Did you mean 'epochs'"),
        ({"table": "t", "train": {"epochs": "many"}}, "train.epochs"),
    ],
)
def test_a_wrong_keyword_is_an_exception_that_says_what_to_do(keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(ft.ConfigError, match=message):
        load_config(settings=settings_of("train", keywords))


def test_what_is_no_session_is_refused_in_words() -> None:
    with pytest.raises(ft.LaunchError, match="give the notebook's Spark session"):
        ft.train("main.support.tickets")  # type: ignore[arg-type]
