"""How a text becomes one vector: by its first token, as BERT's heads do, or by the mean of all, as sentence encoders were trained.

A base that was trained as a sentence encoder says so in ``1_Pooling/config.json``. Its first token's vector was never asked for
anything: a head on it starts from little, where the mean of all tokens starts from what the encoder knows.
"""

from __future__ import annotations

from pathlib import Path
from types import MethodType
from typing import TYPE_CHECKING, Any

from sparknlp_ft.models.inspection import read_object

if TYPE_CHECKING:
    import torch

#: Key of a model's own config.json that keeps how it pools; transformers itself does not know it.
POOLING = "sparknlp_ft_pooling"
MEAN = "mean"

#: Architectures whose heads are a dropout and a linear layer on one vector.
_KNOWN = ("BertForSequenceClassification",)


def pools_by_mean(folder: str | Path, config: Any, wanted: str = "auto") -> bool:
    """Whether a network made from a folder is to pool by the mean.

    Args:
        folder: The model folder.
        config: Its configuration, which says so of a model that was trained here.
        wanted: ``model.pooling``.
    """
    if wanted != "auto":
        return wanted == MEAN
    path = Path(folder) / "1_Pooling" / "config.json"
    return getattr(config, POOLING, None) == MEAN or (path.is_file() and read_object(path).get("pooling_mode_mean_tokens") is True)


def pool_by_mean(network: Any) -> bool:
    """Have a network's head see the mean of all tokens; say whether it does. Its weights keep their names."""
    if type(network).__name__ not in _KNOWN:
        return False
    setattr(network.config, POOLING, MEAN)
    # The pooler that nobody asks stays in the folder, and is not trained.
    network.base_model.pooler.requires_grad_(False)
    network.forward = MethodType(_forward, network)
    return True


def _forward(network: Any, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **named: Any) -> Any:
    from transformers.modeling_outputs import SequenceClassifierOutput

    hidden = network.base_model(input_ids, attention_mask=attention_mask, **named).last_hidden_state.float()
    if attention_mask is None:
        mean = hidden.mean(dim=1)
    else:
        mask = attention_mask[:, :, None].float()
        mean = (hidden * mask).sum(dim=1) / mask.sum(dim=1)
    return SequenceClassifierOutput(logits=network.classifier(network.dropout(mean.to(network.classifier.weight.dtype))))
