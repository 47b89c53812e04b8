"""A model as a folder: what fine-tuning starts from, keeps as its best checkpoint, and scoring loads.

A saved folder is a plain transformers folder (``config.json`` with the labels, ``model.safetensors``, the base
model's tokenizer files byte for byte) and ``sparknlp_ft.json``: task, labels, text settings and versions.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparknlp_ft.config import ModelConfig
from sparknlp_ft.errors import ModelError, nearest, shown
from sparknlp_ft.models.inspection import read_object
from sparknlp_ft.models.meta import ModelMeta, load_meta, write_meta
from sparknlp_ft.models.origin import check_folder
from sparknlp_ft.models.pooling import POOLING, pool, pooling_of
from sparknlp_ft.tasks import Setup, Task, get_task
from sparknlp_ft.tasks.labels import name_outputs
from sparknlp_ft.text.encoder import TOKENIZER_FILES, TextEncoder

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

log = logging.getLogger("sparknlp_ft")

#: Settings of transformers configurations that are dropout probabilities, over the architectures.
DROPOUT_SETTINGS = (
    "hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout", "dropout", "attention_dropout",
    "seq_classif_dropout", "pooler_dropout", "embedding_dropout", "mlp_dropout", "classifier_dropout_prob",
    "dropout_rate", "summary_last_dropout",
)  # fmt: skip

#: What transformers raises at a configuration that makes no sense.
_UNREADABLE = (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError)


@dataclass(frozen=True)
class LoadedModel:
    """A fine-tuned model, ready to evaluate or score."""

    network: PreTrainedModel
    task: Task
    setup: Setup
    meta: ModelMeta

    @property
    def encoder(self) -> TextEncoder:
        assert self.setup.encoder is not None
        return self.setup.encoder

    @property
    def labels(self) -> tuple[str, ...]:
        return self.setup.labels


def build_network(
    base_dir: str | Path,
    task: Task,
    labels: Sequence[str],
    *,
    settings: ModelConfig | None = None,
    prior: Sequence[float] | None = None,
    pairs: bool = False,
) -> PreTrainedModel:
    """Put the task's head on a base model.

    Weights the base lacks (the head) are drawn from torch's generator: seed it first for the same network again.

    Args:
        base_dir: Folder of the base model.
        task: Decides the transformers auto class.
        labels: Label list; the task makes the network's outputs of it.
        settings: The section ``model``, of which ``dropout`` and ``pooling`` count; None: its defaults.
        prior: What a newly drawn head says before it has learnt anything, one value per output; None: what is drawn.
        pairs: Whether rows are pairs of texts, which the types of their tokens tell apart.

    Returns:
        The network in float32 and training mode; ``drawn`` names the weights that the base lacked.

    Raises:
        ModelError: The folder does not hold a model that this task can use.
    """
    settings = settings or ModelConfig()
    folder = check_folder(Path(base_dir))
    config = read_config(folder)
    names = task.output_names(labels)
    if names:
        name_outputs(config, names)
    if settings.dropout is not None:
        for name in DROPOUT_SETTINGS:
            if hasattr(config, name):
                setattr(config, name, settings.dropout)
    if (found := pooling_of(folder, config, settings.pooling, pairs=pairs)) is not None:
        setattr(config, POOLING, found)
    elif hasattr(config, POOLING):
        delattr(config, POOLING)
    network, fresh = load_network(folder, task, config=config, ignore_mismatched_sizes=True)
    if prior is not None:
        for name, parameter in network.named_parameters():
            if name in fresh and name.endswith("bias") and parameter.shape == (len(prior),):
                parameter.data.copy_(parameter.new_tensor(list(prior)))
    network.drawn = tuple(fresh)
    parameters = [name for name, _ in network.named_parameters()]
    if 2 * len(fresh) > len(parameters):
        raise ModelError(
            f"model folder {str(folder)!r} holds {len(parameters) - len(fresh)} of the {len(parameters)} tensors of its own architecture "
            f"({config.model_type}): config.json and weights are not of one model"
        )
    log.info("model: %s, %.1f M parameters, newly drawn: %s", config.model_type, network.num_parameters() / 1e6, shown(fresh, 4) or "none")
    return network.train()


def save_model(network: PreTrainedModel, folder: str | Path, *, base_dir: str | Path, meta: ModelMeta) -> None:
    """Write a model folder; one that is there is replaced. Who needs it whole or not at all publishes a copy of it.

    Args:
        network: What ``build_network`` made.
        folder: Folder to write.
        base_dir: Folder whose tokenizer files are copied.
        meta: What else is kept with it.
    """
    target = Path(folder)
    if target.exists():
        shutil.rmtree(target)
    target.mkdir(parents=True)
    with quiet_transformers():
        network.save_pretrained(target)
    for name in TOKENIZER_FILES:
        if (Path(base_dir) / name).is_file():
            shutil.copyfile(Path(base_dir) / name, target / name)
    write_meta(target, meta)


def load_model(folder: str | Path, *, attention: str | None = None, dtype: torch.dtype | None = None) -> LoadedModel:
    """Load a folder that ``save_model`` wrote, in evaluation mode.

    Args:
        folder: The folder.
        attention: Attention implementation of transformers ('eager', 'sdpa'); None takes its default.
        dtype: Type to hold the weights in; None: float32.

    Raises:
        ModelError: The folder is not such a folder, or weights are missing from it.
    """
    import torch

    meta = load_meta(folder)
    path, task = Path(folder), get_task(meta.task)
    options: dict[str, Any] = {"dtype": dtype or torch.float32}
    if attention is not None:
        options["attn_implementation"] = attention
    network, fresh = load_network(path, task, config=read_config(path), **options)
    if fresh:
        raise ModelError(f"model folder {str(folder)!r} lacks the weights {shown(fresh)}: it is incomplete; train or copy it again")
    encoder = TextEncoder.load(path, meta.text, default_window=task.default_window, special_tokens=meta.special_tokens)
    return LoadedModel(network.eval(), task, Setup(meta.labels, meta.settings, encoder), meta)


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Silence transformers' load report and progress bars; what matters of them is checked and said by us."""
    from transformers.utils import logging as hf_logging

    verbosity, bars = hf_logging.get_verbosity(), hf_logging.is_progress_bar_enabled()
    hf_logging.set_verbosity_error()
    hf_logging.disable_progress_bar()
    try:
        yield
    finally:
        hf_logging.set_verbosity(verbosity)
        if bars:
            hf_logging.enable_progress_bar()


