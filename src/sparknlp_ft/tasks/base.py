"""The protocol that every task family keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    import torch

#: Row-wise results of an evaluation, by name; equal lengths. ``weight``, if present, counts equal rows.
Outcomes = dict[str, np.ndarray]


class Task(Protocol):
    """One task family. Stateless: what belongs to a data set (the label list) is handed in."""

    name: str
    text_roles: tuple[str, ...]  #: Input roles every row must have, first text first.
    optional_roles: tuple[str, ...]  #: Input roles a table may have in addition (a second text).
    target_role: str  #: Role of the target column.
    target_dtype: str  #: numpy dtype of an encoded target, as kept in the snapshot.
    auto_model: str  #: Name of the transformers auto class that builds the network.
    default_metric: str  #: Metric that picks the best epoch and moves the alias; higher is better.
    prediction_fields: str  #: Spark DDL of the prediction columns that ``decode`` makes.

    def label_list(self, values: Sequence[str]) -> list[str]:
        """Return the label list of a data set from the distinct target values of train; raises DataError if unfit."""

    def encode_targets(self, values: Sequence[str], labels: Sequence[str]) -> list[np.ndarray]:
        """Return one array of ``target_dtype`` per value; raises DataError for a value that ``labels`` lacks."""

    def loss(self, logits: torch.Tensor, targets: torch.Tensor, *, label_smoothing: float) -> torch.Tensor:
        """Return the loss of each row, float32 of shape [rows]."""

    def outcomes(self, logits: np.ndarray, targets: np.ndarray) -> Outcomes:
        """Return what ``metrics`` needs of each row: small arrays that can be gathered over ranks."""

    def outcomes_of_values(
        self, targets: Sequence[str], predictions: Sequence[str], labels: Sequence[str], weights: Sequence[int]
    ) -> Outcomes:
        """Return the outcomes of predictions read back from a table: target and predicted values, with counts."""

    def majority_outcomes(self, outcomes: Outcomes, train_counts: Mapping[str, int], labels: Sequence[str]) -> Outcomes:
        """Return the outcomes of the cheapest baseline on the same rows."""

    def metrics(self, outcomes: Outcomes, labels: Sequence[str]) -> dict[str, float]:
        """Return every metric of the family by name, higher is better except ``loss``."""

    def decode(self, logits: np.ndarray, labels: Sequence[str]) -> pd.DataFrame:
        """Return the prediction columns for float32 logits of shape [rows, outputs]; row order kept."""
