"""Multi-label classification: any number of labels for each text, each with a threshold tuned on validation rows."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from sparknlp_ft.baselines.linear import one_against_rest
from sparknlp_ft.baselines.methods import Method
from sparknlp_ft.errors import DataError
from sparknlp_ft.tasks.calibration import calibration_error, settled, sigmoid_temperature
from sparknlp_ft.tasks.columns import label_lists, score_maps
from sparknlp_ft.tasks.counting import averaged, counts_table
from sparknlp_ft.tasks.imitation import Imitation, taught
from sparknlp_ft.tasks.labels import distinct_labels, not_in_train
from sparknlp_ft.tasks.outcomes import Outcomes, weights_of
from sparknlp_ft.tasks.task import Rows, Setup, Statistics, Task, by_row

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

#: Thresholds that are tried.
THRESHOLDS = np.arange(1, 20) / 20
#: Rows with a label that all labels together count for when its threshold is chosen.
SHARED_ROWS = 10
#: Scores are read back as logits up to this near to 0 and 1.
EDGE = 1e-6
#: A label weighs at most so many times as much where it applies as where it does not.
MOST_WEIGHT = 20.0


class MultiLabel(Task, Imitation):
    """Binary cross-entropy for each label; thresholds per label, chosen for the label's F1 on validation rows."""

    name = "multi_label"
    optional_roles = ("text_pair",)
    target_role = "labels"
    train_settings = ("loss", "class_weights")
    target_kind = "labels"
    default_metric = "f1_micro"
    shown_metrics = ("f1_micro", "f1_macro", "subset_accuracy", "loss")
    prediction_fields = "labels array<string>, scores map<string,float>"
    constant = ("majority", "always the most frequent label of train, alone")
    keys = ()
    tuned_by = ("target", "score")
    counts_tuned = True

    def label_list(self, values: Sequence[str]) -> list[str]:
        labels = sorted(set(values))
        if not labels:
            raise DataError("no row of train has a label; check data.columns.labels and data.train_split")
        return labels

    def prior(self, statistics: Statistics, labels: Sequence[str]) -> list[float] | None:
        """Log-odds of each label in train: else the first steps teach the encoder that labels are rare, and nothing of the text.

        The initialisation of Lin et al., arXiv:1708.02002, section 4.1, for each label by itself.
        """
        counts, rows = statistics.label_counts, statistics.rows
        return [math.log((counts.get(label, 0) + 1) / (rows - counts.get(label, 0) + 1)) for label in labels]

    def marks(self, targets: Sequence[Any], labels: Sequence[str]) -> np.ndarray:
        return np.asarray(targets, dtype=bool).reshape(len(targets), len(labels))

    def encode_targets(self, values: Sequence[str], labels: Sequence[str], **_: Any) -> list[bytes]:
        return [row.tobytes() for row in _multi_hot(values, labels, strict=True)]

    def decode_target(self, packed: bytes) -> np.ndarray:
        return np.frombuffer(packed, dtype=np.uint8)

    def settings(self, config: Any, statistics: Statistics) -> dict[str, Any]:
        weights, rows = None, statistics.rows
        if config.train.class_weights == "balanced":
            weights = {
                label: min(max((rows - count) / max(count, 1), 1 / MOST_WEIGHT), MOST_WEIGHT)
                for label, count in statistics.label_counts.items()
            }
        return {"class_weights": weights, "focal_gamma": config.train.focal_gamma if config.train.loss == "focal" else 0.0}

    def adopt(self, network: PreTrainedModel) -> tuple[str, ...]:
        return distinct_labels(network)

    def loss(self, output: torch.Tensor, rows: Rows, setup: Setup) -> torch.Tensor:
        import torch
        from torch.nn.functional import binary_cross_entropy_with_logits

        logits, settings = by_row(output, rows), setup.settings
        targets = torch.from_numpy(np.stack(rows.targets).astype(np.float32)).to(logits.device, non_blocking=True)
        weights = settings.get("class_weights")
        positive = None if not weights else torch.tensor([weights.get(label, 1.0) for label in setup.labels], device=logits.device)
        losses = binary_cross_entropy_with_logits(logits, targets, reduction="none", pos_weight=positive)
        if gamma := settings.get("focal_gamma"):  # Lin et al., arXiv:1708.02002
            losses = losses * (torch.sigmoid(logits) - targets).abs().clamp(min=1e-6).pow(gamma)
        return losses.mean(dim=1)

    def imitation_loss(self, output: torch.Tensor, rows: Rows, setup: Setup, *, temperature: float) -> torch.Tensor:
        import torch
        from torch.nn.functional import binary_cross_entropy_with_logits

        logits = by_row(output, rows) / temperature
        lessons = taught(rows, logits) / temperature
        wanted = torch.sigmoid(lessons)
        least = binary_cross_entropy_with_logits(lessons, wanted, reduction="none")
        return temperature**2 * (binary_cross_entropy_with_logits(logits, wanted, reduction="none") - least).mean(dim=1)

    def margins(self, results: np.ndarray, setup: Setup) -> np.ndarray:
        threshold = np.clip(_thresholds(setup.labels, setup.settings), EDGE, 1 - EDGE)
        return np.abs(results.astype(np.float64) - np.log(threshold / (1 - threshold))).min(axis=1)

    def outcomes(self, results: np.ndarray, rows: Rows, setup: Setup) -> Outcomes:
        logits, target = results.astype(np.float64), np.stack(rows.targets)
        losses = np.logaddexp(0, logits) - logits * target
        return {"target": target, "score": (1 / (1 + np.exp(-logits))).astype(np.float32), "loss": losses.mean(axis=1)}

    def outcomes_of_values(
        self, targets: Sequence[str], predictions: Sequence[str | None], labels: Sequence[str], weights: Sequence[int]
    ) -> Outcomes:
        # Labels the model does not know are columns of their own, so that missing them counts.
        every = (*labels, *self.unknown_labels(labels, targets))
        found = _compared(_multi_hot(targets, every), _multi_hot([value or "[]" for value in predictions], every))
        return {**found, "weight": np.asarray(weights, dtype=np.int64)}

    def counted(self, outcomes: Outcomes, labels: Sequence[str], settings: Mapping[str, Any]) -> Outcomes:
        prediction = (outcomes["score"] >= _thresholds(labels, settings)).astype(np.uint8)
        return {**_compared(outcomes["target"], prediction), "loss": outcomes["loss"]}

    def majority_outcomes(self, outcomes: Outcomes, statistics: Statistics, labels: Sequence[str]) -> Outcomes:
        majority = max(labels, key=lambda label: (statistics.label_counts.get(label, 0), label))
        at, actual = list(labels).index(majority), outcomes["actual"]
        hits, predicted = np.zeros_like(actual), np.zeros_like(actual)
        hits[:, at], predicted[:, at] = actual[:, at], 1
        wrong = actual.sum(axis=1, dtype=np.float64) + 1 - 2.0 * actual[:, at]
        kept = {name: values for name, values in outcomes.items() if name != "loss"}
        return {**kept, "hits": hits, "predicted": predicted, "wrong": wrong, "right": outcomes["alone"][:, at]}

    def baselines(self) -> tuple[Method, ...]:
        fit = functools.partial(one_against_rest, multi_hot=functools.partial(_multi_hot, strict=True), thresholds=_best_thresholds)
        return (Method("TF-IDF + one-vs-rest", "a logistic regression per label, thresholds tuned on validation", fit),)

    def tune(self, outcomes: Outcomes, labels: Sequence[str]) -> dict[str, Any]:
        """Choose each label's threshold for its F1, of scores as the network says them, and fit the temperature of what is told."""
        target, score = outcomes["target"], outcomes["score"].astype(np.float64)
        thresholds = dict(zip(labels, _best_thresholds(target, outcomes["score"], labels).tolist(), strict=True))
        kept = np.clip(score, EDGE, 1 - EDGE)
        logits = np.log(kept / (1 - kept))

        def error(temperature: float) -> float:
            return calibration_error(1 / (1 + np.exp(-logits / temperature)), target == 1)

        temperature = sigmoid_temperature(logits, target)
        return {"thresholds": thresholds, **settled(temperature, error(1.0), error(temperature))}

    def metrics(self, outcomes: Outcomes, labels: Sequence[str]) -> dict[str, float]:
        weight = weights_of(outcomes)
        result = averaged(*_totals(outcomes))
        result["subset_accuracy"] = float(np.average(outcomes["right"], weights=weight))
        result["hamming_accuracy"] = 1 - float(np.average(outcomes["wrong"], weights=weight)) / outcomes["actual"].shape[1]
        if "loss" in outcomes:
            result["loss"] = float(np.average(outcomes["loss"], weights=weight))
        return result

    def unknown_labels(self, labels: Sequence[str], targets: Sequence[str]) -> tuple[str, ...]:
        return tuple(sorted({label for value in targets for label in json.loads(value)} - set(labels)))

    def label_table(self, outcomes: Outcomes, labels: Sequence[str]) -> pd.DataFrame:
        return counts_table(labels, *(values[: len(labels)].astype(np.int64) for values in _totals(outcomes)))

    def decode(self, results: np.ndarray, rows: Rows, setup: Setup) -> pd.DataFrame:
        if not len(results):
            return pd.DataFrame({"labels": [], "scores": []}, dtype=object)
        there, scores = _told(results, setup)
        chosen = [[label for label, own in zip(setup.labels, row, strict=True) if own] for row in there]
        return pd.DataFrame(
            {"labels": chosen, "scores": [dict(zip(setup.labels, row, strict=True)) for row in scores.astype(np.float32).tolist()]}
        )

    def arrays(self, results: np.ndarray, rows: Rows, setup: Setup, *, most_scores: int | None = None) -> dict[str, pa.Array]:
        there, scores = _told(results, setup)
        found: dict[str, pa.Array] = {"labels": label_lists(setup.labels, there)}
        return found if most_scores == 0 else {**found, "scores": score_maps(setup.labels, scores, most_scores)}


