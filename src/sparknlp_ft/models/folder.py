"""A model as a folder: what fine-tuning starts from, keeps as its best checkpoint, and scoring loads.

A saved folder is a plain transformers folder (``config.json`` with the labels, ``model.safetensors``, the base
model's tokenizer files byte for byte) and ``sparknlp_ft.json``: task, labels, text settings and versions.
"""

from __future__ import annotations

import json
import logging
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparknlp_ft.config import TextConfig
from sparknlp_ft.errors import ModelError, shown
from sparknlp_ft.models.base import check_folder
from sparknlp_ft.tasks import Setup, Task, get_task
from sparknlp_ft.text.encoder import TOKENIZER_FILES, TextEncoder

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

log = logging.getLogger("sparknlp_ft")

META_FILE = "sparknlp_ft.json"
FORMAT = 1

#: Settings of transformers configurations that are dropout probabilities, over the architectures.
DROPOUT_SETTINGS = (
    "hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout", "dropout", "attention_dropout",
    "seq_classif_dropout", "pooler_dropout", "embedding_dropout", "mlp_dropout", "classifier_dropout_prob",
    "dropout_rate", "summary_last_dropout",
)  # fmt: skip


@dataclass(frozen=True)
class ModelMeta:
    """What ``sparknlp_ft.json`` says of a saved model."""

    task: str
    labels: tuple[str, ...]
    text: TextConfig
    versions: Mapping[str, str]
    extra: Mapping[str, Any]

    @property
    def columns(self) -> dict[str, str]:
        """Role → column that a packaged model reads; nothing for a model trained here, whose columns are its roles."""
        return dict(self.extra.get("columns", {}))

    @property
    def fields(self) -> str:
        """Prediction columns as DDL: the task's, unless the model has functions of its own that make others."""
        return self.extra.get("output") or get_task(self.task).prediction_fields


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
    base_dir: str | Path, task: Task, labels: Sequence[str], *, dropout: float | None = None, prior: Sequence[float] | None = None
) -> PreTrainedModel:
    """Put the task's head on a base model.

    Weights the base lacks (the head) are drawn from torch's generator: seed it first for the same network again.

    Args:
        base_dir: Folder of the base model.
        task: Decides the transformers auto class.
        labels: Label list; the task makes the network's outputs of it.
        dropout: Override of every dropout probability of the base; None keeps them.
        prior: What a newly drawn head says before it has learnt anything, one value per output; None: what is drawn.

    Returns:
        The network in float32 and training mode.

    Raises:
        ModelError: The folder does not hold a model that this task can use.
    """
    folder = check_folder(Path(base_dir))
    config = read_config(folder)
    names = task.output_names(labels)
    if names:
        name_outputs(config, names)
    if dropout is not None:
        for name in DROPOUT_SETTINGS:
            if hasattr(config, name):
                setattr(config, name, dropout)
    network, fresh = load_network(folder, task, config=config, ignore_mismatched_sizes=True)
    if prior is not None:
        for name, parameter in network.named_parameters():
            if name in fresh and name.endswith("bias") and parameter.shape == (len(prior),):
                parameter.data.copy_(parameter.new_tensor(list(prior)))
    parameters = [name for name, _ in network.named_parameters()]
    if 2 * len(fresh) > len(parameters):
        raise ModelError(
            f"model folder {str(folder)!r} holds {len(parameters) - len(fresh)} of the {len(parameters)} tensors of its own architecture "
            f"({config.model_type}): config.json and weights are not of one model"
        )
    log.info("model: %s, %.1f M parameters, newly drawn: %s", config.model_type, network.num_parameters() / 1e6, shown(fresh, 4) or "none")
    return network.train()


def save_model(
    network: PreTrainedModel,
    out_dir: str | Path,
    *,
    base_dir: str | Path,
    task: Task,
    labels: Sequence[str],
    text: TextConfig,
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Write a model folder under a temporary name, then rename it, so that a folder of this name is always whole.

    Args:
        network: What ``build_network`` made.
        out_dir: Folder to write; one that is there is replaced.
        base_dir: Folder whose tokenizer files are copied.
        task: Task family of the network.
        labels: Label list, in the order of the outputs.
        text: How texts become inputs.
        extra: Further JSON values to keep, e.g. metrics.
    """
    target = Path(out_dir).absolute()
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.part")
    meta = ModelMeta(task.name, tuple(labels), text, _versions(), dict(extra or {}))
    try:
        partial.mkdir(parents=True)
        with quiet_transformers():
            network.save_pretrained(partial)
        for name in TOKENIZER_FILES:
            if (Path(base_dir) / name).is_file():
                shutil.copyfile(Path(base_dir) / name, partial / name)
        values = {"format": FORMAT, **asdict(meta), "text": text.model_dump(mode="json")}
        (partial / META_FILE).write_text(json.dumps(values, indent=1, ensure_ascii=False), encoding="utf-8")
        _replace(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def load_meta(folder: str | Path) -> ModelMeta:
    """Read ``sparknlp_ft.json`` of a saved model: cheap, needs no torch.

    Raises:
        ModelError: The folder was not saved by ``save_model``, or is of another format.
    """
    path = check_folder(Path(folder)) / META_FILE
    if not path.is_file():
        raise ModelError(
            f"model folder {str(folder)!r} has no {META_FILE}: it was not saved by 'sparknlp-ft train', which is what scores texts"
        )
    values = json.loads(path.read_text(encoding="utf-8"))
    if values.pop("format", None) != FORMAT:
        raise ModelError(f"model folder {str(folder)!r} is of another format than {FORMAT}; train it again with this version")
    return ModelMeta(**{**values, "labels": tuple(values["labels"]), "text": TextConfig(**values["text"])})


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
    encoder = TextEncoder.load(path, meta.text, default_window=task.default_window)
    return LoadedModel(network.eval(), task, Setup(meta.labels, meta.extra.get("settings", {}), encoder), meta)


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


def name_outputs(config: Any, names: Sequence[str]) -> None:
    """Write names of a network's outputs into its configuration."""
    config.num_labels = len(names)
    config.id2label = dict(enumerate(names))
    config.label2id = {name: i for i, name in enumerate(names)}


def read_config(folder: Path) -> Any:
    """Return the configuration of a model folder; raises ModelError."""
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"config.json of model folder {str(folder)!r} cannot be read: {error}") from error


def load_network(folder: Path, task: Task, **options: Any) -> tuple[Any, list[str]]:
    """Return the network and the names of the parameters that the folder's weights do not fill; raises ModelError."""
    import transformers

    auto = getattr(transformers, task.auto_model)
    try:
        with quiet_transformers():
            network, report = auto.from_pretrained(
                str(folder), local_files_only=True, trust_remote_code=False, use_safetensors=True, output_loading_info=True, **options
            )
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(f"model folder {str(folder)!r} cannot be loaded for {task.name}: {str(error).strip()}") from error
    mismatched = [key[0] for key in report["mismatched_keys"]]
    return network, sorted({*report["missing_keys"], *mismatched})


def _replace(partial: Path, target: Path) -> None:
    """Rename ``partial`` to ``target``; a folder cannot be renamed over another, so the old one steps aside first."""
    aside = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.old")
    if target.exists():
        target.rename(aside)
    partial.rename(target)
    shutil.rmtree(aside, ignore_errors=True)


def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("torch", "transformers", "tokenizers", "numpy")}
