"""Regression: a number for a text or a pair of texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from sparknlp_ft.baselines.linear import ridge
from sparknlp_ft.baselines.methods import Method
from sparknlp_ft.errors import ModelError
from sparknlp_ft.tasks.imitation import Imitation, taught
from sparknlp_ft.tasks.labels import where
from sparknlp_ft.tasks.outcomes import Outcomes, weights_of
from sparknlp_ft.tasks.task import Rows, Setup, Statistics, Task, by_row

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

#: Deviation over mean of targets that are a constant.
CONSTANT = 1e-13


class Regression(Task, Imitation):
    """Squared error on targets scaled to mean 0 and deviation 1 of train, so that one learning rate fits all units.

    Spearman's coefficient needs the rank of each value among all, so outcomes are not summed up (``keys``): each is two numbers.
    """

    name = "regression"
    optional_roles = ("text_pair",)
    target_role = "target"
    target_kind = "number"
    default_metric = "pearson"
    shown_metrics = ("pearson", "spearman", "rmse", "mae", "r2")
    prediction_fields = "prediction double"
    constant = ("mean", "always the mean of train")

    def label_list(self, values: Sequence[str]) -> list[str]:
        return []

    def encode_targets(self, values: Sequence[str], labels: Sequence[str], **_: Any) -> list[bytes]:
        return [np.asarray([float(value)], dtype="<f8").tobytes() for value in values]

    def decode_target(self, packed: bytes) -> float:
        return float(np.frombuffer(packed, dtype="<f8")[0])

    def output_names(self, labels: Sequence[str]) -> list[str]:
        return ["target"]

    def settings(self, config: Any, statistics: Statistics) -> dict[str, Any]:
        mean, deviation = statistics.mean, statistics.deviation
        assert mean is not None and deviation is not None
        # Below this, all targets are equal but for rounding.
        return {"mean": mean, "deviation": deviation if deviation > CONSTANT * abs(mean) else 1.0}

    def untrained_settings(self, config: Any) -> dict[str, Any]:
        return {"mean": 0.0, "deviation": 1.0}  # A number is taken as the network says it.

    def adopt(self, network: PreTrainedModel) -> tuple[str, ...]:
        if (outputs := network.config.num_labels) != 1:
            raise ModelError(f"{where(network)} has {outputs} outputs, and regression has one; set package.task=classification")
        return ()

    def loss(self, output: torch.Tensor, rows: Rows, setup: Setup) -> torch.Tensor:
        import torch

        mean, deviation = setup.settings["mean"], setup.settings["deviation"]
        scaled = [(target - mean) / deviation for target in rows.targets]
        return (by_row(output, rows)[:, 0] - torch.tensor(scaled, dtype=torch.float32, device=output.device)).square()

    def lessons(self, results: np.ndarray, setup: Setup) -> np.ndarray:
        # In the unit of the targets: teacher and student scale by the statistics of their own train rows.
        return _unscaled(results, setup).astype(np.float32).reshape(-1, 1)

    def imitation_loss(self, output: torch.Tensor, rows: Rows, setup: Setup, *, temperature: float) -> torch.Tensor:
        wanted = (taught(rows, output)[:, 0] - setup.settings["mean"]) / setup.settings["deviation"]
        return (by_row(output, rows)[:, 0] - wanted).square()

    def outcomes(self, results: np.ndarray, rows: Rows, setup: Setup) -> Outcomes:
        return {"target": np.asarray(rows.targets, dtype=np.float64), "prediction": _unscaled(results, setup)}

    def outcomes_of_values(
        self, targets: Sequence[str], predictions: Sequence[str | None], labels: Sequence[str], weights: Sequence[int]
    ) -> Outcomes:
        target, given = (np.asarray([np.nan if one is None else float(one) for one in values]) for values in (targets, predictions))
        return {"target": target, "prediction": given, "weight": np.asarray(weights, dtype=np.int64)}

    def majority_outcomes(self, outcomes: Outcomes, statistics: Statistics, labels: Sequence[str]) -> Outcomes:
        assert statistics.mean is not None
        return {**outcomes, "prediction": np.full_like(outcomes["target"], statistics.mean)}

    def baselines(self) -> tuple[Method, ...]:
        return (Method("TF-IDF + ridge", "words and pairs of words; of pairs of texts also how alike they are", ridge),)

    def example_values(self, labels: Sequence[str]) -> list[str]:
        return ["1", "2"]

    def metrics(self, outcomes: Outcomes, labels: Sequence[str]) -> dict[str, float]:
        from scipy.stats import rankdata
        from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

        target, prediction = (np.repeat(outcomes[name], weights_of(outcomes)) for name in ("target", "prediction"))
        # A row without prediction is judged as if the mean had been predicted: neither left out nor infinitely wrong.
        prediction = np.where(np.isnan(prediction), target.mean(), prediction)
        error = float(mean_squared_error(target, prediction))
        return {
            "pearson": _correlation(target, prediction),
            "spearman": _correlation(rankdata(target), rankdata(prediction)),
            "mse": error,
            "rmse": error**0.5,
            "mae": float(mean_absolute_error(target, prediction)),
            "r2": float(r2_score(target, prediction)) if len(target) > 1 else 0.0,
        }

    def decode(self, results: np.ndarray, rows: Rows, setup: Setup) -> pd.DataFrame:
        return pd.DataFrame({"prediction": _unscaled(results, setup)})

    def arrays(self, results: np.ndarray, rows: Rows, setup: Setup, *, most_scores: int | None = None) -> dict[str, pa.Array]:
        return {"prediction": pa.array(_unscaled(results, setup))}


def _unscaled(results: np.ndarray, setup: Setup) -> np.ndarray:
    return results.reshape(-1).astype(np.float64) * setup.settings["deviation"] + setup.settings["mean"]


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Pearson's coefficient; 0 where one side does not vary (a constant explains nothing)."""
    if len(one) < 2 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])
