"""The mean of all tokens, where the base is a sentence encoder that says so: the same in training and scoring, padded or not."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from sparknlp_ft.config import TextConfig
from sparknlp_ft.models.folder import build_network, load_model, save_model
from sparknlp_ft.models.meta import new_meta
from sparknlp_ft.models.pooling import MEAN, POOLING
from sparknlp_ft.scoring.engine import load_engine
from sparknlp_ft.scoring.engines import exported
from sparknlp_ft.scoring.rows import score_rows
from sparknlp_ft.tasks import get_task
from sparknlp_ft.training.packed import pack_encoder
from tests.tiny import tiny_classifier_dir, tiny_model_dir, tiny_texts

TASK, LABELS = get_task("classification"), ("a", "b", "c")
IDS = torch.tensor([[2, 10, 11, 12, 3], [2, 20, 3, 0, 0]])
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])


@pytest.fixture
def sentence_encoder(tmp_path: Path) -> Path:
    folder = tiny_model_dir(tmp_path)
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_mean_tokens": True}))
    return folder


def network_of(folder: Path, **options: Any) -> Any:
    torch.manual_seed(0)
    return build_network(folder, TASK, LABELS, **options).eval()


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


def test_a_saved_model_pools_as_it_was_trained(sentence_encoder: Path, tmp_path: Path) -> None:
    network = network_of(sentence_encoder)
    save_model(network, tmp_path / "model", base_dir=sentence_encoder, meta=new_meta(TASK, LABELS, TextConfig(max_length=64)))
    loaded = load_model(tmp_path / "model").network
    torch.testing.assert_close(loaded(input_ids=IDS, attention_mask=MASK).logits, network(input_ids=IDS, attention_mask=MASK).logits)
    further = network_of(tmp_path / "model")
    assert getattr(further.config, POOLING) == MEAN
    assert not hasattr(network_of(tmp_path / "model", pooling="first").config, POOLING)


def test_packed_training_pools_alike(sentence_encoder: Path) -> None:
    plain, packed = (network_of(sentence_encoder, dropout=0.0).train() for _ in range(2))
    assert pack_encoder(packed, torch.device("cpu"), torch.float32)
    for network in (plain, packed):
        network(input_ids=IDS, attention_mask=MASK).logits.pow(2).sum().backward()
    torch.testing.assert_close(packed(input_ids=IDS, attention_mask=MASK).logits, plain(input_ids=IDS, attention_mask=MASK).logits)
    for (name, one), other in zip(plain.named_parameters(), packed.parameters(), strict=True):
        assert (one.grad is None) == (other.grad is None) == ("pooler" in name)
        if one.grad is not None:
            torch.testing.assert_close(other.grad, one.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("engine", ["openvino", "onnx"])
def test_every_engine_pools_alike(sentence_encoder: Path, tmp_path: Path, engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exported.tempfile, "gettempdir", lambda: str(tmp_path))
    network, folder = network_of(sentence_encoder), tmp_path / "model"
    torch.nn.init.normal_(network.classifier.weight, std=1.0)
    save_model(network, folder, base_dir=sentence_encoder, meta=new_meta(TASK, LABELS, TextConfig(max_length=64)))
    usual, found = (
        score_rows(load_engine(folder, batch_tokens=512, device="cpu", engine=one, precision="float32"), [tiny_texts(20, longest=60)])
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
