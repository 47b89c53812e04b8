"""What all ways train on: rows of Banking77, or of the demo where it is not there, tokenised once and written in two forms."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sparknlp_ft.config import Config
from sparknlp_ft.models.origin import resolve_base
from sparknlp_ft.text.encoder import TextEncoder
from tests.snapshots import write_snapshot

#: Where conf/banking77.yaml looks for it, too.
BANKING77 = Path("../shared/data/banking77")


@dataclass(frozen=True)
class Source:
    """Labelled texts, and what they are called."""

    name: str
    rows: list[tuple[str, str]]


@dataclass(frozen=True)
class Size:
    """Rows to train on (0: all but those of validation), rows of validation, and seed of their choice."""

    rows: int
    validation_rows: int
    seed: int = 0


def read_source(folder: Path | None) -> Source:
    """Return the rows of a folder's ``train.csv`` (columns text and category), or the demo's own messages.

    Args:
        folder: The folder; None: Banking77 where ``BANKING77`` is, else the demo.
    """
    if folder is None and (BANKING77 / "train.csv").is_file():
        folder = BANKING77
    if folder is None:
        from sparknlp_ft.demo.messages import messages

        return Source("demo", [(row.text, row.intent) for row in messages()])
    with (folder / "train.csv").open(newline="", encoding="utf-8") as stream:
        return Source(folder.resolve().name, [(row["text"], row["category"]) for row in csv.DictReader(stream)])


def prepare(folder: Path, source: Source, size: Size, settings: dict[str, Any]) -> dict[str, Any]:
    """Tokenise, write a snapshot for this project and lists of inputs for the others, and return facts about the rows."""
    config = Config.model_validate(settings)
    base = resolve_base(config.model)
    encoder = TextEncoder.load(base, config.text)
    labels = sorted({label for _, label in source.rows})
    rng = np.random.default_rng(size.seed)
    order = rng.permutation(len(source.rows))
    validation, train = order[: size.validation_rows], order[size.validation_rows :]
    splits = {"train": train[: size.rows or None], "validation": validation}
    ids = {name: encoder.tokenize([source.rows[i][0] for i in chosen]) for name, chosen in splits.items()}
    targets = {name: [labels.index(source.rows[i][1]) for i in chosen] for name, chosen in splits.items()}
    inputs = {name: [encoder.assemble(row).ids.tolist() for row in rows] for name, rows in ids.items()}
    lanes: dict[str, Any] = {}
    for name, rows in ids.items():
        # Rows fall to lanes as by the hash of a key: not the same number to each.
        lane = rng.integers(config.train.lanes, size=len(rows))
        table = [(int(rng.integers(2**62)), row.tolist(), target) for row, target in zip(rows, targets[name], strict=True)]
        lanes[name] = [[table[i] for i in np.flatnonzero(lane == number)] for number in range(config.train.lanes)]
    manifest = write_snapshot(folder / "snapshot", lanes, labels, rows_per_file=65536, rows_per_group=65536)
    rest = {name: {"input_ids": inputs[name], "labels": targets[name]} for name in inputs}
    (folder / "inputs.json").write_text(json.dumps(rest), encoding="utf-8")
    whole = {"manifest": manifest.path, "base": str(base), "labels": labels, "settings": settings}
    (folder / "job.json").write_text(json.dumps(whole), encoding="utf-8")
    lengths = [len(row) for row in inputs["train"]]
    return {
        "data": source.name,
        "rows": len(lengths),
        "validation_rows": len(validation),
        "rows_of_data": len(source.rows),
        "labels": len(labels),
        "tokens": sum(lengths),
        "tokens_per_row": float(np.mean(lengths)),
    }