def _told(results: np.ndarray, setup: Setup) -> tuple[np.ndarray, np.ndarray]:
    """Return which labels are there and the scores: thresholds are of scores without temperature, so labels do not change with it."""
    logits = results.astype(np.float64)
    there = 1 / (1 + np.exp(-logits)) >= _thresholds(setup.labels, setup.settings)
    return there, 1 / (1 + np.exp(-logits / (setup.settings.get("temperature") or 1.0)))


def _best_thresholds(target: np.ndarray, score: np.ndarray, labels: Sequence[str]) -> np.ndarray:
    """Return each label's threshold for its F1 (of several the one nearest to 0.5), 0.5 where there is nothing to choose by.

    A handful of rows tells little of a label: to its own counts those of all labels together are added, as if they were
    ``SHARED_ROWS`` rows with the label. Without it the thresholds of rare labels follow single rows, which costs F1 on other rows
    (Yang, doi:10.1145/383952.383975, on thresholds of rare categories).
    """
    own = target.astype(bool)
    predicted = np.stack([(score >= least).sum(axis=0) for least in THRESHOLDS], axis=1)
    hits = np.stack([(own & (score >= least)).sum(axis=0) for least in THRESHOLDS], axis=1)
    rows = own.sum(axis=0)
    share = SHARED_ROWS / max(rows.sum(), 1)
    f1 = 2 * (hits + share * hits.sum(axis=0)) / np.maximum(predicted + share * predicted.sum(axis=0) + rows[:, None] + SHARED_ROWS, 1)
    nearest = np.abs(THRESHOLDS - 0.5)
    return np.asarray([THRESHOLDS[np.lexsort((nearest, -one))[0]] for one in f1])


