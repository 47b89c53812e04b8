"""Classification of a text or a pair of texts into one of two or more labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from sparknlp_ft.baselines.linear import logistic_regression
from sparknlp_ft.baselines.methods import Method
from sparknlp_ft.errors import DataError, ModelError, shown
from sparknlp_ft.tasks.calibration import calibration_error, log_sum_exp, settled, softmax_temperature
from sparknlp_ft.tasks.columns import chosen, score_maps
from sparknlp_ft.tasks.counting import confusion_matrix
from sparknlp_ft.tasks.imitation import Imitation, taught
from sparknlp_ft.tasks.labels import distinct_labels, not_in_train, where
from sparknlp_ft.tasks.outcomes import Outcomes
from sparknlp_ft.tasks.task import Rows, Setup, Statistics, Task, by_row

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


class Classification(Task, Imitation):
    """Single-label classification, binary or multi-class. Labels are strings; an outcome is a label's index."""

    name = "classification"
    optional_roles = ("text_pair",)
    target_role = "label"
    train_settings = ("loss", "class_weights", "label_smoothing")
    label_smoothing = 0.1  # Szegedy et al., arXiv:1512.00567.
    target_kind = "label"
    default_metric = "accuracy"
    shown_metrics = ("accuracy", "f1_macro", "loss")
    prediction_fields = "label string, score double, scores map<string,float>"
    constant = ("majority", "always the most frequent label of train")
    keys = ("target", "prediction")
    tuned_by = ("target", "logits")

    def label_list(self, values: Sequence[str]) -> list[str]:
        labels = sorted(set(values))
        if len(labels) < 2:
            raise DataError(
                f"classification needs at least 2 labels in train, and found {len(labels)} ({shown(labels)}); "
                "check data.columns.label, data.train_split and the table itself"
            )
        return labels

    def marks(self, targets: Sequence[Any], labels: Sequence[str]) -> np.ndarray:
        return np.asarray(targets, dtype=np.int64)[:, None] == np.arange(len(labels))

    def encode_targets(self, values: Sequence[str], labels: Sequence[str], **_: Any) -> list[bytes]:
        index = {label: i for i, label in enumerate(labels)}
        unseen = sorted({value for value in values if value not in index})
        if unseen:
            raise not_in_train(unseen, labels)
        return [np.asarray([index[value]], dtype="<i4").tobytes() for value in values]

    def decode_target(self, packed: bytes) -> int:
        return int(np.frombuffer(packed, dtype="<i4")[0])

    def settings(self, config: Any, statistics: Statistics) -> dict[str, Any]:
        train = config.train
        weights = balanced_weights(statistics.label_counts) if train.class_weights == "balanced" else None
        gamma = train.focal_gamma if train.loss == "focal" else 0.0
        return {"label_smoothing": train.label_smoothing or 0.0, "class_weights": weights, "focal_gamma": gamma}

    def adopt(self, network: PreTrainedModel) -> tuple[str, ...]:
        labels = distinct_labels(network)
        if len(labels) == 1:
            raise ModelError(f"{where(network)} has one output, so it says a number and not a label; set package.task=regression")
        if network.config.problem_type == "multi_label_classification":
            raise ModelError(f"{where(network)} was trained to give a text any number of labels; set package.task=multi_label")
        return labels

    def loss(self, output: torch.Tensor, rows: Rows, setup: Setup) -> torch.Tensor:
        import torch
        from torch.nn.functional import cross_entropy

        logits, settings = by_row(output, rows), setup.settings
        targets = torch.tensor(rows.targets, dtype=torch.long).to(logits.device, non_blocking=True)
        losses = cross_entropy(logits, targets, reduction="none", label_smoothing=settings.get("label_smoothing", 0.0))
        if gamma := settings.get("focal_gamma"):  # Lin et al., arXiv:1708.02002
            right = torch.softmax(logits, dim=1).gather(1, targets[:, None])[:, 0]
            # Clamped: 0 to a power below 1 has no gradient.
            losses = losses * (1 - right).clamp(min=1e-6).pow(gamma)
        if weights := settings.get("class_weights"):
            losses = losses * torch.tensor([weights.get(label, 1.0) for label in setup.labels], device=logits.device)[targets]
        return losses

    def imitation_loss(self, output: torch.Tensor, rows: Rows, setup: Setup, *, temperature: float) -> torch.Tensor:
        from torch.nn.functional import kl_div, log_softmax

        logits = by_row(output, rows)
        wanted = log_softmax(taught(rows, logits) / temperature, dim=1)
        return temperature**2 * kl_div(log_softmax(logits / temperature, dim=1), wanted, reduction="none", log_target=True).sum(dim=1)

    def margins(self, results: np.ndarray, setup: Setup) -> np.ndarray:
        best = np.partition(results.astype(np.float64), -2, axis=1)[:, -2:]
        return best[:, 1] - best[:, 0]

    def outcomes(self, results: np.ndarray, rows: Rows, setup: Setup) -> Outcomes:
        targets, logits = np.asarray(rows.targets, dtype=np.int64), results.astype(np.float64)
        losses = log_sum_exp(logits) - logits[np.arange(len(targets)), targets]
        found = {"target": targets, "prediction": logits.argmax(axis=1).astype(np.int64), "loss": losses}
        return {**found, "logits": logits.astype(np.float32)}

    def counted(self, outcomes: Outcomes, labels: Sequence[str], settings: Mapping[str, Any]) -> Outcomes:
        return {name: outcomes[name] for name in ("target", "prediction", "loss")}

    def outcomes_of_values(
        self, targets: Sequence[str], predictions: Sequence[str | None], labels: Sequence[str], weights: Sequence[int]
    ) -> Outcomes:
        index: dict[str | None, int] = {label: i for i, label in enumerate(labels)}
        # A label the model does not know, and a row without prediction, both count as wrong: they get indices of their own.
        return {
            "target": np.asarray([index.get(value, len(labels)) for value in targets], dtype=np.int64),
            "prediction": np.asarray([index.get(value, len(labels) + 1) for value in predictions], dtype=np.int64),
            "weight": np.asarray(weights, dtype=np.int64),
        }

    def majority_outcomes(self, outcomes: Outcomes, statistics: Statistics, labels: Sequence[str]) -> Outcomes:
        majority = max(labels, key=lambda label: (statistics.label_counts.get(label, 0), label))
        kept = {name: values for name, values in outcomes.items() if name != "loss"}
        return {**kept, "prediction": np.full_like(outcomes["target"], list(labels).index(majority))}

    def baselines(self) -> tuple[Method, ...]:
        about = "words and pairs of words; of pairs of texts also what they share"
        return (Method("TF-IDF + logistic regression", about, logistic_regression),)

    def tune(self, outcomes: Outcomes, labels: Sequence[str]) -> dict[str, Any]:
        """Fit the temperature of the scores."""
        logits, target = outcomes["logits"].astype(np.float64), outcomes["target"]

        def error(temperature: float) -> float:
            scores = _scores(logits, temperature)
            return calibration_error(scores.max(axis=1), logits.argmax(axis=1) == target)

        temperature = softmax_temperature(logits, target)
        return settled(temperature, error(1.0), error(temperature))

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
        if len(labels) == 2:
            result |= _binary(target, prediction, weight)
        if "loss" in outcomes:
            result["loss"] = float(np.average(outcomes["loss"], weights=weight))
        return result

    def row_scores(self, outcomes: Outcomes, metric: str) -> np.ndarray | None:
        return (outcomes["target"] == outcomes["prediction"]).astype(np.float64) if metric == "accuracy" else None

    def example_values(self, labels: Sequence[str]) -> list[str]:
        return list(labels[:2])

    def evaluated_labels(self, labels: Sequence[str], predictions: Sequence[str | None]) -> tuple[str, ...]:
        # A packaged model's own postprocess may have renamed the labels.
        return (*labels, *sorted({one for one in predictions if one is not None} - set(labels)))

    def unknown_labels(self, labels: Sequence[str], targets: Sequence[str]) -> tuple[str, ...]:
        return tuple(sorted(set(targets) - set(labels)))

    def confusion(
        self, targets: Sequence[str], predictions: Sequence[str | None], counts: Sequence[int], labels: Sequence[str]
    ) -> pd.DataFrame:
        return confusion_matrix(targets, predictions, counts, labels)

    def decode(self, results: np.ndarray, rows: Rows, setup: Setup) -> pd.DataFrame:
        if not len(results):
            return pd.DataFrame({"label": [], "score": [], "scores": []}, dtype=object)
        labels, (scores, best) = setup.labels, _told(results, setup)
        return pd.DataFrame(
            {
                "label": np.asarray(labels, dtype=object)[best],
                "score": scores[np.arange(len(best)), best],
                "scores": [dict(zip(labels, row, strict=True)) for row in scores.astype(np.float32).tolist()],
            }
        )

    def arrays(self, results: np.ndarray, rows: Rows, setup: Setup, *, most_scores: int | None = None) -> dict[str, pa.Array]:
        scores, best = _told(results, setup)
        found = {"label": chosen(setup.labels, best), "score": pa.array(scores[np.arange(len(best)), best])}
        return found if most_scores == 0 else {**found, "scores": score_maps(setup.labels, scores, most_scores)}


