"""Which weights are trained: all, the head alone, low-rank adapters (peft) beside the head, or those of a student with fewer layers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparknlp_ft.config import ModelConfig
from sparknlp_ft.errors import ConfigError, ModelError
from sparknlp_ft.models.student import with_fewer_layers

if TYPE_CHECKING:
    import torch

ADAPTERS = "adapters"


def tune(network: Any, config: ModelConfig, *, seed: int) -> Any:
    """Freeze what is not trained; with adapters, return the network that holds them; of a teacher's network make a student.

    Args:
        network: What ``build_network`` made.
        config: ``tuning``, ``lora`` and ``distil``.
        seed: The adapters' first weights are drawn from it.

    Raises:
        ConfigError: The named layers do not exist, or leave nothing to train.
        ModelError: The network has no part that is the encoder, so that its head cannot be told.
    """
    if config.tuning == "full":
        return network
    base = base_of(network)
    if config.tuning == "distil":
        return with_fewer_layers(network, base, config.distil.layers)
    if config.tuning == "frozen":
        if _writes(network):
            raise ConfigError(
                "model.tuning: frozen leaves nothing to train: a model that writes texts has no head of its own; take lora or full"
            )
        for parameter in base.parameters():
            parameter.requires_grad_(False)
        if not any(parameter.requires_grad for parameter in network.parameters()):
            raise ConfigError("model.tuning: frozen leaves nothing to train: this network has no head of its own; take lora or full")
        return network
    return _with_adapters(network, base, config, seed)


def _writes(network: Any) -> bool:
    """Whether a network writes texts; such a one has no head of its own: its last layer is the pretrained vocabulary."""
    return bool(network.can_generate())


def base_of(network: Any) -> Any:
    """Return the part of a network that is the pretrained encoder (of a T5 that writes texts the encoder alone).

    Raises:
        ModelError: There is none.
    """
    base = getattr(network, network.base_model_prefix, None)
    if base is None:  # T5 keeps its stacks beside its head.
        base = getattr(network, "encoder", None)
    if base is None or base is network:
        raise ModelError(f"{type(network).__name__} does not tell its encoder from its head; set model.tuning=full")
    return base


def _with_adapters(network: Any, base: Any, config: ModelConfig, seed: int) -> Any:
    import peft
    import torch
    from torch import nn

    whole = {id(module) for module in base.modules()}
    linear = [name for name, module in network.named_modules() if isinstance(module, nn.Linear)]
    inside = [name for name, module in network.named_modules() if isinstance(module, nn.Linear) and id(module) in whole]
    heads = [] if _writes(network) else [name for name, _ in network.named_children() if getattr(network, name) is not base]
    if getattr(network.config, "is_encoder_decoder", False):
        inside = [name for name in linear if name.split(".")[0] not in (*heads, "lm_head")]
    targets = inside if config.lora.targets is None else [n for n in linear if n.rsplit(".", 1)[-1] in config.lora.targets]
    if not targets:
        names = sorted({name.rsplit(".", 1)[-1] for name in linear})
        raise ConfigError(f"model.lora.targets: {config.lora.targets} are no linear layers of this network. Valid: {', '.join(names)}")
    wanted = peft.LoraConfig(
        r=config.lora.rank,
        lora_alpha=config.lora.alpha,
        lora_dropout=config.lora.dropout,
        target_modules=targets,
        bias="none",
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        # Into the network itself: its class, its forward and its embeddings stay what they are.
        network = peft.inject_adapter_in_model(wanted, network)
    for name in heads:
        getattr(network, name).requires_grad_(True)
    return network


def has_adapters(network: Any) -> bool:
    """Whether ``tune`` put adapters into a network."""
    return any("lora_" in name for name, _ in network.named_parameters())


def merged(network: Any) -> Any:
    """Return the network with its adapters merged into its weights: a copy, so that training goes on as it was."""
    if not has_adapters(network):
        return network
    import copy

    from peft.tuners.lora import LoraLayer

    plain = copy.deepcopy(network)
    for name, module in list(plain.named_modules()):
        if isinstance(module, LoraLayer):
            module.merge(safe_merge=True)
            parent, _, child = name.rpartition(".")
            setattr(plain.get_submodule(parent) if parent else plain, child, module.get_base_layer())
    if hasattr(plain, "peft_config"):
        del plain.peft_config
    return plain


def save_adapters(network: Any, folder: str | Path) -> None:
    """Write the adapters alone, as safetensors, into ``adapters/`` of a model folder."""
    from safetensors.torch import save_file

    kept = {name: parameter.detach().cpu().contiguous() for name, parameter in network.named_parameters() if "lora_" in name}
    if kept:
        target = Path(folder) / ADAPTERS
        target.mkdir(exist_ok=True)
        save_file(kept, target / "adapters.safetensors")


def trained_share(network: torch.nn.Module) -> float:
    """Return the share of a network's parameters that are trained."""
    counts = [(parameter.numel(), parameter.requires_grad) for parameter in network.parameters()]
    return sum(count for count, trained in counts if trained) / max(sum(count for count, _ in counts), 1)
