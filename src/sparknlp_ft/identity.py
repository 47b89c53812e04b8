"""What decides a result, in one place: of two jobs with the same identity one may go on with what the other left.

Ranks, threads, folders and addresses of the cluster decide nothing, and stand in none.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from sparknlp_ft.config import Config

#: Settings of ``data`` that change the rows of a table before they are used.
CURES = ("clean", "on_conflict", "on_misplaced")


def fingerprint(values: object, *, length: int = 12) -> str:
    """Return a hash of plain values, as hexadecimal digits: for names of folders and files that they decide the content of."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:length]


def of_training(config: Config, snapshot: str) -> dict[str, Any]:
    """Return what decides a trained model: its settings, and the snapshot, by the name that tells its content."""
    return _model(config) | {"snapshot": snapshot}


def of_measurement(config: Config, table: tuple[str, int], *more: object) -> list[object]:
    """Return what decides how good a model trained with ``config`` is found: its settings, the rows, the way they are scored.

    Args:
        config: The configuration.
        table: Id and version of the table.
        more: What else does: the name of a candidate, where its run is kept.
    """
    return [*more, _model(config), _data(config), config.score.model_dump(mode="json"), *table]


def of_search(config: Config, table: tuple[str, int], measure: str) -> list[object]:
    """Return what decides the trials of a search."""
    return [_model(config), _data(config), config.compare.search, *table, measure]


def of_snapshot(config: Config, table: tuple[str, int], **more: object) -> dict[str, object]:
    """Return what decides a snapshot's content: the rows and their splits, roles and tokenizer; lengths and seeds apply later.

    Args:
        config: The configuration.
        table: Id and version of the table.
        more: What else does: the format, roles, tokenizer.
    """
    data = config.data
    splits = (data.train_split, data.validation_split, data.test_split, data.validation_fraction)
    return {"table": table, "task": data.task, "splits": splits, "lanes": config.train.lanes, **_cures(config), **more}


def _model(config: Config) -> dict[str, Any]:
    """The settings of a model; those of a student only where there is one, so that what was made before keeps its name."""
    sections = config.model_settings()
    model = sections["model"]
    kept = {name: value for name, value in model.items() if name != "distil" or config.model.tuning == "distil"}
    return sections | {"model": kept}


def _data(config: Config) -> dict[str, Any]:
    """The data section; what is later than others and not used is left out, so that what was made before keeps its name."""
    later = {} if config.data.test_fraction is None else {"test_fraction": config.data.test_fraction}
    return config.data.model_dump(mode="json", exclude={*CURES, "test_fraction"}) | later | _cures(config)


def _cures(config: Config) -> dict[str, Any]:
    used = config.data.model_dump(mode="json", include=set(CURES), exclude_defaults=True)
    return {name: value for name, value in used.items() if value}


def of_model(uri: str, model: str, run_id: str) -> list[str]:
    """Return what tells a registered or logged model from any other: its store, its address or name, the run that made it."""
    return [uri, model, run_id]
