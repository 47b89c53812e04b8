"""The base model of a job, pinned: a registry's alias becomes one version, and that version's files a local folder."""

from __future__ import annotations

from pathlib import Path

from sparknlp_ft.config import Config
from sparknlp_ft.identity import fingerprint, of_model
from sparknlp_ft.models.origin import REGISTRY_PREFIX, check_folder, resolve_base
from sparknlp_ft.storage import scratch_of_process
from sparknlp_ft.tracking.downloaded import model_folder
from sparknlp_ft.tracking.registry import resolve_model
from sparknlp_ft.tracking.store import ModelRef, Store, connect, download_model


def find_base(config: Config) -> Path:
    """Return the folder of the base model, where it does not matter which version of a registered one it is.

    Raises:
        ModelError: See ``pin_base``.
    """
    if not config.model.base.startswith(REGISTRY_PREFIX):
        return resolve_base(config.model)
    return pin_base(config, connect(config.tracking))[1]


def pin_base(config: Config, store: Store) -> tuple[Config, Path]:
    """Return the configuration with ``model.base`` as one concrete model, and the local folder that holds its files.

    Raises:
        ModelError: The base model is not there, or cannot be used.
    """
    if not config.model.base.startswith(REGISTRY_PREFIX):
        return config, resolve_base(config.model)
    model = resolve_model(store, config.model.base)
    pinned = config.model.model_copy(update={"base": f"{REGISTRY_PREFIX}{model.display}"})
    return config.model_copy(update={"model": pinned}), check_folder(_downloaded(store, model))


def _downloaded(store: Store, model: ModelRef) -> Path:
    name = fingerprint(of_model(store.uri, model.display, model.run_id))
    if name not in _DOWNLOADED:
        _DOWNLOADED[name] = model_folder(download_model(store, model, scratch_of_process("bases") / name))
    return _DOWNLOADED[name]


#: Registered models that this process has fetched; ranks on other machines get a copy in the run folder.
_DOWNLOADED: dict[str, Path] = {}
