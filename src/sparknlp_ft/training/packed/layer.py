"""One transformer layer on packed tokens, forward and backward written out.

After Vaswani et al. (arXiv:1706.03762) with norms as in Devlin et al. (arXiv:1810.04805). What autograd would do in some
eighty small operations, each with its own copies, is done in thirty; sums, norms and softmax are float32, products are of
the precision that is trained in, and each gradient goes straight to where the optimizer reads it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from sparknlp_ft.models.layers import LayerParts
from sparknlp_ft.training.packed.gradients import Unwritten
from sparknlp_ft.training.packed.noise import Noise, scale

_aten = torch.ops.aten

#: A packed batch has a multiple of so many rows: oneDNN, which multiplies in bfloat16, compiles code for each shape it meets.
GRANULES = {torch.float32: 1, torch.bfloat16: 32}


@dataclass(frozen=True)
class Packing:
    """Where the tokens of a padded batch lie in the packed one.

    Attributes:
        rows, width: Shape of the padded batch.
        tokens: Rows of the packed batch: its tokens, and what fills it up to a round number.
        taken: Number of each token in the padded batch, int64; None if nothing is padding and nothing is filled up.
        given: Number of each padded position among the packed tokens, int64 [rows · width]; those of padding are 0.
        hidden: What is added to attention's scores, float32 [rows, 1, 1, width]: minus infinity at padding. None: nothing.
    """

    rows: int
    width: int
    tokens: int
    taken: torch.Tensor | None
    given: torch.Tensor
    hidden: torch.Tensor | None

    @classmethod
    def of(cls, real: torch.Tensor | None, shape: tuple[int, int], dtype: torch.dtype) -> Packing:
        """Return the packing of a batch by what of it is real, bool [rows, width]; None: all."""
        rows, width = shape
        real = torch.ones(shape, dtype=torch.bool) if real is None else real
        flat = real.reshape(-1)
        taken = torch.nonzero(flat).view(-1)
        whole, step = len(taken) == rows * width, GRANULES[dtype]
        tokens = -(-len(taken) // step) * step
        hidden = None if whole else torch.zeros(rows, 1, 1, width).masked_fill_(~real.view(rows, 1, 1, width), float("-inf"))
        given = (torch.cumsum(flat, 0) - 1).clamp_(min=0) * flat
        return cls(rows, width, tokens, None if whole and tokens == len(taken) else taken, given, hidden)

    def pack(self, padded: torch.Tensor) -> torch.Tensor:
        """[rows · width, …] → [tokens, …]; zeros fill it up."""
        if self.taken is None:
            return padded
        packed = padded.new_empty(self.tokens, *padded.shape[1:])
        torch.index_select(padded, 0, self.taken, out=packed[: len(self.taken)])
        packed[len(self.taken) :] = 0
        return packed

    def unpack(self, packed: torch.Tensor) -> torch.Tensor:
        """[tokens, …] → [rows · width, …]; padding repeats the first token, which nobody looks at."""
        return packed if self.taken is None else packed.index_select(0, self.given)

    def spread(self, packed: torch.Tensor) -> torch.Tensor:
        """[tokens, …] → [rows · width, …], with zeros for padding: what gradients need."""
        if self.taken is None:
            return packed
        return packed.new_zeros(self.rows * self.width, *packed.shape[1:]).index_copy_(0, self.taken, packed[: len(self.taken)])


class Pack(torch.autograd.Function):
    """``Packing.pack`` with its gradient."""

    @staticmethod
    def forward(ctx: Any, padded: torch.Tensor, packing: Packing) -> torch.Tensor:
        ctx.packing = packing
        return packing.pack(padded)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return ctx.packing.spread(gradient), None


class Spread(torch.autograd.Function):
    """``Packing.spread`` with its gradient."""

    @staticmethod
    def forward(ctx: Any, packed: torch.Tensor, packing: Packing) -> torch.Tensor:
        ctx.packing = packing
        return packing.spread(packed)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return ctx.packing.pack(gradient), None


class PackedLayer(torch.autograd.Function):
    """A layer as a function of its packed input, float32 [tokens, hidden], and of its parameters."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, layer: Layer, *parameters: torch.Tensor) -> torch.Tensor:
        result, ctx.kept = layer.forward(x)
        ctx.layer = layer
        return result

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        kept, ctx.kept = ctx.kept, None
        return (*ctx.layer.backward(gradient, kept),)


