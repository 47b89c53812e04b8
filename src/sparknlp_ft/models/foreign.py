"""A model folder that was not trained here becomes one that scoring takes: its head is read as one of our tasks'.

The weights stay what they are; the task may put the rows of the last layer into its own order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparknlp_ft.errors import ConfigError, ModelError, shown
from sparknlp_ft.models.folder import load_model, load_network, read_config
from sparknlp_ft.models.meta import META_FILE, ModelMeta
from sparknlp_ft.tasks import Task, all_tasks
from sparknlp_ft.text.encoder import load_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel

#: Longest window taken by default: longer ones cost much more time, and few texts need them.
DEFAULT_LENGTH = 512


@dataclass(frozen=True)
class Adopted:
    """A foreign model, as ``folder.save_model`` takes it."""

    network: PreTrainedModel
    labels: tuple[str, ...]
    longest: int | None  #: Tokens of the longest input it takes; None: it has no limit.
    meta: ModelMeta | None = None  #: What was kept with it, of a model that was trained here.


def adopt(folder: Path, task: Task) -> Adopted:
    """Load a checked model folder of any origin for a task.

    Raises:
        ModelError: It has no head for this task, or its labels cannot be read as the task's.
    """
    import torch

    if (folder / META_FILE).is_file():
        loaded = load_model(folder)
        if loaded.task.name != task.name:
            raise ConfigError(f"package.task: {task.name!r}, but {str(folder)!r} was trained here for {loaded.task.name!r}; set it to that")
        return Adopted(loaded.network, loaded.labels, longest_input(loaded.network, folder), loaded.meta)
    config = read_config(folder)
    _check_architecture(folder, config, task)
    network, fresh = load_network(folder, task, config=config, dtype=torch.float32)
    if fresh:
        raise ModelError(
            f"model folder {str(folder)!r} has no trained head for {task.name}: it lacks {shown(fresh)}, which would be drawn at random. "
            f"Fine-tune it first: sparknlp-ft train model.base={folder} data.task={task.name} data.table=TABLE"
        )
    labels = task.adopt(network)
    return Adopted(network.eval(), labels, longest_input(network, folder))


def longest_input(network: Any, folder: Path) -> int | None:
    """Return the tokens of the longest input, special ones included: from its table of positions and its tokenizer."""
    import torch

    limits = []
    for name, module in network.named_modules():
        if isinstance(module, torch.nn.Embedding) and name.rpartition(".")[2] in ("position_embeddings", "embed_positions", "wpe"):
            # RoBERTa's positions begin behind its padding, BART's at an offset.
            used = module.padding_idx + 1 if module.padding_idx is not None else 0
            limits.append(module.num_embeddings - max(used, int(getattr(module, "offset", 0))))
    written = load_tokenizer(folder).model_max_length  # 10^30 where it is not known
    return min([*limits, *([int(written)] if written < 1e9 else [])], default=None)


def _check_architecture(folder: Path, config: Any, task: Task) -> None:
    """Refuse what was saved with another head, where the folder says so: its weights may fit by chance."""
    saved = list(config.architectures or [])
    if not saved or task.generates or _has_head(saved, task):
        return
    fits = next((one.name for one in all_tasks().values() if not one.generates and _has_head(saved, one)), None)
    hint = f"set package.task={fits}" if fits else f"fine-tune it first: sparknlp-ft train model.base={folder} data.task={task.name} …"
    raise ModelError(f"model folder {str(folder)!r} is a {', '.join(saved)}, which has no head for {task.name}; {hint}")


def _has_head(saved: Sequence[str], task: Task) -> bool:
    return any(task.auto_model.removeprefix("AutoModel") in name for name in saved)
