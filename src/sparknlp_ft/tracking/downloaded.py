"""A downloaded MLflow model, taken for what it says it is only after it was read as plain data.

``MLmodel`` is data here: no loader that it names is called, and no code that it brings is imported. The engine comes from the
model folder by our own code, so this module needs no MLflow, and a worker that loads with it starts without.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sparknlp_ft.errors import ConfigError, ModelError
from sparknlp_ft.models.inspection import check_saved, inside, refuse_foreign
from sparknlp_ft.models.meta import ModelMeta, load_meta
from sparknlp_ft.scoring import ddl
from sparknlp_ft.scoring.engine import Engine
from sparknlp_ft.scoring.processing import Processed
from sparknlp_ft.tasks import get_task
from sparknlp_ft.tracking.pyfunc import ModelOnDisk

#: The loader that our own models are logged with; it is not called, but says that the folder is one that we read.
LOADER = "sparknlp_ft.tracking.pyfunc"

#: Folder of the code that MLflow keeps with a model; nothing in it is read.
_BROUGHT = "code"


@dataclass(frozen=True)
class Trust:
    """What of a model is taken beyond what this project itself logs.

    Attributes:
        loaders: Names of loaders besides our own: of a copy of this package under another name.
        code: Whether a packaged model's own functions may run.
    """

    loaders: Sequence[str] = ()
    code: bool = False


@dataclass(frozen=True)
class Inspected:
    """A model that was read as plain data, and found to be one of ours."""

    folder: Path
    meta: ModelMeta


def inspect(downloaded: str | Path, trust: Trust, *, name: str | None = None) -> Inspected:
    """Check a downloaded model before anything of it is loaded.

    Args:
        downloaded: Folder that holds ``MLmodel``.
        trust: What is taken besides.
        name: What the user calls the model, for messages.

    Raises:
        ModelError: It is none of ours, would run code, leads out of its folder, or is damaged; names the file and the reason.
    """
    try:
        folder = model_folder(downloaded, loaders=trust.loaders)
        refuse_foreign(Path(downloaded), allowed=_code_of(Path(downloaded), folder), ignored=(_BROUGHT,))
        meta = load_meta(folder)
        check_saved(folder, processing=_processing(folder, meta, trust))
        _check_meaning(folder, meta)
    except ModelError as error:
        raise ModelError(f"model {name} is not used: {error}" if name else str(error)) from error
    return Inspected(folder, meta)


def model_folder(downloaded: str | Path, *, loaders: Sequence[str] = ()) -> Path:
    """Return the model folder inside a downloaded MLflow model.

    Raises:
        ModelError: ``MLmodel`` is no description of a model that was logged by this project, or leads outside.
    """
    file, root = Path(downloaded) / "MLmodel", Path(downloaded)
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
        flavor = values["flavors"]["python_function"]
        loader, data = flavor["loader_module"], flavor["data"]
    except (OSError, ValueError, yaml.YAMLError, LookupError, TypeError, RecursionError) as error:
        reason = f"no {error}" if isinstance(error, LookupError) else (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"{str(file)!r} does not describe a model that this project logged ({reason}); score with one that 'sparknlp-ft train' "
            "or 'sparknlp-ft package' registered"
        ) from error
    if loader not in (LOADER, *loaders):
        raise ModelError(
            f"{str(file)!r} names the loader {loader!r}, which is not {LOADER!r}; a foreign loader is never run. If it is a copy of this "
            f"package under another name, whose model folders are read as ours, name it: score.trusted_loaders=[{loader}]"
        )
    folder = inside(root, data, f"{str(file)!r}: 'data'")
    if not folder.is_dir():
        raise ModelError(f"{str(file)!r}: 'data' is {data!r}, and there is no such folder; register the model again")
    return folder


def load_logged_engine(device: str | None = None, *, downloaded: str, trust: Trust, **settings: Any) -> Engine | Processed:
    """Check a downloaded model and return its engine, with the user's functions around it: what a scoring worker calls.

    Args:
        device: Where to compute; None: the engine's choice.
        downloaded: Local folder that holds ``MLmodel``.
        trust: What is taken beyond what this project logs.
        settings: As in ``scoring.engine.load_engine``.

    Raises:
        ModelError: See ``inspect``.
    """
    found = inspect(downloaded, trust)
    return ModelOnDisk(str(found.folder)).engine(device=device, **settings)


def _code_of(root: Path, folder: Path) -> tuple[str, ...]:
    """Return the names of code directly in the model folder, as seen from the root: ``check_saved`` judges these."""
    return tuple(str(file.relative_to(root)) for file in folder.glob("*.py"))


def _processing(folder: Path, meta: ModelMeta, trust: Trust) -> str | None:
    """Return the name of the model's own functions, if it has any and they may run."""
    if meta.processing is None:
        return None
    file = inside(folder, meta.processing, f"{str(folder / 'sparknlp_ft.json')!r}: 'processing'")
    if Path(meta.processing).name != meta.processing or file.suffix != ".py" or not file.is_file():
        raise ModelError(f"{str(folder / 'sparknlp_ft.json')!r}: 'processing' is {meta.processing!r}; expected a Python file beside it")
    if not trust.code:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        raise ModelError(
            f"it brings functions of its own, {file.name} (sha256 {digest}), which run on every worker; if you trust them, "
            "set score.allow_code=true"
        )
    return meta.processing


def _check_meaning(folder: Path, meta: ModelMeta) -> None:
    """Check that the task is known, that what it asks for is there, and that the columns can be columns."""
    file = str(folder / "sparknlp_ft.json")
    try:
        get_task(meta.task)
        ddl.check(meta.fields)
    except ConfigError as error:
        raise ModelError(f"{file!r}: {str(error).replace('data.task: ', 'task ')}") from error
    except ValueError as error:
        raise ModelError(f"{file!r}: 'output' is {meta.output!r}: {error}") from error
    if meta.processing is not None and not meta.columns:
        raise ModelError(f"{file!r}: 'processing' is given, but no 'columns' that its functions read; package the model again")
