"""Which model is meant: a name with an alias or a version becomes one concrete version, once, at the start of a job."""

from __future__ import annotations

import re

from sparknlp_ft.errors import ModelError, nearest
from sparknlp_ft.secrecy import cleaned_address
from sparknlp_ft.tracking.store import MODEL_NAME, ModelRef, Store, find_alias, find_version, run_models

FORMS = f"NAME@ALIAS, NAME/VERSION or runs:/ID/{MODEL_NAME}"


def resolve_model(store: Store, spec: str) -> ModelRef:
    """Resolve NAME@ALIAS, NAME/VERSION (with or without ``models:/``) or ``runs:/ID/model`` to one concrete model.

    Raises:
        ModelError: There is no such model, version, alias or run; names what there is.
    """
    plain = spec.removeprefix("models:/")
    if plain.startswith("runs:/"):
        return _resolve_run(store, plain)
    if match := re.fullmatch(r"([^@/]+)@([^@/]+)", plain):
        name, what, found = match[1], f"alias {match[2]!r}", find_alias(store, match[1], match[2])
    elif match := re.fullmatch(r"([^@/]+)/(\d+)", plain):
        name, what, found = match[1], f"version {match[2]}", find_version(store, match[1], match[2])
    else:
        raise ModelError(f"{spec!r} does not name a model; give {FORMS}, for example 'intents@champion'")
    if found is None:
        raise ModelError(_no_model(store, name, what))
    return found


def _resolve_run(store: Store, uri: str) -> ModelRef:
    run_id, _, path = uri.removeprefix("runs:/").partition("/")
    models, name = run_models(store, run_id), path or MODEL_NAME
    if models is None:
        raise ModelError(f"there is no run {run_id!r} in {cleaned_address(store.uri)!r}; give {FORMS}")
    if name not in models:
        raise ModelError(f"run {run_id!r} has logged no model {name!r}; models of this run: {', '.join(models) or 'none'}")
    return ModelRef(uri, run_id, run_id, models[name])


def _no_model(store: Store, name: str, what: str) -> str:
    models = {model.name: model for model in store.client.search_registered_models()}
    where = cleaned_address(store.uri)
    if name not in models:
        have = f"Registered: {', '.join(sorted(models)[:8])}." if models else "Nothing is registered there yet: run `sparknlp-ft train`."
        return f"there is no registered model {name!r} in {where!r}.{nearest(name, models)} {have}"
    versions = sorted(int(v.version) for v in store.client.search_model_versions(f"name='{name}'"))
    aliases = ", ".join(f"{alias} → {number}" for alias, number in sorted(models[name].aliases.items())) or "none"
    return (
        f"registered model {name!r} has no {what}. Versions: {', '.join(map(str, versions)) or 'none'}; aliases: {aliases}. "
        "Give NAME/VERSION, or train a model that passes the gate."
    )
