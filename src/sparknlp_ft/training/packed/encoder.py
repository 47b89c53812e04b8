"""Have a network's encoder train on packed tokens, where it is built like BERT and computes on a CPU."""

from __future__ import annotations

from typing import Any

import torch
from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions

from sparknlp_ft.models.first_token import asks_first
from sparknlp_ft.models.layers import LayerParts, known_parts
from sparknlp_ft.training.packed.first import FirstTokenLayer
from sparknlp_ft.training.packed.gradients import Unwritten
from sparknlp_ft.training.packed.layer import Layer, Pack, PackedLayer, Packing, Spread
from sparknlp_ft.training.packed.noise import Noise


def pack_encoder(network: Any, device: torch.device, precision: torch.dtype) -> Unwritten | None:
    """Have the encoder of a network train without padding; return what takes its layers' gradients, None if it does not.

    From the outside nothing changes: it takes and gives padded batches, its parameters keep their names, and in evaluation
    it runs as it came. Nothing is done on GPUs, in float16, or for encoders that are not built like BERT's.
    """
    if device.type != "cpu" or precision not in (torch.float32, torch.bfloat16) or (known := known_parts(network)) is None:
        return None
    unwritten = Unwritten([parameter for part in known.parts for parameter in part.parameters])
    packed = _Packed(known.encoder.forward, known.parts, precision, unwritten, first_alone=asks_first(network))
    known.encoder.forward = lambda *positional, **named: packed(known.encoder.training, *positional, **named)
    return unwritten


class _Packed:
    """What an encoder's ``forward`` is replaced by."""

    def __init__(
        self, plain: Any, parts: list[LayerParts], precision: torch.dtype, unwritten: Unwritten, *, first_alone: bool = False
    ) -> None:
        self.plain, self.parts, self.precision, self.unwritten, self.first_alone = plain, parts, precision, unwritten, first_alone

    def __call__(self, training: bool, hidden_states: torch.Tensor, attention_mask: torch.Tensor | None = None, **named: Any) -> Any:
        if not training:
            return self.plain(hidden_states, attention_mask, **named)
        rows, width, _ = hidden_states.shape
        packing, noise = Packing.of(real_tokens(attention_mask), (rows, width), self.precision), Noise.seeded()
        packed = Pack.apply(hidden_states.float().reshape(rows * width, -1), packing)
        with torch.autocast("cpu", enabled=False):
            for number, parts in enumerate(self.parts, 1):
                kind = FirstTokenLayer if self.first_alone and number == len(self.parts) else Layer
                layer = kind(parts, self.precision, packing, noise, self.unwritten)
                packed = PackedLayer.apply(packed, layer, *parts.parameters)
        padded = packed.unsqueeze(1) if self.first_alone else Spread.apply(packed, packing).view(rows, width, -1)
        return BaseModelOutputWithPastAndCrossAttentions(last_hidden_state=padded)


def real_tokens(mask: torch.Tensor | None) -> torch.Tensor | None:
    """Return what of a batch is real, bool [rows, width], by the mask that transformers hands to its layers.

    Args:
        mask: [rows, width], or [rows, 1, queries, width]; bool, 1 and 0, or what is added to scores. None: all is real.
    """
    if mask is None:
        return None
    mask = mask[:, 0, -1, :] if mask.ndim == 4 else mask
    return mask if mask.dtype == torch.bool else mask >= 0 if mask.is_floating_point() else mask > 0
