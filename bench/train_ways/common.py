"""What the other ways have in common with this project: the same first weights, and one evaluation."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sparknlp_ft.config import Config
from sparknlp_ft.models.device import pick_dtype
from sparknlp_ft.models.folder import build_network
from sparknlp_ft.snapshot.manifest import Manifest
from sparknlp_ft.tasks import get_task
from sparknlp_ft.text.encoder import load_tokenizer
from sparknlp_ft.training.device import seed_all

#: Batches that are sorted by length together: what transformers' grouping takes on a data set of 200 batches or more.
MEGA_BATCH = 50


@dataclass(frozen=True)
class Prepared:
    """What ``data.prepare`` left in a folder."""

    config: Config
    base: str
    manifest: Manifest
    train: dict[str, Any]
    validation: dict[str, Any]

    @classmethod
    def load(cls, folder: Path) -> Prepared:
        job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
        inputs = json.loads((folder / "inputs.json").read_text(encoding="utf-8"))
        config = Config.model_validate(job["settings"])
        return cls(config, job["base"], Manifest.load(job["manifest"]), inputs["train"], inputs["validation"])

    @property
    def dtype(self) -> torch.dtype:
        return pick_dtype(self.config.train.precision, torch.device("cpu"))

    def network(self) -> Any:
        """Return the network that this project starts from, on this data."""
        task, labels = get_task("classification"), self.manifest.labels
        seed_all(self.config.train.seed)
        prior = task.prior(self.manifest.statistics, labels)
        return build_network(self.base, task, labels, prior=prior, settings=self.config.model)

    def tokenizer(self) -> Any:
        return load_tokenizer(self.base)


def padded(rows: list[list[int]]) -> dict[str, torch.Tensor]:
    """Stack inputs as a tokenizer's own padding does: ids, mask and types, always all three."""
    width = max(map(len, rows))
    ids = torch.tensor([[*row, *[0] * (width - len(row))] for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)}


@torch.inference_mode()
def evaluate(network: Any, prepared: Prepared) -> dict[str, float]:
    """Return accuracy and mean loss of the validation rows."""
    network.eval()
    rows, labels = prepared.validation["input_ids"], torch.tensor(prepared.validation["labels"])
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    logits = torch.zeros(len(rows), len(prepared.manifest.labels))
    for start in range(0, len(order), 64):
        index = order[start : start + 64]
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=prepared.dtype is torch.bfloat16):
            logits[index] = network(**padded([rows[i] for i in index])).logits.float()
    right = (logits.argmax(dim=1) == labels).float().mean()
    return {"accuracy": float(right), "loss": float(torch.nn.functional.cross_entropy(logits, labels))}
