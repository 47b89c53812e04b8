"""A last layer that computes its first token alone, where a network's head looks at no other.

Of the last layer, keys and values of all tokens are needed, and all else of the first token only: five sixths of a layer are spared,
a seventh of a network of six. What comes out is the same.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from sparknlp_ft.models.layers import LayerParts, known_parts
from sparknlp_ft.models.pooling import POOLING

#: Classes of transformers whose heads see the first token's vector alone, unless they are told to see means.
ASKING_FIRST = frozenset(
    f"{name}ForSequenceClassification" for name in ("Bert", "Roberta", "XLMRoberta", "Camembert", "Electra", "DistilBert")
)


def asks_first(network: Any) -> bool:
    """Whether a network's head sees the first token's vector alone."""
    return type(network).__name__ in ASKING_FIRST and not hasattr(network.config, POOLING)


def answer_by_first(network: Any) -> bool:
    """Have a network's last layer compute its first token alone, in evaluation; say whether it does. Its weights keep their names."""
    found = known_parts(network) if asks_first(network) else None
    if found is None:
        return False
    layer, parts = found.layers[-1], found.parts[-1]
    plain = layer.forward

    def forward(hidden_states: torch.Tensor, attention_mask: torch.Tensor | None = None, *more: Any, **named: Any) -> torch.Tensor:
        if layer.training:
            return plain(hidden_states, attention_mask, *more, **named)
        return first_token(parts, hidden_states, attention_mask)

    layer.forward = forward
    return True


def first_token(parts: LayerParts, hidden: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """Return a layer's output for the first token of each row, [rows, 1, size].

    Args:
        parts: The layer's.
        hidden: Its input, [rows, width, size].
        mask: As transformers hands it to layers: [rows, width] or [rows, 1, queries, width]; bool, 1 and 0, or added to scores.
    """
    first = hidden[:, :1]
    heads = [one.unflatten(-1, (parts.heads, -1)).transpose(1, 2) for one in (parts.query(first), parts.key(hidden), parts.value(hidden))]
    query, key, value = heads
    scores = (query @ key.transpose(-1, -2)) * query.shape[-1] ** -0.5
    if mask is not None:
        mask = mask[:, :, :1] if mask.ndim == 4 else mask[:, None, None] > 0
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min) if mask.dtype == torch.bool else scores + mask
    weights = torch.softmax(scores, -1, dtype=torch.float32).to(value.dtype)
    normed = parts.first_norm(parts.out((weights @ value).transpose(1, 2).flatten(2)) + first)
    return parts.second_norm(parts.down(functional.gelu(parts.up(normed))) + normed)
