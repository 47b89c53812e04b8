"""A student's teacher: which model it is, which it cannot be, and how like it the student decides."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sparknlp_ft.config import Config
from sparknlp_ft.errors import ConfigError, ModelError
from sparknlp_ft.models.inspection import content_digest
from sparknlp_ft.models.meta import load_meta, write_meta
from sparknlp_ft.steps.base_model import address_of_base, at_base, find_base
from sparknlp_ft.steps.checks import check_base
from sparknlp_ft.steps.teaching import agreement, check_student, check_teacher
from sparknlp_ft.tasks.resampling import Measured
from tests.tiny import tiny_classifier_dir, tiny_model_dir


def config(task: str = "classification", **model: object) -> Config:
    return Config.model_validate(
        {"data": {"table": "texts", "task": task}, "text": {"max_length": 64}, "model": {"tuning": "distil", **model}}
    )


def test_the_teacher_is_the_one_named_or_the_base_or_the_aliased_model(tmp_path: Path) -> None:
    trained, plain = tiny_classifier_dir(tmp_path), tiny_model_dir(tmp_path / "plain")
    assert address_of_base(config(distil={"teacher": "models:/other@best"}, base=str(trained))) == "models:/other@best"
    assert address_of_base(config(base="models:/texts/3")) == "models:/texts/3"
    assert address_of_base(config(base=str(trained))) == str(trained)
    assert address_of_base(config(base=str(plain))) == "models:/classification-texts@champion"
    assert address_of_base(Config.model_validate({"data": {"table": "t"}, "model": {"base": str(plain)}})) == str(plain)
    pinned = at_base(config(base=str(plain)), "models:/classification-texts/7")
    assert address_of_base(pinned) == "models:/classification-texts/7" and pinned.model.base == str(plain)
    assert find_base(config(distil={"teacher": str(trained)})) == trained


@pytest.mark.parametrize("task", ["token_classification", "question_answering", "summarization"])
def test_families_that_cannot_teach_name_those_that_can(task: str) -> None:
    with pytest.raises(ConfigError, match=rf"'distil' cannot be used for {task}.*classification.*multi_label.*regression"):
        check_student(config(task))


def test_a_teacher_is_a_fine_tuned_model_of_the_task_with_layers_to_leave_out(tmp_path: Path) -> None:
    trained, plain = tiny_classifier_dir(tmp_path), tiny_model_dir(tmp_path / "plain")
    assert check_base(config(distil={"teacher": str(trained)})) == [f"teacher: {trained}, found"]
    with pytest.raises(ModelError, match=r"teacher .* is not used: .* has no sparknlp_ft\.json.*model\.distil\.teacher"):
        check_base(config(distil={"teacher": str(plain)}))
    with pytest.raises(ConfigError, match="is for task 'classification', and data.task is 'regression'"):
        check_teacher(config("regression"), trained)
    with pytest.raises(ConfigError, match="a teacher that has 2 layer"):
        check_teacher(config(distil={"layers": 2}), trained)


def test_a_digest_tells_models_apart_wherever_they_lie(tmp_path: Path) -> None:
    one, same, other = (tiny_classifier_dir(tmp_path / name, seed=seed) for name, seed in (("a", 0), ("b", 0), ("c", 1)))
    assert content_digest(one) == content_digest(same) != content_digest(other)
    write_meta(same, replace(load_meta(same), settings={"temperature": 2.0}))
    assert content_digest(one) != content_digest(same)


def test_agreement_is_of_rows_that_both_were_measured_on() -> None:
    def measured(rows: list[int], prediction: list) -> Measured:
        return Measured(np.asarray(rows), {"prediction": np.asarray(prediction)}, ())

    assert agreement(measured([1, 2, 3, 4], [0, 1, 1, 0]), measured([4, 3, 2, 9], [0, 1, 0, 0])) == pytest.approx(2 / 3)
    assert agreement(measured([1, 2], [[1, 0], [1, 1]]), measured([1, 2], [[1, 0], [0, 1]])) == 0.5
    assert agreement(measured([1, 2], [1.0, 1.0]), measured([1, 2], [1.1, 1.3]), deviation=10.0) == 0.5
