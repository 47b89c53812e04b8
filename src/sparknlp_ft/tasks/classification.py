"""Classification of a text or a pair of texts into one of two or more labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from sparknlp_ft.errors import DataError, nearest, shown
from sparknlp_ft.tasks.base import Outcomes

if TYPE_CHECKING:
    import torch


class Classification:
    """Single-label classification, binary or multi-class. Labels are strings; an outcome is a label's index."""

    name = "classification"
    text_roles: tuple[str, ...] = ("text",)
    optional_roles: tuple[str, ...] = ("text_pair",)
    target_role = "label"
    target_dtype = "int32"
    auto_model = "AutoModelForSequenceClassification"
    default_metric = "accuracy"
    prediction_fields = "label string, score double, scores map<string,float>"

    def label_list(self, values: Sequence[str]) -> list[str]:
        labels = sorted(set(values))
        if len(labels) < 2:
            raise DataError(
                f"classification needs at least 2 labels in train, and found {len(labels)} ({shown(labels)}); "
                "check data.columns.label, data.train_split and the table itself"
            )
        return labels

    def encode_targets(self, values: Sequence[str], labels: Sequence[str]) -> list[np.ndarray]:
        index = {label: i for i, label in enumerate(labels)}
        unseen = sorted({value for value in values if value not in index})
        if unseen:
            raise DataError(f"label(s) {shown(unseen)} are not among the {len(labels)} labels of train.{nearest(unseen[0], labels)}")
        return [np.asarray([index[value]], dtype=np.int32) for value in values]

    def loss(self, logits: torch.Tensor, targets: torch.Tensor, *, label_smoothing: float) -> torch.Tensor:
        from torch.nn.functional import cross_entropy

        return cross_entropy(logits.float(), targets.long().reshape(-1), reduction="none", label_smoothing=label_smoothing)

    def outcomes(self, logits: np.ndarray, targets: np.ndarray) -> Outcomes:
        targets = targets.reshape(-1).astype(np.int64)
        logits = logits.astype(np.float64)
        losses = _log_sum_exp(logits) - logits[np.arange(len(targets)), targets]
        return {"target": targets, "prediction": logits.argmax(axis=1).astype(np.int64), "loss": losses}

    def outcomes_of_values(
        self, targets: Sequence[str], predictions: Sequence[str], labels: Sequence[str], weights: Sequence[int]
    ) -> Outcomes:
        index = {label: i for i, label in enumerate(labels)}
        # A label the model does not know, and a row without prediction, both count as wrong: they get indices of their own.
        return {
            "target": np.asarray([index.get(value, len(labels)) for value in targets], dtype=np.int64),
            "prediction": np.asarray([index.get(value, len(labels) + 1) for value in predictions], dtype=np.int64),
            "weight": np.asarray(weights, dtype=np.int64),
        }

    def majority_outcomes(self, outcomes: Outcomes, train_counts: Mapping[str, int], labels: Sequence[str]) -> Outcomes:
        majority = max(labels, key=lambda label: (train_counts.get(label, 0), label))
        kept = {name: values for name, values in outcomes.items() if name != "loss"}
        return {**kept, "prediction": np.full_like(outcomes["target"], list(labels).index(majority))}

    def metrics(self, outcomes: Outcomes, labels: Sequence[str]) -> dict[str, float]:
        from sklearn.metrics import accuracy_score, matthews_corrcoef, precision_recall_fscore_support

        target, prediction = outcomes["target"], outcomes["prediction"]
        weight = outcomes.get("weight")
        result = {"accuracy": float(accuracy_score(target, prediction, sample_weight=weight))}
        present = np.unique(target)
        # With one label on both sides the coefficient is 0 by definition, and scikit-learn warns about it.
        single = len(np.union1d(target, prediction)) < 2
        result["mcc"] = 0.0 if single else float(matthews_corrcoef(target, prediction, sample_weight=weight))
        for average in ("macro", "micro", "weighted"):
            precision, recall, f1, _ = precision_recall_fscore_support(
                target, prediction, labels=present, average=average, zero_division=0, sample_weight=weight
            )
            result |= {f"precision_{average}": float(precision), f"recall_{average}": float(recall), f"f1_{average}": float(f1)}
        if "loss" in outcomes:
            result["loss"] = float(np.average(outcomes["loss"], weights=weight))
        return result

    def decode(self, logits: np.ndarray, labels: Sequence[str]) -> pd.DataFrame:
        if not len(logits):
            return pd.DataFrame({"label": [], "score": [], "scores": []}, dtype=object)
        logits = logits.astype(np.float64)
        scores = np.exp(logits - _log_sum_exp(logits)[:, None])
        best = scores.argmax(axis=1)
        return pd.DataFrame(
            {
                "label": np.asarray(labels, dtype=object)[best],
                "score": scores[np.arange(len(best)), best],
                "scores": [dict(zip(labels, row, strict=True)) for row in scores.astype(np.float32).tolist()],
            }
        )


def _log_sum_exp(logits: np.ndarray) -> np.ndarray:
    peak = logits.max(axis=1)
    return peak + np.log(np.exp(logits - peak[:, None]).sum(axis=1))