def read_config(folder: Path) -> Any:
    """Return the configuration of a model folder; raises ModelError."""
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except (*_UNREADABLE, StrictDataclassError) as error:
        raise ModelError(f"config.json of model folder {str(folder)!r} cannot be read: {' '.join(str(error).split())}") from error
    # A model that was published with code of its own is read by transformers' code, and saved without a way back to that code.
    if hasattr(config, "auto_map"):
        del config.auto_map
    return config


def check_architecture(folder: Path, task: Task) -> None:
    """Refuse a model folder of a kind that transformers does not know, or that this task cannot be learnt with; no weights are read.

    Raises:
        ModelError: Names the kind, and what there is.
    """
    import transformers
    from transformers import CONFIG_MAPPING

    kind, where = read_object(folder / "config.json").get("model_type"), f"config.json of model folder {str(folder)!r}"
    if kind is not None and kind not in CONFIG_MAPPING:
        raise ModelError(
            f"{where}: model_type is {kind!r}, which transformers {transformers.__version__} does not know."
            f"{nearest(str(kind), CONFIG_MAPPING.keys())} Give another model.base, or the transformers that the model was saved with."
        )
    config = read_config(folder)
    if type(config) not in (fitting := getattr(transformers, task.auto_model)._model_mapping):
        kinds = shown(sorted(one.model_type for one in fitting), 8)
        raise ModelError(f"{where}: no {config.model_type} model can be had for {task.name} ({task.auto_model}). Kinds that can: {kinds}")


def load_network(folder: Path, task: Task, **options: Any) -> tuple[Any, list[str]]:
    """Return the network and the names of the parameters that the folder's weights do not fill; raises ModelError."""
    import transformers
    from safetensors import SafetensorError

    auto = getattr(transformers, task.auto_model)
    try:
        with quiet_transformers():
            network, report = auto.from_pretrained(
                str(folder), local_files_only=True, trust_remote_code=False, use_safetensors=True, output_loading_info=True, **options
            )
    except (*_UNREADABLE, RuntimeError, SafetensorError) as error:
        raise ModelError(f"model folder {str(folder)!r} cannot be loaded for {task.name}: {str(error).strip()}") from error
    if hasattr(network.config, POOLING) and not pool(network):
        delattr(network.config, POOLING)
    mismatched = [key[0] for key in report["mismatched_keys"]]
    return network, sorted({*report["missing_keys"], *mismatched})
