"""Training on packed tokens gives what transformers' own layers give, for any lengths, and keeps out where it cannot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model

from sparknlp_ft.config import TrainConfig
from sparknlp_ft.training.device import autocast, pick_attention
from sparknlp_ft.training.optimizer import Optimizer
from sparknlp_ft.training.packed import pack_encoder
from sparknlp_ft.training.packed.encoder import real_tokens
from sparknlp_ft.training.packed.layer import Packing
from sparknlp_ft.training.packed.noise import Noise, levels, scale

CPU, FLOAT, HALF = torch.device("cpu"), torch.float32, torch.bfloat16

#: Sizes under the names that most models use, and under DistilBERT's.
SIZES: dict[str, Any] = {
    "vocab_size": 50,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "num_labels": 3,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
}
DISTIL: dict[str, Any] = {"vocab_size": 50, "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64, "num_labels": 3}
MODELS = {
    "bert": (transformers.BertConfig, transformers.BertForSequenceClassification, SIZES),
    "roberta": (transformers.RobertaConfig, transformers.RobertaForTokenClassification, SIZES),
    "xlm-roberta": (transformers.XLMRobertaConfig, transformers.XLMRobertaForSequenceClassification, SIZES),
    "camembert": (transformers.CamembertConfig, transformers.CamembertForSequenceClassification, SIZES),
    "electra": (transformers.ElectraConfig, transformers.ElectraForQuestionAnswering, {**SIZES, "num_labels": 2}),
    "distilbert": (transformers.DistilBertConfig, transformers.DistilBertForSequenceClassification, DISTIL),
}
#: Dropout's names.
NOISES = ("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "attention_dropout", "seq_classif_dropout")


def network(name: str, *, noise: float = 0.0, **changes: Any) -> Any:
    config, model, sizes = MODELS[name]
    torch.manual_seed(0)
    return model(config(**{**sizes, **dict.fromkeys(NOISES, noise), **changes})).train()


def run(net: Any, lengths: Sequence[int], precision: torch.dtype = FLOAT) -> tuple[torch.Tensor, list[torch.Tensor | None]]:
    """Return the real outputs of a batch of texts of these lengths, and the gradients of a loss over them."""
    generator = torch.Generator().manual_seed(1)
    mask = torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]
    ids = torch.randint(1, 50, mask.shape, generator=generator).where(mask, torch.tensor(0))
    with autocast(CPU, precision):
        found = net(input_ids=ids, attention_mask=mask.long())
    output = found.start_logits if hasattr(found, "start_logits") else found.logits
    real = (output if output.shape[:2] != mask.shape else output[mask]).float()
    (real * torch.randn(real.shape, generator=generator)).sum().backward()
    return real.detach(), [parameter.grad for parameter in net.parameters()]


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("name", MODELS)
def test_outputs_and_gradients_are_those_of_the_model_as_it_comes(name: str, attention: str) -> None:
    plain, packed = network(name, attn_implementation=attention), network(name, attn_implementation=attention)
    assert pack_encoder(packed, CPU, FLOAT) is not None and packed.state_dict().keys() == plain.state_dict().keys()
    for lengths in ((7, 3, 1, 5), (4, 4)):
        expected, found = run(plain, lengths), run(packed, lengths)
        torch.testing.assert_close(found[0], expected[0], rtol=1e-4, atol=1e-5)
        for one, other in zip(found[1], expected[1], strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(lengths=st.lists(st.integers(1, 40), min_size=1, max_size=9), precision=st.sampled_from([FLOAT, HALF]))
def test_a_packing_gives_back_what_it_took(lengths: list[int], precision: torch.dtype) -> None:
    real = torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]
    packing = Packing.of(real, (len(lengths), max(lengths)), precision)
    padded = torch.randn(len(lengths) * max(lengths), 2)
    packed = packing.pack(padded)
    assert sum(lengths) <= len(packed) == packing.tokens < sum(lengths) + (32 if precision is HALF else 1)
    assert torch.equal(packed[: sum(lengths)], padded[real.view(-1)]) and not packed[sum(lengths) :].any()
    assert torch.equal(packing.spread(packed), padded.where(real.view(-1, 1), torch.tensor(0.0)))
    assert torch.equal(packing.unpack(packed)[real.view(-1)], padded[real.view(-1)])


@settings(max_examples=15, deadline=None)
@given(lengths=st.lists(st.integers(1, 30), min_size=1, max_size=6), precision=st.sampled_from([FLOAT, HALF]))
def test_any_lengths_give_the_same(lengths: list[int], precision: torch.dtype) -> None:
    plain, packed = network("bert"), network("bert")
    pick_attention(plain, CPU, precision)
    pack_encoder(packed, CPU, precision)
    (expected, gradients), (found, others) = run(plain, lengths, precision), run(packed, lengths, precision)
    close = 1e-4 if precision is FLOAT else 0.05
    torch.testing.assert_close(found, expected, rtol=close, atol=close / 10 if precision is FLOAT else close)
    for one, other in zip(others, gradients, strict=True):
        assert one is not None and other is not None
        assert float((one - other).norm()) <= close * max(float(other.norm()), 0.1)


def test_gradients_add_up_where_a_step_takes_several_passes() -> None:
    net = network("bert")
    pack_encoder(net, CPU, FLOAT)
    once = [gradient.clone() for gradient in run(net, (5, 2))[1] if gradient is not None]
    twice = run(net, (5, 2))[1]
    for one, other in zip(once, twice, strict=True):
        torch.testing.assert_close(2 * one, other, rtol=1e-4, atol=1e-6)


def test_a_step_writes_its_gradients_and_zeroes_what_it_did_not_write() -> None:
    net = network("bert")
    unwritten = pack_encoder(net, CPU, FLOAT)
    assert unwritten is not None
    optimizer = Optimizer(net, TrainConfig(learning_rate=1e-3), total_steps=1, unwritten=unwritten)

    def gradient(*passes: Sequence[int]) -> torch.Tensor:
        optimizer.zero()
        for lengths in passes:
            run(net, lengths)
        unwritten.finish()
        return optimizer.gradients.gradients.clone()

    once, other, both = gradient((5, 2)), gradient((3, 4, 1)), gradient((5, 2), (3, 4, 1))
    torch.testing.assert_close(gradient((5, 2)), once, rtol=0, atol=0)
    torch.testing.assert_close(both, once + other, rtol=1e-4, atol=1e-6)
    assert once.any() and not gradient().any()


def test_what_is_frozen_gets_no_gradient() -> None:
    net = network("bert")
    net.bert.embeddings.requires_grad_(False)
    net.bert.encoder.layer[0].requires_grad_(False)
    pack_encoder(net, CPU, FLOAT)
    run(net, (5, 2))
    assert all((parameter.grad is not None) == parameter.requires_grad for parameter in net.parameters())


def test_evaluation_is_the_model_as_it_comes() -> None:
    plain, packed = network("bert").eval(), network("bert").eval()
    pack_encoder(packed, CPU, FLOAT)
    assert torch.equal(run(plain, (5, 2))[0], run(packed, (5, 2))[0])


def test_noise_follows_from_torchs_seed_and_its_mean_stays() -> None:
    net = network("bert", noise=0.1)
    pack_encoder(net, CPU, FLOAT)

    def output(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return run(net, (9, 4))[0]

    assert torch.equal(output(1), output(1)) and not torch.equal(output(1), output(2))
    torch.manual_seed(0)
    for share in (0.1, 0.5, 0.001):
        kept = Noise.seeded().kept((1000, 1000), share)
        assert kept is not None and float(kept.float().mean()) * scale(share) == pytest.approx(1.0, abs=0.01)
    assert Noise.seeded().kept((10,), 0.0) is None and levels(0.9999) == 255


def test_masks_of_all_kinds_say_what_is_real() -> None:
    real = torch.tensor([[True, True, False], [True, False, False]])
    added = torch.zeros(2, 1, 3, 3).masked_fill(~real[:, None, None, :], torch.finfo(torch.float32).min)
    for mask in (real, real.long(), real[:, None, None, :].expand(2, 1, 3, 3), added):
        found = real_tokens(mask)
        assert found is not None and torch.equal(found, real)
    assert real_tokens(None) is None


def test_what_is_built_otherwise_is_left_as_it_came() -> None:
    lora = get_peft_model(network("bert"), LoraConfig(target_modules=["query"]))
    others = [network("bert", hidden_act="relu"), network("bert", chunk_size_feed_forward=4), lora]
    others += [
        transformers.T5ForConditionalGeneration(transformers.T5Config(vocab_size=50, d_model=16, d_ff=32, num_layers=1, num_heads=2))
    ]
    assert not any(pack_encoder(net, CPU, FLOAT) for net in others)
    assert not pack_encoder(network("bert"), CPU, torch.float16) and not pack_encoder(network("bert"), torch.device("cuda"), HALF)