def _thresholds(labels: Sequence[str], settings: Mapping[str, Any]) -> np.ndarray:
    chosen = settings.get("thresholds", {})
    return np.asarray([chosen.get(label, 0.5) for label in labels])


def _compared(target: np.ndarray, prediction: np.ndarray) -> Outcomes:
    """Return what is counted of labels and predicted ones, 0 or 1 [rows, labels]."""
    wrong = (target != prediction).sum(axis=1)
    # Alone: all that is asked of a row where one label is predicted for all.
    alone = target * (target.sum(axis=1, keepdims=True) == 1)
    return {"hits": target & prediction, "predicted": prediction, "actual": target, "alone": alone, "wrong": wrong, "right": wrong == 0}


def _totals(outcomes: Outcomes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return hits, predictions and rows of each label, [labels]; rounded, for they are numbers of rows."""
    weight = weights_of(outcomes)
    hits, predicted, actual = (np.rint(weight @ outcomes[name].astype(np.float64)) for name in ("hits", "predicted", "actual"))
    return hits, predicted, actual


def _multi_hot(values: Sequence[str], labels: Sequence[str], *, strict: bool = False) -> np.ndarray:
    index = {label: i for i, label in enumerate(labels)}
    result = np.zeros((len(values), len(labels)), dtype=np.uint8)
    for row, value in enumerate(values):
        for label in json.loads(value):
            if label in index:
                result[row, index[label]] = 1
            elif strict:
                raise not_in_train([label], labels)
    return result
