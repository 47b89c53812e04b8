"""A student: a fine-tuned network with some of its layers taken out; embeddings, head and the layers that stay are kept as they are."""

from __future__ import annotations

from typing import Any

import numpy as np

from sparknlp_ft.errors import ConfigError, ModelError


def kept_layers(wanted: int | list[int] | None, depth: int) -> list[int]:
    """Return the numbers of the layers that a student keeps.

    Args:
        wanted: As in ``model.distil.layers``: how many, which, or None for half of them. A number is spread evenly from the first
            layer to the last, as Sanh et al. (arXiv:1910.01108) did.
        depth: Layers there are.

    Raises:
        ConfigError: The network has not so many layers, or one by itself is wanted and there is nothing to leave out.
    """
    count = max(1, depth // 2) if wanted is None else wanted
    chosen = count if isinstance(count, list) else np.round(np.linspace(0, depth - 1, min(count, depth))).astype(int).tolist()
    too_many = isinstance(count, int) and count >= depth
    if too_many or max(chosen) >= depth or len(chosen) >= depth:
        raise ConfigError(
            f"model.distil.layers: {wanted if wanted is not None else 'half'} of a teacher that has {depth} layer(s), 0 to {depth - 1}; "
            "a student has fewer than its teacher"
        )
    return chosen


def with_fewer_layers(network: Any, base: Any, wanted: int | list[int] | None) -> Any:
    """Take layers out of a network, in place, and return it; its configuration says so, so that it can be saved.

    Args:
        network: What ``build_network`` made of a fine-tuned model.
        base: The part of it that is the encoder.
        wanted: See ``kept_layers``.

    Raises:
        ConfigError: See ``kept_layers``.
        ModelError: The network does not keep its layers in one list.
    """
    from torch import nn

    depth = int(network.config.num_hidden_layers)
    stacks = [module for module in base.modules() if isinstance(module, nn.ModuleList) and len(module) == depth]
    if len(stacks) != 1:
        raise ModelError(
            f"model.tuning: distil: {type(network).__name__} does not keep its {depth} layers in one list, so none can be taken out of it; "
            "take an encoder such as BERT, RoBERTa, ELECTRA, DistilBERT or DeBERTa as teacher"
        )
    kept = kept_layers(wanted, depth)
    for number in sorted(set(range(depth)) - set(kept), reverse=True):
        del stacks[0][number]
    for name, value in vars(network.config).items():
        if isinstance(value, list) and len(value) == depth:  # What is said layer by layer, such as kinds of attention.
            setattr(network.config, name, [value[number] for number in kept])
    network.config.num_hidden_layers = len(kept)
    return network
