"""A row with many windows: evaluated in several passes to the same result, and shown in part to a training step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from sparknlp_ft.models.folder import load_model
from sparknlp_ft.tasks import get_task
from sparknlp_ft.text.encoder import Inputs
from sparknlp_ft.training.feed import Batch, _some
from sparknlp_ft.training.forward import Forward
from tests.tiny import tiny_texts, tiny_trained_dir


def test_a_long_row_takes_several_passes_and_says_the_same(tmp_path: Path) -> None:
    model = load_model(tiny_trained_dir(tmp_path, "token_classification", ("place",), max_length=16))
    ids = model.encoder.tokenize([" ".join(tiny_texts(20)), "lost card"])
    windows = [model.encoder.windows(one) for one in ids]
    assert len(windows[0]) > 20
    batch = Batch(np.arange(2), windows, [None, None])
    forward = Forward(model.network, get_task("token_classification"), model.setup, torch.device("cpu"), torch.float32)
    with torch.inference_mode():
        whole, parts = forward.results(batch), forward.results(batch, max_tokens=64)
    for one, other, tokens in zip(whole, parts, ids, strict=True):
        assert len(one) == len(tokens)
        assert one == pytest.approx(other, abs=1e-5)


def test_a_training_step_shows_some_windows_in_order_and_others_each_epoch() -> None:
    windows = [Inputs(np.asarray([i]), None, False) for i in range(100)]
    drawn = [[int(one.ids[0]) for one in _some(windows, 8, seed=(42, epoch, -7))] for epoch in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert all(len(set(one)) == 8 and one == sorted(one) for one in drawn)
    assert _some(windows[:8], 8, seed=(0,)) == windows[:8]
