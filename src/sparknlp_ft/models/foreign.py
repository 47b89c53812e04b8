"""A model folder that was not trained here becomes one that scoring takes: its head is read as one of our tasks'.

The weights stay what they are. Of a model that tags words the rows of the last layer are put into our order of tags, and
a tag that the model has not gets a row that never wins.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparknlp_ft.config import TextConfig
from sparknlp_ft.errors import ConfigError, ModelError, shown
from sparknlp_ft.models.folder import META_FILE, load_model, load_network, name_outputs, read_config
from sparknlp_ft.tasks import Task, get_task
from sparknlp_ft.text.encoder import load_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel

#: Longest window taken by default: longer ones cost much more time, and few texts need them.
DEFAULT_LENGTH = 512

#: Logit of a tag that the model has not: its probability is 0 in every number format.
NEVER = -1e4

#: Tags that say something of the tokens and nothing of the text.
NO_TAGS = ("PAD", "[PAD]", "<PAD>", "[CLS]", "[SEP]", "X")

_BEFORE = re.compile(r"(?P<part>[BIESLUM])[-_](?P<label>.+)")
_BEHIND = re.compile(r"(?P<label>.+)[-_](?P<part>[BIESLUM])")


@dataclass(frozen=True)
class Adopted:
    """A foreign model, as ``folder.save_model`` takes it."""

    network: PreTrainedModel
    labels: tuple[str, ...]
    longest: int | None  #: Tokens of the longest input it takes; None: it has no limit.
    text: TextConfig | None = None  #: How texts become inputs, and
    extra: dict[str, Any] = field(default_factory=dict)  #: what else is kept with it, of a model that was trained here.


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
        return Adopted(loaded.network, loaded.labels, longest_input(loaded.network, folder), loaded.meta.text, dict(loaded.meta.extra))
    config = read_config(folder)
    _check_architecture(folder, config, task)
    network, fresh = load_network(folder, task, config=config, dtype=torch.float32)
    if fresh:
        raise ModelError(
            f"model folder {str(folder)!r} has no trained head for {task.name}: it lacks {shown(fresh)}, which would be drawn at random. "
            f"Fine-tune it first: sparknlp-ft train model.base={folder} data.task={task.name} data.table=TABLE"
        )
    labels = _labels(network, folder, task)
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


def tag_rows(names: Sequence[str]) -> tuple[list[str], list[int | None]]:
    """Read a model's tags: return the labels, and for each of our tags (O, B-l, I-l, …) the number of the model's, or None.

    Tags are B-X and I-X (or X-B and X-I), where B may stand for the first word of each entity or only of one that follows
    another at once, or X alone. A tagger without a tag for 'nothing' gives each word an entity of its own.

    Raises:
        ModelError: The tags have no names, or are of a scheme with ends and single words, or a tag stands there twice.
    """
    if all(re.fullmatch(r"LABEL_\d+", name) for name in names):
        raise ModelError(f"its tags have no names ({shown(names, 3)}); write them into id2label of its config.json, for example B-PER")
    outside = next((i for i, name in enumerate(names) if name.upper() == "O"), None)
    tags = {i: name for i, name in enumerate(names) if i != outside and name.upper() not in NO_TAGS}
    parsed = _parts(tags)
    in_parts = {label for part, label in parsed.values() if part in "BI"}
    found: dict[tuple[str, str], int] = {}
    for i, name in tags.items():
        part, label = parsed.get(i, ("", name))
        if part and part not in "BI" and label in in_parts:
            raise ModelError(
                f"its tags are of a scheme that marks ends or single words (such as {name!r}), which cannot be read as begin and inside; "
                "take a model with B- and I- tags"
            )
        key = (part, label) if part and part in "BI" else ("B" if outside is None else "I", name)
        if key in found:
            raise ModelError(f"its tag {name!r} stands in id2label twice; each number needs a tag of its own")
        found[key] = i
    labels = list(dict.fromkeys(label for _, label in found))
    if not labels:
        raise ModelError(f"its tags name no kind of entity ({shown(names)})")
    return labels, [outside, *(found.get((part, label)) for label in labels for part in "BI")]


def _parts(tags: dict[int, str]) -> dict[int, tuple[str, str]]:
    """Return part and label of the tags that have both; X-B is read so only where all tags are of that form."""
    before = {i: (match["part"], match["label"]) for i, name in tags.items() if (match := _BEFORE.fullmatch(name))}
    if any(part in "BI" for part, _ in before.values()):
        return before
    behind = {i: (match["part"], match["label"]) for i, name in tags.items() if (match := _BEHIND.fullmatch(name))}
    return behind if len(behind) == len(tags) and any(part in "BI" for part, _ in behind.values()) else {}


def _check_architecture(folder: Path, config: Any, task: Task) -> None:
    """Refuse what was saved with another head, where the folder says so: its weights may fit by chance."""
    saved, wanted = list(config.architectures or []), task.auto_model.removeprefix("AutoModel")
    if not saved or wanted == "ForSeq2SeqLM" or any(wanted in name for name in saved):
        return
    others = [one for one in ("classification", "token_classification", "question_answering") if one != task.name]
    fits = next((one for one in others if any(get_task(one).auto_model.removeprefix("AutoModel") in name for name in saved)), None)
    hint = f"set package.task={fits}" if fits else f"fine-tune it first: sparknlp-ft train model.base={folder} data.task={task.name} …"
    raise ModelError(f"model folder {str(folder)!r} is a {', '.join(saved)}, which has no head for {task.name}; {hint}")


def _labels(network: Any, folder: Path, task: Task) -> tuple[str, ...]:
    """Return the labels in the order of the network's outputs, after putting tags into our order."""
    config = network.config
    about = f"model folder {str(folder)!r}"
    if task.name == "regression":
        if config.num_labels != 1:
            raise ModelError(f"{about} has {config.num_labels} outputs, and regression has one; set package.task=classification")
        return ()
    if task.name not in ("classification", "multi_label", "token_classification"):
        return ()
    try:
        names = [str(config.id2label[i]) for i in range(config.num_labels)]
    except KeyError as error:
        raise ModelError(f"{about}: id2label of its config.json has no label {error}; it needs one for each output") from error
    if task.name == "token_classification":
        try:
            labels, rows = tag_rows(names)
            _reorder(network, task.output_names(labels), rows)
        except ModelError as error:
            raise ModelError(f"{about}: {error}") from error
        return tuple(labels)
    if len(set(names)) < len(names):
        raise ModelError(f"{about}: labels stand in id2label of its config.json twice ({shown(names)}); each output needs one of its own")
    if task.name == "classification":
        _check_single(about, config)
    return tuple(names)