class Layer:
    """A layer at one pass.

    Args:
        parts: Its parts; weights are cast once a pass.
        dtype: What products are computed in.
        packing: Of the batch.
        noise: For dropout.
        unwritten: Takes the parameters' gradients.
    """

    def __init__(self, parts: LayerParts, dtype: torch.dtype, packing: Packing, noise: Noise, unwritten: Unwritten) -> None:
        self.parts, self.dtype, self.packing, self.noise, self.give = parts, dtype, packing, noise, unwritten.give
        self.first = (parts.query, parts.key, parts.value)
        with torch.no_grad():
            self.joined = torch.cat([linear.weight for linear in self.first]).to(dtype)
            self.joined_bias = torch.cat([linear.bias for linear in self.first]).to(dtype)
            self.out, self.up, self.down = (linear.weight.to(dtype) for linear in (parts.out, parts.up, parts.down))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, dict[str, Any]]:
        """Return the output, float32 [tokens, hidden], and all that backward needs."""
        input = x.to(self.dtype)
        attended, attention = self._attend(functional.linear(input, self.joined, self.joined_bias))
        result, kept = self._after(attended, x)
        return result, kept | {"input": input, "attention": attention}

    def backward(self, gradient: torch.Tensor, kept: dict[str, Any]) -> list[torch.Tensor | None]:
        """Return the gradients of the input, of this object (None), and of the parameters in the order of ``parts.parameters``.

        A parameter that has a gradient already gets its own added there, and None here.
        """
        attended, added, others = self._after_backward(gradient, kept)
        joined = self._attend_backward(attended, kept["attention"])
        inner = self._linear_gradients(joined, kept["input"], *self.first)
        x = (joined @ self.joined).to(torch.float32).add_(added)
        return [x, None, *inner, *others]

    def _after(self, attended: torch.Tensor, x: torch.Tensor) -> tuple[torch.Tensor, dict[str, Any]]:
        """Return the layer's output by what attention gives and by the layer's input, both [tokens, hidden]."""
        parts, dtype, noise = self.parts, self.dtype, self.noise
        added = functional.linear(attended, self.out, parts.out.bias.to(dtype)).to(torch.float32)
        out_kept = _drop_(added, noise, parts.out_noise)
        added += x
        normed, *first = _norm(added, parts.first_norm)
        middle = normed.to(dtype)
        before = functional.linear(middle, self.up, parts.up.bias.to(dtype))
        after = functional.gelu(before)
        total = functional.linear(after, self.down, parts.down.bias.to(dtype)).to(torch.float32)
        down_kept = _drop_(total, noise, parts.down_noise)
        total += normed
        result, *second = _norm(total, parts.second_norm)
        kept = {"attended": attended, "added": added, "out_kept": out_kept, "first": first}
        kept |= {"middle": middle, "before": before, "after": after, "total": total, "down_kept": down_kept, "second": second}
        return result, kept

    def _after_backward(self, gradient: torch.Tensor, kept: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor, list[torch.Tensor | None]]:
        """Return the gradients of what ``_after`` was given, and of the parameters behind the first three products."""
        parts, dtype = self.parts, self.dtype
        total, second = self._norm_backward(gradient.contiguous(), kept["total"], kept["second"], parts.second_norm)
        products = _undrop(total, kept["down_kept"], parts.down_noise).to(dtype)
        down = self._linear_gradients(products, kept["after"], parts.down)
        before = _aten.gelu_backward(products @ self.down, kept["before"])
        up = self._linear_gradients(before, kept["middle"], parts.up)
        normed = (before @ self.up).to(torch.float32).add_(total)
        added, first = self._norm_backward(normed, kept["added"], kept["first"], parts.first_norm)
        outer = _undrop(added, kept["out_kept"], parts.out_noise).to(dtype)
        out = self._linear_gradients(outer, kept["attended"], parts.out)
        return outer @ self.out, added, [*out, *up, *down, *first, *second]

    def _attend(self, joined: torch.Tensor) -> tuple[torch.Tensor, dict[str, Any]]:
        """Attend: [tokens, 3 · hidden] → [tokens, hidden]."""
        packing, heads = self.packing, self.parts.heads
        padded = packing.unpack(joined).view(packing.rows, packing.width, 3, heads, -1)
        attended, kept = self._weigh(*padded.permute(2, 0, 3, 1, 4).contiguous())
        return packing.pack(attended.transpose(1, 2).reshape(packing.rows * packing.width, -1)), kept

    def _weigh(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> tuple[torch.Tensor, dict[str, Any]]:
        """Return attention's output of each query, [rows, heads, queries, size]; keys and values are [rows, heads, width, size]."""
        packing = self.packing
        scores = (query @ key.transpose(-1, -2)).to(torch.float32).mul_(query.shape[-1] ** -0.5)
        if packing.hidden is not None:
            scores += packing.hidden
        weights = torch.softmax(scores, -1)
        there = self.noise.kept(tuple(weights.shape), self.parts.attention_noise)
        used = _undrop(weights, there, self.parts.attention_noise).to(self.dtype)
        kept = {"query": query, "key": key, "value": value, "weights": weights.to(self.dtype), "kept": there}
        return used @ value, kept

    def _attend_backward(self, gradient: torch.Tensor, kept: dict[str, Any]) -> torch.Tensor:
        """Return the gradient of what ``_attend`` was given, by that of what it returned."""
        packing = self.packing
        padded = packing.spread(gradient).view(packing.rows, packing.width, self.parts.heads, -1).transpose(1, 2).contiguous()
        three = torch.stack(self._weigh_backward(padded, kept))
        return packing.pack(three.permute(1, 3, 0, 2, 4).reshape(packing.rows * packing.width, -1))

    def _weigh_backward(self, gradient: torch.Tensor, kept: dict[str, Any]) -> list[torch.Tensor]:
        """Return the gradients of queries, keys and values, by that of what ``_weigh`` returned."""
        query, key, value, noise = kept["query"], kept["key"], kept["value"], self.parts.attention_noise
        weights = kept["weights"].to(torch.float32)
        used = _undrop(weights, kept["kept"], noise).to(self.dtype)
        of_weights = _undrop((gradient @ value.transpose(-1, -2)).to(torch.float32), kept["kept"], noise)
        scores = _aten._softmax_backward_data(of_weights, weights, -1, torch.float32).mul_(query.shape[-1] ** -0.5).to(self.dtype)
        return [scores @ key, scores.transpose(-1, -2) @ query, used.transpose(-1, -2) @ gradient]

    def _norm_backward(
        self, gradient: torch.Tensor, x: torch.Tensor, moments: list[torch.Tensor], norm: torch.nn.LayerNorm
    ) -> tuple[torch.Tensor, list[torch.Tensor | None]]:
        """Return the gradient of a norm's input, and what is left to hand to autograd of its parameters'."""
        shape = list(norm.normalized_shape)
        inner, weight, bias = _aten.native_layer_norm_backward(gradient, x, shape, *moments, norm.weight, norm.bias, [True, True, True])
        return inner, [self.give(norm.weight, weight), self.give(norm.bias, bias)]

    def _linear_gradients(self, gradient: torch.Tensor, input: torch.Tensor, *linears: torch.nn.Linear) -> list[torch.Tensor | None]:
        """Give the parameters of linear layers that were joined their gradients, and return what is left to hand to autograd."""
        biases = gradient.sum(0).chunk(len(linears))
        if not any(linear.weight.requires_grad for linear in linears):
            return [left for linear, bias in zip(linears, biases, strict=True) for left in (None, self.give(linear.bias, bias))]
        weights = (gradient.t() @ input).chunk(len(linears))
        pairs = [(linear.weight, weight, linear.bias, bias) for linear, weight, bias in zip(linears, weights, biases, strict=True)]
        return [left for of_weight, weight, of_bias, bias in pairs for left in (self.give(of_weight, weight), self.give(of_bias, bias))]


def _drop_(values: torch.Tensor, noise: Noise, share: float) -> torch.Tensor | None:
    """Drop a share of values in place, and return what was kept."""
    kept = noise.kept(tuple(values.shape), share)
    if kept is not None:
        values.mul_(kept.to(values.dtype)).mul_(scale(share))
    return kept


def _undrop(values: torch.Tensor, kept: torch.Tensor | None, share: float) -> torch.Tensor:
    """Return values as a mask that was drawn before lets them pass."""
    return values if kept is None else values * kept.to(values.dtype).mul_(scale(share))


def _norm(x: torch.Tensor, norm: torch.nn.LayerNorm) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    found: tuple[torch.Tensor, torch.Tensor, torch.Tensor] = torch.native_layer_norm(
        x, list(norm.normalized_shape), norm.weight, norm.bias, norm.eps
    )
    return found
