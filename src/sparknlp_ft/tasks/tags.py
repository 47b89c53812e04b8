"""Tags of a network that was trained elsewhere: read, and put into our order.

The weights stay what they are: the rows of the last layer change places, and a tag that the network has not gets a row that
never wins.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sparknlp_ft.errors import ModelError, shown
from sparknlp_ft.tasks.labels import name_outputs

if TYPE_CHECKING:
    from transformers import PreTrainedModel

#: Logit of a tag that the model has not: its probability is 0 in every number format.
NEVER = -1e4

#: Tags that say something of the tokens and nothing of the text.
NO_TAGS = ("PAD", "[PAD]", "<PAD>", "[CLS]", "[SEP]", "X")

_BEFORE = re.compile(r"(?P<part>[BIESLUM])[-_](?P<label>.+)")
_BEHIND = re.compile(r"(?P<label>.+)[-_](?P<part>[BIESLUM])")


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


def reorder(network: PreTrainedModel, names: Sequence[str], rows: Sequence[int | None]) -> None:
    """Make the network's last layer give our tags, in place.

    Args:
        network: The network.
        names: Our tags.
        rows: For each the number of the network's, or None, as ``tag_rows`` found them.

    Raises:
        ModelError: The layer is not to be found, or has no bias where a tag is missing.
    """
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