def _check_single(about: str, config: Any) -> None:
    if config.num_labels == 1:
        raise ModelError(f"{about} has one output, so it says a number and not a label; set package.task=regression")
    if config.problem_type == "multi_label_classification":
        raise ModelError(f"{about} was trained to give a text any number of labels; set package.task=multi_label")


def _reorder(network: Any, names: Sequence[str], rows: Sequence[int | None]) -> None:
    """Make the network's last layer give our tags, in place."""
    import torch

    config, size = network.config, network.config.num_labels
    if list(rows) != list(range(size)):
        base = f"{network.base_model_prefix}."
        layers = [
            (name, layer)
            for name, layer in network.named_modules()
            if isinstance(layer, torch.nn.Linear) and layer.out_features == size and not name.startswith(base)
        ]
        if len(layers) != 1:
            raise ModelError(f"its last layer is not to be found among {shown([name for name, _ in layers]) or 'none'}")
        name, old = layers[0]
        if old.bias is None and None in rows:
            raise ModelError(f"it has no tag for {shown([names[i] for i, row in enumerate(rows) if row is None])}, and no bias to say so")
        new = torch.nn.Linear(old.in_features, len(rows), bias=old.bias is not None)
        with torch.no_grad():
            for i, row in enumerate(rows):
                new.weight[i] = 0.0 if row is None else old.weight[row]
                if old.bias is not None:
                    new.bias[i] = NEVER if row is None else old.bias[row]
        network.set_submodule(name, new)
    network.num_labels = len(names)
    name_outputs(config, names)
