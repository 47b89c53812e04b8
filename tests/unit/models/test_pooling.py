"""Means of tokens, where the base is a sentence encoder that says so: the same in training and scoring, padded or not."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from sparknlp_ft.config import ModelConfig, TextConfig
from sparknlp_ft.errors import ConfigError
from sparknlp_ft.models.folder import build_network, load_model, save_model
from sparknlp_ft.models.meta import new_meta
from sparknlp_ft.models.pooling import DIFFERENCE, MEAN, POOLING, check_pooling
from sparknlp_ft.scoring.engine import load_engine
from sparknlp_ft.scoring.engines import exported
from sparknlp_ft.scoring.rows import score_rows
from sparknlp_ft.tasks import get_task
from sparknlp_ft.training.packed import pack_encoder
from tests.tiny import tiny_classifier_dir, tiny_model_dir, tiny_texts

TASK, LABELS = get_task("classification"), ("a", "b", "c")
IDS = torch.tensor([[2, 10, 11, 12, 3], [2, 20, 3, 0, 0]])
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
TYPES = torch.tensor([[0, 0, 0, 1, 1], [0, 1, 1, 0, 0]])
PAIRS = {"input_ids": IDS, "attention_mask": MASK, "token_type_ids": TYPES}


@pytest.fixture
def sentence_encoder(tmp_path: Path) -> Path:
    folder = tiny_model_dir(tmp_path)
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_mean_tokens": True}))
    return folder


def network_of(folder: Path, *, pairs: bool = False, **settings: Any) -> Any:
    torch.manual_seed(0)
    return build_network(folder, TASK, LABELS, settings=ModelConfig(**settings), pairs=pairs).eval()


def test_the_head_sees_the_mean_of_all_real_tokens(sentence_encoder: Path) -> None:
    network = network_of(sentence_encoder)
    found = network(input_ids=IDS, attention_mask=MASK).logits
    hidden = network.bert(IDS, attention_mask=MASK).last_hidden_state
    expected = torch.stack([network.classifier(hidden[0].mean(dim=0)), network.classifier(hidden[1, :3].mean(dim=0))])
    torch.testing.assert_close(found, expected)
    alone = network(input_ids=IDS[1:, :3], attention_mask=MASK[1:, :3]).logits
    torch.testing.assert_close(found[1:], alone)
    torch.testing.assert_close(copy.deepcopy(network)(input_ids=IDS, attention_mask=MASK).logits, found)
    assert not any(parameter.requires_grad for parameter in network.bert.pooler.parameters())


def test_of_two_texts_the_head_sees_how_far_their_means_are_apart(sentence_encoder: Path) -> None:
    network = network_of(sentence_encoder, pairs=True)
    found = network(**PAIRS).logits
    hidden = network.bert(**PAIRS).last_hidden_state
    seen = [hidden[0, :3].mean(dim=0) - hidden[0, 3:].mean(dim=0), hidden[1, 0] - hidden[1, 1:3].mean(dim=0)]
    torch.testing.assert_close(found, network.classifier(torch.stack(seen).abs()))
    alone = network(input_ids=IDS[1:, :3], token_type_ids=TYPES[1:, :3]).logits
    torch.testing.assert_close(found[1:], alone)
    assert network.classifier.weight.shape == network_of(sentence_encoder).classifier.weight.shape


@pytest.mark.parametrize("empty", [0, 1])
def test_a_pair_of_which_one_text_is_missing_is_read(sentence_encoder: Path, empty: int) -> None:
    network = network_of(sentence_encoder, pairs=True)
    types = torch.full_like(IDS, 1 - empty)
    hidden = network.bert(IDS, attention_mask=MASK, token_type_ids=types).last_hidden_state
    found = network(input_ids=IDS, attention_mask=MASK, token_type_ids=types).logits
    torch.testing.assert_close(found[1], network.classifier(hidden[1, :3].mean(dim=0).abs()))


def test_what_a_model_goes_on_with(sentence_encoder: Path, tmp_path: Path) -> None:
    """One of pairs as it was, on single texts with the mean; one that was trained on pairs before, with the mean it saw."""
    for name, pairs in (("mean", False), ("difference", True)):
        network = network_of(sentence_encoder, pairs=pairs)
        save_model(network, tmp_path / name, base_dir=sentence_encoder, meta=new_meta(TASK, LABELS, TextConfig(max_length=64)))
        torch.testing.assert_close(load_model(tmp_path / name).network(**PAIRS).logits, network(**PAIRS).logits)

    def kept(folder: str, **options: Any) -> str:
        return str(getattr(network_of(tmp_path / folder, **options).config, POOLING))

    assert kept("difference", pairs=True) == DIFFERENCE and kept("difference") == MEAN and kept("mean", pairs=True) == MEAN
    assert kept("mean", pairs=True, pooling="difference") == DIFFERENCE and kept("difference", pairs=True, pooling="mean") == MEAN


def test_the_difference_of_one_text_is_refused() -> None:
    check_pooling("difference", 2)
    for wanted in ("auto", "mean", "first"):
        check_pooling(wanted, 1)
    with pytest.raises(ConfigError, match=r"model\.pooling: 'difference' is of two texts.*data\.columns\.text_pair"):
        check_pooling("difference", 1)


def test_a_saved_model_pools_as_it_was_trained(sentence_encoder: Path, tmp_path: Path) -> None:
    network = network_of(sentence_encoder)
    save_model(network, tmp_path / "model", base_dir=sentence_encoder, meta=new_meta(TASK, LABELS, TextConfig(max_length=64)))
    loaded = load_model(tmp_path / "model").network
    torch.testing.assert_close(loaded(input_ids=IDS, attention_mask=MASK).logits, network(input_ids=IDS, attention_mask=MASK).logits)
    further = network_of(tmp_path / "model")
    assert getattr(further.config, POOLING) == MEAN
    assert not hasattr(network_of(tmp_path / "model", pooling="first").config, POOLING)


@pytest.mark.parametrize("pairs", [False, True])
def test_packed_training_pools_alike(sentence_encoder: Path, pairs: bool) -> None:
    plain, packed = (network_of(sentence_encoder, dropout=0.0, pairs=pairs).train() for _ in range(2))
    assert pack_encoder(packed, torch.device("cpu"), torch.float32)
    for network in (plain, packed):
        network(**PAIRS).logits.pow(2).sum().backward()
    torch.testing.assert_close(packed(**PAIRS).logits, plain(**PAIRS).logits)
    for (name, one), other in zip(plain.named_parameters(), packed.parameters(), strict=True):
        assert (one.grad is None) == (other.grad is None) == ("pooler" in name)
        if one.grad is not None:
            torch.testing.assert_close(other.grad, one.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("texts", [1, 2])
@pytest.mark.parametrize("engine", ["openvino", "onnx"])
def test_every_engine_pools_alike(sentence_encoder: Path, tmp_path: Path, engine: str, texts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exported.tempfile, "gettempdir", lambda: str(tmp_path))
    network, folder = network_of(sentence_encoder, pairs=texts == 2), tmp_path / "model"
    torch.nn.init.normal_(network.classifier.weight, std=1.0)
    save_model(network, folder, base_dir=sentence_encoder, meta=new_meta(TASK, LABELS, TextConfig(max_length=64)))
    columns = [tiny_texts(20, longest=60 // texts, seed=seed) for seed in range(texts)]
    usual, found = (
        score_rows(load_engine(folder, batch_tokens=512, device="cpu", engine=one, precision="float32"), columns)
        for one in ("torch", engine)
    )
    assert list(usual["label"]) == list(found["label"])
    for one, other in zip(usual["scores"], found["scores"], strict=True):
        assert list(one.values()) == pytest.approx(list(other.values()), abs=1e-4)


def test_a_model_of_before_keeps_its_first_token(tmp_path: Path) -> None:
    folder = tiny_classifier_dir(tmp_path, LABELS)
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_mean_tokens": True}))
    network = load_model(folder).network
    pooled = network.bert(IDS, attention_mask=MASK).pooler_output
    torch.testing.assert_close(network(input_ids=IDS, attention_mask=MASK).logits, network.classifier(pooled))


@pytest.mark.parametrize(("arch", "pooling"), [("bert", "first"), ("distilbert", "auto"), ("roberta", "mean")])
def test_other_bases_and_settings_keep_their_way(tmp_path: Path, arch: str, pooling: str) -> None:
    folder = tiny_model_dir(tmp_path, arch)
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_mean_tokens": True}))
    network = network_of(folder, pooling=pooling)
    assert not hasattr(network.config, POOLING)
    assert network(input_ids=IDS, attention_mask=MASK).logits.shape == (2, 3)


def test_a_base_that_says_nothing_keeps_its_way(tmp_path: Path) -> None:
    plain = network_of(tiny_model_dir(tmp_path))
    assert not hasattr(plain.config, POOLING) and plain.bert.pooler.dense.weight.requires_grad
    assert getattr(network_of(tiny_model_dir(tmp_path / "other"), pooling="mean").config, POOLING) == MEAN
