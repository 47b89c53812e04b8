"""The labels of a network that was trained elsewhere, and what is said of labels that train has not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sparknlp_ft.errors import DataError, ModelError, nearest, shown

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel


def not_in_train(unseen: Sequence[str], labels: Sequence[str]) -> DataError:
    """Return the error for labels that train has not."""
    return DataError(f"label(s) {shown(unseen)} are not among the {len(labels)} labels of train.{nearest(unseen[0], labels)}")


def where(network: PreTrainedModel) -> str:
    """Return what a network is called in messages: by the folder it was loaded from."""
    return f"model folder {network.name_or_path!r}"


def output_labels(network: PreTrainedModel) -> tuple[str, ...]:
    """Return the names that ``id2label`` gives the outputs.

    Raises:
        ModelError: An output has none.
    """
    try:
        return tuple(str(network.config.id2label[i]) for i in range(network.config.num_labels))
    except KeyError as error:
        raise ModelError(f"{where(network)}: id2label of its config.json has no label {error}; it needs one for each output") from error


def distinct_labels(network: PreTrainedModel) -> tuple[str, ...]:
    """Return the names of the outputs, which are labels.

    Raises:
        ModelError: An output has no name, or that of another.
    """
    names = output_labels(network)
    if len(set(names)) < len(names):
        raise ModelError(
            f"{where(network)}: labels stand in id2label of its config.json twice ({shown(names)}); each output needs one of its own"
        )
    return names


def name_outputs(config: PretrainedConfig, names: Sequence[str]) -> None:
    """Write names of a network's outputs into its configuration."""
    config.num_labels = len(names)
    config.id2label = dict(enumerate(names))
    config.label2id = {name: i for i, name in enumerate(names)}