def balanced_weights(label_counts: Mapping[str, float]) -> dict[str, float]:
    """Return a weight per label, inversely proportional to its rows; the weighted rows sum up to the rows."""
    rows, labels = sum(label_counts.values()), sum(count > 0 for count in label_counts.values())
    return {label: rows / (labels * max(count, 1)) for label, count in label_counts.items()}


def _binary(target: np.ndarray, prediction: np.ndarray, weight: np.ndarray | None) -> dict[str, float]:
    """Counts and F1 of the second of two labels, the positive one ('1' after '0', 'spam' after 'ham', 'yes' after 'no')."""
    weight = np.ones(len(target)) if weight is None else weight
    tp, fp = (float(weight[(prediction == 1) & match].sum()) for match in (target == 1, target != 1))
    fn, tn = float(weight[(target == 1) & (prediction != 1)].sum()), float(weight[(target == 0) & (prediction == 0)].sum())
    f1 = 2 * tp / (2 * tp + fp + fn) if tp else 0.0
    return {
        "tp": tp,
        "tn": tn,
        "fp": fp,
        "fn": fn,
        "f1": f1,
        "precision": tp / (tp + fp) if tp else 0.0,
        "recall": tp / (tp + fn) if tp else 0.0,
    }


def _told(results: np.ndarray, setup: Setup) -> tuple[np.ndarray, np.ndarray]:
    """Return scores, and the best label of each row: of the logits, for a temperature changes scores, and never a label."""
    logits = results.astype(np.float64)
    return _scores(logits, setup.settings.get("temperature") or 1.0), logits.argmax(axis=1)


def _scores(logits: np.ndarray, temperature: float) -> np.ndarray:
    scaled = logits / temperature
    return np.exp(scaled - log_sum_exp(scaled)[:, None])
