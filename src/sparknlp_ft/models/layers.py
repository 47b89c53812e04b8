"""Where the parts of a layer lie in the models that are built like BERT; a line here for each way of building."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

#: Layers of these classes of transformers are BERT's, under other names.
LIKE_BERT = frozenset({"BertLayer", "RobertaLayer", "XLMRobertaLayer", "CamembertLayer", "ElectraLayer"})


@dataclass(frozen=True)
class LayerParts:
    """One layer that norms after it adds: attention, then two products with GELU between them.

    Attributes:
        query, key, value, out: Attention's projections.
        up, down: The two products.
        first_norm, second_norm: Norms after attention and after the products.
        heads: Attention heads.
        attention_noise, out_noise, down_noise: Dropout of attention's weights, and after ``out`` and ``down``.
    """

    query: nn.Linear
    key: nn.Linear
    value: nn.Linear
    out: nn.Linear
    up: nn.Linear
    down: nn.Linear
    first_norm: nn.LayerNorm
    second_norm: nn.LayerNorm
    heads: int
    attention_noise: float
    out_noise: float
    down_noise: float

    @property
    def linears(self) -> tuple[nn.Linear, ...]:
        return (self.query, self.key, self.value, self.out, self.up, self.down)

    @property
    def parameters(self) -> list[torch.Tensor]:
        """All parameters; the order is that of the gradients."""
        modules: list[nn.Linear | nn.LayerNorm] = [*self.linears, self.first_norm, self.second_norm]
        return [parameter for module in modules for parameter in (module.weight, module.bias)]


@dataclass(frozen=True)
class Known:
    """An encoder that is built like BERT: what runs its layers, the layers, and the parts of each."""

    encoder: Any
    layers: list[Any]
    parts: list[LayerParts]


def known_parts(network: Any) -> Known | None:
    """Return the parts of a network's encoder; None if it is not built like BERT's in all that its layers' output depends on."""
    found, config = layers_of(network), network.config
    if found is None or getattr(config, "hidden_act", getattr(config, "activation", None)) != "gelu":
        return None
    if getattr(config, "position_embedding_type", None) not in (None, "absolute"):
        return None
    encoder, layers = found
    parts = [part for layer in layers if (part := parts_of(layer)) is not None]
    return Known(encoder, layers, parts) if layers and len(parts) == len(layers) else None


def parts_of(layer: Any) -> LayerParts | None:
    """Return the parts of a layer; None if it is not built like BERT's, or something in it was replaced (by LoRA, say)."""
    name = type(layer).__name__
    if name in LIKE_BERT and not layer.is_decoder and not layer.chunk_size_feed_forward:
        found = _of_bert(layer)
    elif name == "TransformerBlock" and hasattr(layer, "sa_layer_norm") and not layer.ffn.chunk_size_feed_forward:
        found = _of_distilbert(layer)
    else:
        return None
    plain = all(type(linear) is nn.Linear and linear.bias is not None for linear in found.linears)
    return found if plain and found.heads * 2 <= found.out.in_features else None


def _of_bert(layer: Any) -> LayerParts:
    this, out = layer.attention.self, layer.attention.output
    return LayerParts(
        *(this.query, this.key, this.value, out.dense, layer.intermediate.dense, layer.output.dense),
        *(out.LayerNorm, layer.output.LayerNorm, this.num_attention_heads),
        *(this.dropout.p, out.dropout.p, layer.output.dropout.p),
    )


def _of_distilbert(layer: Any) -> LayerParts:
    this, products = layer.attention, layer.ffn
    return LayerParts(
        *(this.q_lin, this.k_lin, this.v_lin, this.out_lin, products.lin1, products.lin2),
        *(layer.sa_layer_norm, layer.output_layer_norm, this.n_heads),
        *(this.dropout.p, 0.0, products.dropout.p),
    )


def layers_of(network: Any) -> tuple[Any, list[Any]] | None:
    """Return the module that runs a network's layers one after the other, and the layers; None if it has another form."""
    base = getattr(network, "base_model", network)
    for name, within in (("encoder", "layer"), ("transformer", "layer")):
        encoder = getattr(base, name, None)
        if isinstance(layers := getattr(encoder, within, None), nn.ModuleList):
            return encoder, list(layers)
    return None
