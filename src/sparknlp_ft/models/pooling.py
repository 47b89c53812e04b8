"""How a text becomes one vector: by its first token, as BERT's heads do, or by the mean of all, as sentence encoders were trained.

A base that was trained as a sentence encoder says so in ``1_Pooling/config.json``. Its first token's vector was never asked for
anything: a head on it starts from little, where the mean of all tokens starts from what the encoder knows. Of two texts it knows how
near their means are, and nothing of the mean of both: there a head sees how far the two means are apart, number by number (as in
Reimers and Gurevych, arXiv:1908.10084, but of texts that are read together).
"""

from __future__ import annotations

from pathlib import Path
from types import MethodType
from typing import TYPE_CHECKING, Any

from sparknlp_ft.errors import ConfigError
from sparknlp_ft.models.inspection import read_object

if TYPE_CHECKING:
    import torch

#: Key of a model's own config.json that keeps how it pools; transformers itself does not know it.
POOLING = "sparknlp_ft_pooling"
MEAN, DIFFERENCE = "mean", "difference"

#: Architectures whose heads are a dropout and a linear layer on one vector.
_KNOWN = ("BertForSequenceClassification",)


def pooling_of(folder: str | Path, config: Any, wanted: str = "auto", *, pairs: bool = False) -> str | None:
    """Return how a network made from a folder is to pool; None: by its first token.

    Args:
        folder: The model folder.
        config: Its configuration, which says it of a model that was trained here.
        wanted: ``model.pooling``.
        pairs: Whether its rows are pairs of texts, which the types of their tokens tell apart.
    """
    if wanted != "auto":
        return None if wanted == "first" else wanted
    if kept := getattr(config, POOLING, None):
        return str(kept) if pairs else MEAN
    path = Path(folder) / "1_Pooling" / "config.json"
    if path.is_file() and read_object(path).get("pooling_mode_mean_tokens") is True:
        return DIFFERENCE if pairs else MEAN
    return None


def check_pooling(wanted: str, texts: int) -> None:
    """Refuse ``model.pooling=difference`` for rows of one text; raises ConfigError."""
    if wanted == DIFFERENCE and texts < 2:
        raise ConfigError(
            "model.pooling: 'difference' is of two texts, and rows of this table have one; name the column of the other with "
            "data.columns.text_pair, or leave model.pooling out"
        )


def pool(network: Any) -> bool:
    """Have a network's head see what its configuration says; say whether it does. Its weights keep their names and shapes."""
    if type(network).__name__ not in _KNOWN:
        return False
    # The pooler that nobody asks stays in the folder, and is not trained.
    network.base_model.pooler.requires_grad_(False)
    network.forward = MethodType(_forward, network)
    return True


def _forward(
    network: Any,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor | None = None,
    token_type_ids: torch.Tensor | None = None,
    **named: Any,
) -> Any:
    from transformers.modeling_outputs import SequenceClassifierOutput

    read = network.base_model(input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids, **named)
    hidden, there = read.last_hidden_state.float(), attention_mask
    if getattr(network.config, POOLING) == DIFFERENCE and token_type_ids is not None:
        there = input_ids.new_ones(input_ids.shape) if attention_mask is None else attention_mask
        seen = (_mean(hidden, there * (1 - token_type_ids)) - _mean(hidden, there * token_type_ids)).abs()
    else:
        seen = _mean(hidden, there)
    return SequenceClassifierOutput(logits=network.classifier(network.dropout(seen.to(network.classifier.weight.dtype))))


def _mean(hidden: torch.Tensor, there: torch.Tensor | None) -> torch.Tensor:
    """Return the mean of the tokens that are there, float32 [rows, size]; of none: 0."""
    if there is None:
        return hidden.mean(dim=1)
    mask = there[:, :, None].float()
    return (hidden * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)
