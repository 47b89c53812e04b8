"""The flat gradient, the schedule, and AdamW against torch's own over separate gradients."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sparknlp_ft.config import TrainConfig
from sparknlp_ft.errors import ConfigError
from sparknlp_ft.training.comm import Solo
from sparknlp_ft.training.optimizer import FlatGradients, Optimizer, learning_rate


def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(7, 5), torch.nn.LayerNorm(5), torch.nn.Linear(5, 3))


def test_gradients_are_views_of_one_buffer_and_stay_so() -> None:
    net = network()
    flat = FlatGradients(list(net.parameters()))
    for _ in range(2):
        flat.flat.zero_()
        net(torch.ones(2, 7)).pow(2).sum().backward()
    assert flat.gradients.norm().item() == pytest.approx(math.sqrt(sum(p.grad.norm().item() ** 2 for p in net.parameters())), rel=1e-6)
    assert all(p.grad.untyped_storage().data_ptr() == flat.flat.untyped_storage().data_ptr() for p in net.parameters())


def test_steps_are_those_of_adamw_with_clipping_and_without_decay_of_biases_and_norms() -> None:
    config = TrainConfig(learning_rate=0.05, weight_decay=0.3, max_grad_norm=0.5, warmup_fraction=0.2)
    ours, reference = network(), network()
    optimizer = Optimizer(ours, config, total_steps=10)
    decayed = [p for p in reference.parameters() if p.ndim > 1]
    plain = [p for p in reference.parameters() if p.ndim == 1]
    adamw = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.3}, {"params": plain, "weight_decay": 0.0}], foreach=False)
    for step in range(10):
        rows = torch.randn(4, 7, generator=torch.Generator().manual_seed(step)) * 3
        optimizer.zero()
        loss = ours(rows).pow(2).mean()
        loss.backward()
        optimizer.add_loss(loss)
        stats = optimizer.step(step, Solo())
        adamw.zero_grad()
        expected = reference(rows).pow(2).mean()
        expected.backward()
        norm = torch.nn.utils.clip_grad_norm_(reference.parameters(), 0.5)
        for group in adamw.param_groups:
            group["lr"] = learning_rate(step, 10, config)
        adamw.step()
        assert stats.loss == pytest.approx(expected.item(), rel=1e-5) and stats.gradient_norm == pytest.approx(norm.item(), rel=1e-5)
    for mine, theirs in zip(ours.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)


@given(st.integers(1, 500), st.sampled_from(["linear", "cosine", "constant"]), st.floats(0, 0.9))
def test_the_rate_rises_to_its_peak_and_never_after(total: int, schedule: str, warmup: float) -> None:
    config = TrainConfig(learning_rate=3e-4, schedule=schedule, warmup_fraction=warmup)
    rates = [learning_rate(step, total, config) for step in range(total)]
    peak = rates.index(max(rates))
    assert rates[: peak + 1] == sorted(rates[: peak + 1]) and rates[peak:] == sorted(rates[peak:], reverse=True)
    assert max(rates) == pytest.approx(config.learning_rate) and min(rates) > 0


def test_a_gradient_that_is_not_finite_names_the_setting_to_change() -> None:
    net = network()
    optimizer = Optimizer(net, TrainConfig(learning_rate=3e-4), total_steps=1)
    (net(torch.ones(1, 7)).sum() * float("inf")).backward()
    with pytest.raises(ConfigError, match="train.learning_rate"):
        optimizer.step(0, Solo())
