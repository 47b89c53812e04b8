"""The base model of a job, pinned: a registry's alias becomes one version, and that version's files a local folder."""

from __future__ import annotations

from pathlib import Path

from sparknlp_ft.config import Config
from sparknlp_ft.identity import fingerprint, of_model
from sparknlp_ft.models.meta import META_FILE
from sparknlp_ft.models.origin import REGISTRY_PREFIX, check_folder, resolve_base
from sparknlp_ft.storage import scratch_of_process
from sparknlp_ft.tracking.downloaded import model_folder
from sparknlp_ft.tracking.registry import resolve_model
from sparknlp_ft.tracking.store import ModelRef, Store, connect, download_model


def is_taught(config: Config) -> bool:
    """Whether what is trained is a student, whose base model is its teacher."""
    return config.model.tuning == "distil"


def address_of_base(config: Config) -> str:
    """Return what names the base model: ``model.base``, and of a student its teacher, of whose layers it is made."""
    model = config.model
    if not is_taught(config):
        return model.base
    if model.distil.teacher is not None:
        return model.distil.teacher
    if model.base.startswith(REGISTRY_PREFIX) or (Path(model.base) / META_FILE).is_file():
        return model.base
    return f"{REGISTRY_PREFIX}{config.model_name}@{config.tracking.alias}"


def at_base(config: Config, address: str) -> Config:
    """Return the configuration with a base model that was pinned."""
    model = config.model
    changed = {"distil": model.distil.model_copy(update={"teacher": address})} if is_taught(config) else {"base": address}
    return config.model_copy(update={"model": model.model_copy(update=changed)})


def find_base(config: Config) -> Path:
    """Return the folder of the base model, where it does not matter which version of a registered one it is.

    Raises:
        ModelError: See ``pin_base``.
    """
    if not address_of_base(config).startswith(REGISTRY_PREFIX):
        return _folder(config)
    return pin_base(config, connect(config.tracking))[1]


def pin_base(config: Config, store: Store) -> tuple[Config, Path]:
    """Return the configuration with the base model as one concrete model, and the local folder that holds its files.

    Raises:
        ModelError: The base model is not there, or cannot be used.
    """
    address = address_of_base(config)
    if not address.startswith(REGISTRY_PREFIX):
        return at_base(config, address), _folder(config)
    model = resolve_model(store, address)
    return at_base(config, f"{REGISTRY_PREFIX}{model.display}"), check_folder(_downloaded(store, model))


def _folder(config: Config) -> Path:
    return resolve_base(config.model.model_copy(update={"base": address_of_base(config)}))


def _downloaded(store: Store, model: ModelRef) -> Path:
    name = fingerprint(of_model(store.uri, model.display, model.run_id))
    if name not in _DOWNLOADED:
        _DOWNLOADED[name] = model_folder(download_model(store, model, scratch_of_process("bases") / name))
    return _DOWNLOADED[name]


#: Registered models that this process has fetched; ranks on other machines get a copy in the run folder.
_DOWNLOADED: dict[str, Path] = {}
