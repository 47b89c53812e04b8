"""The engine returns the network's own logits, whatever rows share a batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sparknlp_ft.errors import ModelError
from sparknlp_ft.models.device import pick_device, pick_dtype
from sparknlp_ft.models.folder import load_model
from sparknlp_ft.scoring.engine import TorchEngine, load_engine
from tests.tiny import tiny_classifier_dir, tiny_texts


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_classifier_dir(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def engine(folder: Path) -> TorchEngine:
    return load_engine(folder, batch_tokens=512, precision="float32", device="cpu")


@pytest.mark.parametrize("pair", [False, True])
def test_ids_and_logits_are_those_of_encoder_and_network_alone(folder: Path, engine: TorchEngine, pair: bool) -> None:
    """What training's evaluation does with a row, done by hand: tokenize, assemble, one forward pass."""
    import torch

    texts = tiny_texts(40, longest=100)
    pairs = tiny_texts(40, seed=1) if pair else None
    model = load_model(folder)
    expected = []
    for i, text in enumerate(texts):
        second = None if pairs is None else model.encoder.tokenize([pairs[i]])[0]
        inputs = model.encoder.assemble(model.encoder.tokenize([text])[0], second)
        reference = model.encoder.tokenizer(text, None if pairs is None else pairs[i])["input_ids"]
        assert inputs.truncated == (len(reference) > 64)
        assert inputs.truncated or inputs.ids.tolist() == reference
        with torch.inference_mode():
            batch = {"input_ids": torch.tensor(inputs.ids[None].astype(np.int64))}
            if inputs.type_ids is not None:
                batch["token_type_ids"] = torch.tensor(inputs.type_ids[None].astype(np.int64))
            expected.append(model.network(**batch).logits[0].numpy())
    result = engine.predict(texts, pairs)
    np.testing.assert_allclose(result.results, np.stack(expected), atol=2e-5)
    assert result.truncated.any() and not result.truncated.all()


def test_logits_do_not_depend_on_the_rows_beside(engine: TorchEngine) -> None:
    texts = tiny_texts(64, seed=3)
    whole = engine.predict(texts).results
    order = np.random.default_rng(0).permutation(64)
    shuffled = engine.predict([texts[i] for i in order]).results
    alone = np.concatenate([engine.predict([text]).results for text in texts])
    np.testing.assert_allclose(shuffled, whole[order], atol=2e-5)
    np.testing.assert_allclose(alone, whole, atol=2e-5)


def test_no_text_gives_no_row(engine: TorchEngine) -> None:
    assert engine.predict([]).results.shape == (0, 3)


def test_bfloat16_is_near_float32(folder: Path, engine: TorchEngine) -> None:
    texts = tiny_texts(32, seed=4)
    halved = load_engine(folder, precision="bfloat16", device="cpu").predict(texts).results
    assert halved.dtype == np.float32
    np.testing.assert_allclose(halved, engine.predict(texts).results, atol=0.1)


def test_precision_by_device() -> None:
    import torch

    cpu = pick_device("cpu")
    assert pick_dtype("float32", cpu) == torch.float32 and pick_dtype("bfloat16", cpu) == torch.bfloat16
    assert pick_dtype("auto", cpu) in (torch.float32, torch.bfloat16)


def test_threads_are_set(folder: Path) -> None:
    import torch

    before = torch.get_num_threads()
    try:
        load_engine(folder, threads=1, device="cpu")
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_a_folder_without_a_model_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        load_engine(tmp_path / "nothing")
