"""A last layer that computes its first token alone gives the outputs of the whole one, where only that token is asked for."""

from __future__ import annotations

import pytest
import torch

from sparknlp_ft.models.first_token import answer_by_first
from sparknlp_ft.models.pooling import MEAN, POOLING, pool
from tests.unit.training.test_packed import MODELS, SIZES, network

CLASSIFIERS = [name for name, (_, model, _) in MODELS.items() if model.__name__.endswith("ForSequenceClassification")]
ATTENTIONS = ("eager", "sdpa")


def batch(*lengths: int) -> dict[str, torch.Tensor]:
    mask = torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]
    ids = torch.randint(1, 50, mask.shape, generator=torch.Generator().manual_seed(1)).where(mask, torch.tensor(0))
    return {"input_ids": ids, "attention_mask": mask.long()}


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("name", CLASSIFIERS)
@torch.inference_mode()
def test_outputs_are_those_of_the_whole_layer_and_less_is_computed(name: str, attention: str) -> None:
    plain, first = (network(name, attn_implementation=attention).eval() for _ in range(2))
    assert answer_by_first(first) and first.state_dict().keys() == plain.state_dict().keys()
    widths: list[int] = []
    linears = [module for module in first.modules() if isinstance(module, torch.nn.Linear) and module.out_features == 64]
    linears[-1].register_forward_hook(lambda module, given, found: widths.append(found.shape[1]))
    for lengths in ((7, 3, 1, 5), (4, 4), (1,)):
        torch.testing.assert_close(first(**batch(*lengths)).logits, plain(**batch(*lengths)).logits, rtol=1e-4, atol=1e-5)
    assert widths == [1, 1, 1]


def test_training_computes_the_layer_as_it_came() -> None:
    plain, first = network("bert"), network("bert")
    answer_by_first(first)
    for net in (plain, first):
        net(**batch(5, 2)).logits.square().sum().backward()
    for one, other in zip(first.parameters(), plain.parameters(), strict=True):
        assert torch.equal(one.grad, other.grad)


def test_nothing_is_changed_where_other_tokens_are_asked_for_or_the_layer_is_another() -> None:
    mean = network("bert")
    setattr(mean.config, POOLING, MEAN)
    assert pool(mean) and not answer_by_first(mean)
    assert not answer_by_first(network("roberta")) and not answer_by_first(network("electra")), "heads that see every token"
    assert not answer_by_first(network("bert", hidden_act="relu")) and SIZES["num_hidden_layers"] == 2
