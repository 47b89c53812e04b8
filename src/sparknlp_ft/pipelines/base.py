"""The base model of a job, pinned: a registry's alias becomes one version, and that version's files a local folder."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path

from sparknlp_ft.config import Config
from sparknlp_ft.models.base import REGISTRY_PREFIX, check_folder, resolve_base
from sparknlp_ft.tracking.registry import resolve_model
from sparknlp_ft.tracking.store import Store, connect, download_model, model_folder


def find_base(config: Config) -> Path:
    """Return the folder of the base model, where it does not matter which version of a registered one it is.

    Raises:
        ModelError: See ``pin_base``.
    """
    if not config.model.base.startswith(REGISTRY_PREFIX):
        return resolve_base(config.model)
    return pin_base(config, connect(config.tracking))[1]


def pin_base(config: Config, store: Store) -> tuple[Config, Path]:
    """Return the configuration with ``model.base`` as one concrete model, and the folder that holds its files.

    A registered model is kept under ``launch.run_dir``, which ranks see too.

    Raises:
        ModelError: The base model is not there, or cannot be used.
    """
    if not config.model.base.startswith(REGISTRY_PREFIX):
        return config, resolve_base(config.model)
    model = resolve_model(store, config.model.base)
    pinned = config.model.model_copy(update={"base": f"{REGISTRY_PREFIX}{model.display}"})
    name = hashlib.sha256(f"{store.uri} {model.display} {model.run_id}".encode()).hexdigest()[:16]
    folder = Path(config.launch.run_dir) / "bases" / name
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".base-", dir=folder.parent) as scratch:
            found = model_folder(download_model(store, model, scratch))
            if not folder.is_dir():
                shutil.move(found, folder)
    return config.model_copy(update={"model": pinned}), check_folder(folder)
