"""A student: the layers that were asked for, everything else as the teacher has it, saved and read back as the same network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from sparknlp_ft.config import ModelConfig, TextConfig
from sparknlp_ft.errors import ConfigError, ModelError
from sparknlp_ft.models.folder import build_network, load_model, save_model
from sparknlp_ft.models.meta import new_meta
from sparknlp_ft.models.student import kept_layers
from sparknlp_ft.models.tuning import tune
from sparknlp_ft.tasks import get_task
from tests.tiny import tiny_model_dir, tiny_trained_dir

LABELS = ("bad", "good", "ugly")
ENCODERS = ("bert", "roberta", "electra", "distilbert", "deberta-v2", "modernbert")


def distil(**settings: object) -> ModelConfig:
    return ModelConfig.model_validate({"tuning": "distil", "distil": settings})


def test_layers_are_spread_from_the_first_to_the_last() -> None:
    assert kept_layers(None, 6) == [0, 2, 5]
    assert kept_layers(None, 12) == [0, 2, 4, 7, 9, 11]  # As DistilBERT was taken from BERT.
    assert kept_layers(1, 4) == [0] and kept_layers(3, 4) == [0, 2, 3]
    assert kept_layers([1, 3], 4) == [1, 3]


@pytest.mark.parametrize("wanted", [4, 9, [0, 1, 2, 3], [0, 4]])
def test_a_student_is_smaller_than_its_teacher(wanted: int | list[int]) -> None:
    with pytest.raises(ConfigError, match=r"model\.distil\.layers.*has 4 layer"):
        kept_layers(wanted, 4)


@pytest.mark.parametrize("wanted", [0, [], [2, 1], [-1, 2], [1, 1]])
def test_layers_that_make_no_sense_are_refused_with_the_configuration(wanted: object) -> None:
    with pytest.raises(ValidationError, match="expected"):
        distil(layers=wanted)


@pytest.mark.parametrize("arch", ENCODERS)
def test_a_student_keeps_layers_embeddings_and_head_and_is_saved_as_it_is(tmp_path: Path, arch: str) -> None:
    folder, task = tiny_trained_dir(tmp_path, "classification", LABELS, arch=arch, layers=4), get_task("classification")
    teacher = build_network(folder, task, LABELS).eval()
    student = tune(build_network(folder, task, LABELS), distil(layers=[0, 2, 3]), seed=0).eval()
    before, after = dict(teacher.named_parameters()), dict(student.named_parameters())
    number = {0: 0, 1: 2, 2: 3}
    for name, parameter in after.items():
        parts = [str(number[int(part)]) if part.isdigit() and ".layer" in f".{name}" else part for part in name.split(".")]
        assert torch.equal(parameter, before[".".join(parts)]), name
    assert student.config.num_hidden_layers == 3 and len(after) < len(before)
    save_model(student, tmp_path / "student", base_dir=folder, meta=new_meta(task, LABELS, TextConfig(max_length=16)))
    again = load_model(tmp_path / "student").network
    given = {"input_ids": torch.tensor([[2, 20, 30, 40, 3]]), "attention_mask": torch.ones(1, 5, dtype=torch.long)}
    with torch.inference_mode():
        assert torch.allclose(again(**given).logits, student(**given).logits, atol=1e-6)
        assert not torch.allclose(again(**given).logits, teacher(**given).logits, atol=1e-5)


def test_a_network_of_two_stacks_has_no_student(tmp_path: Path) -> None:
    network = build_network(tiny_model_dir(tmp_path, "t5"), get_task("summarization"), ())
    with pytest.raises(ModelError, match="does not keep its 2 layers in one list"):
        tune(network, distil(), seed=0)
