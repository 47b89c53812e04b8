"""The last layer of a network whose head looks at the first token alone: keys and values of all tokens, all else of that one."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from sparknlp_ft.training.packed.layer import Layer


class FirstTokenLayer(Layer):
    """A layer at one pass that returns the output of each row's first token, float32 [rows, hidden]."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, dict[str, Any]]:
        packing, heads, size = self.packing, self.parts.heads, x.shape[1]
        input, first = x.to(self.dtype), x.index_select(0, self._first_tokens())
        query = functional.linear(first.to(self.dtype), self.joined[:size], self.joined_bias[:size])
        joined = functional.linear(input, self.joined[size:], self.joined_bias[size:])
        padded = packing.unpack(joined).view(packing.rows, packing.width, 2, heads, -1)
        attended, attention = self._weigh(query.view(packing.rows, heads, 1, -1), *padded.permute(2, 0, 3, 1, 4).contiguous())
        result, kept = self._after(attended.reshape(packing.rows, size), first)
        return result, kept | {"input": input, "asked": first.to(self.dtype), "attention": attention}

    def backward(self, gradient: torch.Tensor, kept: dict[str, Any]) -> list[torch.Tensor | None]:
        packing, heads = self.packing, self.parts.heads
        attended, added, others = self._after_backward(gradient, kept)
        size = attended.shape[1]
        query, *both = self._weigh_backward(attended.view(packing.rows, heads, 1, -1), kept["attention"])
        query = query.reshape(packing.rows, size)
        joined = packing.pack(torch.stack(both).permute(1, 3, 0, 2, 4).reshape(packing.rows * packing.width, -1))
        asked = self._linear_gradients(query, kept["asked"], self.parts.query)
        inner = self._linear_gradients(joined, kept["input"], self.parts.key, self.parts.value)
        x = (joined @ self.joined[size:]).to(torch.float32)
        x.index_add_(0, self._first_tokens(), (query @ self.joined[:size]).to(torch.float32).add_(added))
        return [x, None, *asked, *inner, *others]

    def _first_tokens(self) -> torch.Tensor:
        """Return the number of each row's first token among the packed ones, int64 [rows]."""
        return self.packing.given.view(self.packing.rows, self.packing.width)[:, 0].contiguous()
