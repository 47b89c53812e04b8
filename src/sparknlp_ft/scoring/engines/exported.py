"""A model folder in the form of another runtime: exported once per machine, kept by a digest of all that decides it."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sparknlp_ft.errors import ModelError
from sparknlp_ft.identity import fingerprint
from sparknlp_ft.models.first_token import answer_by_first
from sparknlp_ft.models.folder import LoadedModel, load_model
from sparknlp_ft.models.meta import ModelMeta, load_meta
from sparknlp_ft.tasks import Rows, Setup, Task, get_task
from sparknlp_ft.text.batching import pad_flat
from sparknlp_ft.text.encoder import TextEncoder
from sparknlp_ft.text.packing import pack_windows

if TYPE_CHECKING:
    import torch

#: Raised when something else of a model is exported than before.
FORM = 2

#: Marks a folder as whole.
_WHOLE = "whole"

#: Widths of batches are rounded up to this, so that a runtime sees few different shapes.
STEP = 8


@dataclass(frozen=True)
class Described:
    """A model folder without its weights."""

    folder: Path
    task: Task
    setup: Setup
    meta: ModelMeta

    @property
    def encoder(self) -> TextEncoder:
        assert self.setup.encoder is not None
        return self.setup.encoder

    def samples(self, rows: Sequence[tuple[str, ...]]) -> list[dict[str, np.ndarray]]:
        """Return network inputs of rows of texts, each by itself, as ``inputs_of`` leaves them."""
        columns = [self.encoder.tokenize_all(list(column)) for column in zip(*rows, strict=True)]
        windows = pack_windows(self.encoder, *columns)
        found = []
        for number in range(len(windows.ids)):
            one = windows.window(number)
            found.append(inputs_of(pad_flat(one.ids, one.type_ids, np.asarray([len(one)]), self.encoder.pad_id), self.encoder.pad_id))
        return found


def describe(model_dir: str | Path) -> Described:
    """Read a model folder but for its weights.

    Raises:
        ModelError: It cannot be read, or the model writes its output token by token, which only torch does here.
    """
    folder, meta = Path(model_dir), load_meta(model_dir)
    task = get_task(meta.task)
    if task.generates:
        raise ModelError(
            f"score.engine: a model for {task.name} writes its output token by token, which only torch does; set score.engine=torch"
        )
    encoder = TextEncoder.load(folder, meta.text, default_window=task.default_window, special_tokens=meta.special_tokens)
    return Described(folder, task, Setup(meta.labels, meta.settings, encoder), meta)


def inputs_of(batch: Mapping[str, np.ndarray], pad_id: int) -> dict[str, np.ndarray]:
    """Return a batch with a mask, and with its width rounded up to ``STEP``: exported networks take the same inputs always, by name."""
    ids = batch["input_ids"]
    arrays = {"attention_mask": np.ones_like(ids), **batch}
    more = -ids.shape[1] % STEP
    if not more:
        return arrays
    fill = {"input_ids": pad_id}
    return {name: np.pad(values, ((0, 0), (0, more)), constant_values=fill.get(name, 0)) for name, values in arrays.items()}


def export(described: Described, runtime: str, make: Callable[[Path, LoadedModel], None], *more: object) -> Path:
    """Return the folder of the exported model; makes it if this machine has none.

    Args:
        described: The model.
        runtime: Name and version of the runtime.
        make: Writes the export into a folder, from the loaded model in float32.
        more: What else decides the export.
    """
    weights = [hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(described.folder.glob("*.safetensors"))]
    config = (described.folder / "config.json").read_text(encoding="utf-8")
    root = _root()
    target = root / fingerprint([FORM, weights, config, runtime, described.meta.task, *more], length=32)
    if (target / _WHOLE).is_file():
        return target
    making = Path(tempfile.mkdtemp(dir=root))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Exporters warn of each other's future.
            model = load_model(described.folder, attention="eager")
            answer_by_first(model.network)
            make(making, model)
        (making / _WHOLE).touch()
        making.rename(target)
    except OSError:
        if not (target / _WHOLE).is_file():  # else another process was faster
            raise
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return target


def _root() -> Path:
    """Return the folder of exports: one per user, which nobody else may write to."""
    root = Path(tempfile.gettempdir()) / f"sparknlp_ft-engines-{os.getuid()}"
    root.mkdir(mode=0o700, exist_ok=True)
    if root.is_symlink() or root.stat().st_uid != os.getuid():
        raise ModelError(
            f"{str(root)!r} is not this user's own folder, so nothing in it is loaded; remove it, or set TMPDIR to another place"
        )
    return root


def readable(model: LoadedModel, names: Sequence[str]) -> torch.nn.Module:
    """Return a module whose inputs stand in order and whose output is what ``Task.read`` leaves: what is exported."""
    import torch

    class Readable(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = model.network

        def forward(self, *values: torch.Tensor) -> torch.Tensor:
            given = dict(zip(names, values, strict=True))
            return model.task.read(model.task.forward(self.network, given, Rows([]), model.setup, training=False))

    return Readable().eval()


#: Rows of two lengths, so that no exporter takes a size for fixed.
EXAMPLE = ("a first short text", "a second text, which is longer than the first one is")


def example(described: Described) -> dict[str, np.ndarray]:
    """Return inputs to export with: two rows, of which one is padded."""
    ids = described.encoder.tokenize_all(EXAMPLE)
    columns = [ids] if len(described.task.text_roles) == 1 else [ids, ids]
    windows = pack_windows(described.encoder, *columns)
    return inputs_of(pad_flat(windows.ids.values, windows.types, windows.ids.lengths, described.encoder.pad_id), described.encoder.pad_id)
