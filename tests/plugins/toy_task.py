"""A task family of a user's own, in one file: whether a text is loud or calm, by one output and a logistic loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sparknlp_ft.errors import DataError
from sparknlp_ft.tasks import Outcomes, Rows, Setup, Statistics, Task
from sparknlp_ft.tasks.task import by_row

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


class Loudness(Task):
    """Two moods, of which the second by name is what the output is the log-odds of."""

    name = "loudness"
    target_role = "mood"
    target_kind = "label"
    default_metric = "accuracy"
    shown_metrics = ("accuracy",)
    prediction_fields = "mood string, certainty double"

    def label_list(self, values: Sequence[str]) -> list[str]:
        labels = sorted(set(values))
        if len(labels) != 2:
            raise DataError(f"loudness needs 2 moods in train, and found {len(labels)}; check data.columns.mood")
        return labels

    def encode_targets(self, values: Sequence[str], labels: Sequence[str], **_: Any) -> list[bytes]:
        return [bytes([list(labels).index(value)]) for value in values]

    def decode_target(self, packed: bytes) -> float:
        return float(packed[0])

    def output_names(self, labels: Sequence[str]) -> list[str]:
        return [labels[1]]

    def adopt(self, network: PreTrainedModel) -> tuple[str, ...]:
        return ("calm", network.config.id2label[0])

    def loss(self, output: torch.Tensor, rows: Rows, setup: Setup) -> torch.Tensor:
        import torch
        from torch.nn.functional import binary_cross_entropy_with_logits

        logits = by_row(output, rows)[:, 0]
        return binary_cross_entropy_with_logits(logits, torch.tensor(rows.targets, device=logits.device), reduction="none")

    def outcomes(self, results: np.ndarray, rows: Rows, setup: Setup) -> Outcomes:
        return {"right": (results[:, 0] > 0) == (np.asarray(rows.targets) > 0), "target": np.asarray(rows.targets)}

    def outcomes_of_values(
        self, targets: Sequence[str], predictions: Sequence[str | None], labels: Sequence[str], weights: Sequence[int]
    ) -> Outcomes:
        right = np.asarray([target == prediction for target, prediction in zip(targets, predictions, strict=True)])
        target = np.asarray([float(target == labels[1]) for target in targets])
        return {"right": right, "target": target, "weight": np.asarray(weights)}

    def majority_outcomes(self, outcomes: Outcomes, statistics: Statistics, labels: Sequence[str]) -> Outcomes:
        loud = statistics.label_counts.get(labels[1], 0) * 2 > statistics.rows
        return {**outcomes, "right": (outcomes["target"] > 0) == loud}

    def metrics(self, outcomes: Outcomes, labels: Sequence[str]) -> dict[str, float]:
        return {"accuracy": float(np.average(outcomes["right"], weights=outcomes.get("weight")))}

    def decode(self, results: np.ndarray, rows: Rows, setup: Setup) -> pd.DataFrame:
        loud = 1 / (1 + np.exp(-results[:, 0].astype(np.float64)))
        moods = np.asarray(setup.labels, dtype=object)[(loud > 0.5).astype(int)]
        return pd.DataFrame({"mood": moods, "certainty": np.maximum(loud, 1 - loud)})
