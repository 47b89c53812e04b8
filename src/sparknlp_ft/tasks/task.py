"""What every task family is: which columns it needs, how targets are encoded, the loss, the decoding, the metrics."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sparknlp_ft.tasks.outcomes import Outcomes, summed

if TYPE_CHECKING:
    import pyarrow as pa
    import torch
    from transformers import PreTrainedModel

    from sparknlp_ft.baselines.methods import Method
    from sparknlp_ft.text.encoder import Inputs, TextEncoder, Tokens

#: Metrics of which less is better.
LOWER_IS_BETTER = frozenset({"loss", "mse", "rmse", "mae", "fp", "fn"})

#: A target that the loss does not count.
IGNORED = -100


def signed(metric: str, value: float) -> float:
    """Return a metric's value with the sign that makes more better."""
    return -value if metric in LOWER_IS_BETTER else value


@dataclass(frozen=True)
class Statistics:
    """What the targets of the training rows are like.

    Attributes:
        rows: Rows of train.
        label_counts: How often each label stands there.
        mean: Mean of targets that are numbers.
        deviation: Their standard deviation.
    """

    rows: int = 0
    label_counts: Mapping[str, int] = field(default_factory=dict)
    mean: float | None = None
    deviation: float | None = None


@dataclass(frozen=True)
class Setup:
    """What belongs to one model: handed to the task, which itself keeps nothing.

    Attributes:
        labels: Label list.
        settings: The task's settings, as ``Task.settings`` made them, and what ``Task.tune`` found on validation rows.
        encoder: Tokenizer and window.
    """

    labels: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    encoder: TextEncoder | None = None


@dataclass(frozen=True)
class Rows:
    """Rows as the network is shown them, and what their outputs are read with.

    Attributes:
        windows: The windows of each row, at least one.
        targets: Decoded target of each row; empty in scoring.
        lessons: What a teacher says of each row, float32 [rows, …]; None where there is no teacher.
        texts: The last text of each row, and ``offsets`` its tokens' characters, int32 [tokens, 2]; where a task needs them.
    """

    windows: Sequence[list[Inputs]]
    targets: list[Any] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    offsets: list[np.ndarray] = field(default_factory=list)
    lessons: np.ndarray | None = None

    @property
    def counts(self) -> np.ndarray:
        """Windows of each row, int64 [rows]; known where the windows lie packed (``text.packed``)."""
        known = getattr(self.windows, "counts", None)
        return np.fromiter(map(len, self.windows), dtype=np.int64, count=len(self.windows)) if known is None else known


class Task(ABC):
    """One task family. Stateless: what belongs to a data set or a model is handed in.

    An *output* is what the network says of one window, as numpy; a *result* what it says of one row, made of the outputs
    of all its windows. Where results are arrays of one shape they are kept as one array of shape [rows, …], otherwise as
    an array of objects.
    """

    name: str
    text_roles: tuple[str, ...] = ("text",)  #: Input roles every row must have, first text first.
    optional_roles: tuple[str, ...] = ()  #: Input roles a table may have in addition (a second text).
    target_role: str  #: Role of the target column.
    train_settings: tuple[str, ...] = ()  #: Settings of ``train`` about the loss that this family has a use for.
    label_smoothing: float = 0.0  #: Share of a target that is spread over all labels where nothing is set.
    target_kind: str  #: What the target column holds: a key of ``tables.targets.KINDS``.
    auto_model: str = "AutoModelForSequenceClassification"  #: transformers auto class that builds the network.
    default_metric: str  #: Metric that picks the best epoch and moves the alias; higher is better.
    shown_metrics: tuple[str, ...]  #: What is printed of an epoch or an evaluation; all metrics are logged.
    prediction_fields: str  #: Spark DDL of the prediction columns that ``decode`` makes; the first one is evaluated.
    default_window: str = "head"
    windows: tuple[str, ...] | None = None  #: Window functions that make sense; None: all.
    needs_offsets: bool = False  #: Whether characters are needed of each token of the last text.
    generates: bool = False  #: Whether the network writes its output token by token.
    keys: tuple[str, ...] | None = None
    """Outcomes by which rows must be told apart for ``metrics``; of the others their weighted mean is enough. None: each row is needed."""
    tuned_by: tuple[str, ...] = ()  #: Outcomes that ``tune`` is shown.
    counts_tuned: bool = False  #: Whether ``counted`` depends on what was tuned; else it is given no settings of that.
    constant: tuple[str, str] | None = None  #: What ``majority_outcomes`` answers, name and description; None: not worth to be shown.

    # The data set.

    @abstractmethod
    def label_list(self, values: Sequence[str]) -> list[str]:
        """Return the label list of a data set from the labels that occur in train; raises DataError if unfit."""

    def prior(self, statistics: Statistics, labels: Sequence[str]) -> list[float] | None:
        """Return what a new head is to say before it has learnt anything, a value per output; None: what is drawn."""
        return None

    def marks(self, targets: Sequence[Any], labels: Sequence[str]) -> np.ndarray | None:
        """Return which outputs decoded targets ask for, bool [rows, labels]; None where outputs are no labels of a row."""
        return None

    @abstractmethod
    def encode_targets(
        self, values: Sequence[str], labels: Sequence[str], *, tokens: Sequence[Tokens], texts: Sequence[str], encoder: TextEncoder
    ) -> list[bytes]:
        """Return what the snapshot keeps of each target.

        Args:
            values: Targets as ``tables.targets`` writes them.
            labels: Label list.
            tokens: Tokens of the last text of each row.
            texts: The texts themselves.
            encoder: Tokenizer.

        Raises:
            DataError: A value does not fit.
        """

    @abstractmethod
    def decode_target(self, packed: bytes) -> Any:
        """Return a target as ``loss`` and ``outcomes`` take it."""

    def settings(self, config: Any, statistics: Statistics) -> dict[str, Any]:
        """Return the settings of a model to be trained (JSON), from a ``Config`` and the targets of train."""
        return {}

    def untrained_settings(self, config: Any) -> dict[str, Any]:
        """Return what training would have settled, for a model that was trained elsewhere."""
        return {}

    # The network.

    def output_names(self, labels: Sequence[str]) -> list[str]:
        """Return the names of the network's outputs, one per logit."""
        return list(labels)

    def adopt(self, network: PreTrainedModel) -> tuple[str, ...]:
        """Return the labels of a network that was trained elsewhere, after putting its last layer into the order of our outputs.

        Raises:
            ModelError: Its outputs cannot be read as this task's.
        """
        return ()

    def forward(
        self, network: torch.nn.Module, inputs: Mapping[str, torch.Tensor], rows: Rows, setup: Setup, *, training: bool
    ) -> torch.Tensor:
        """Run the network on padded windows (those of all rows, in order); returns [windows, …]."""
        return network(**inputs).logits.float()

    @abstractmethod
    def loss(self, output: torch.Tensor, rows: Rows, setup: Setup) -> torch.Tensor:
        """Return the loss of each row, float32 of shape [rows], from what ``forward`` returned in training."""

    def read(self, output: torch.Tensor) -> torch.Tensor:
        """Return the part of an output that is copied off the device, [windows, …]."""
        return output

    def results(self, outputs: Sequence[np.ndarray] | np.ndarray, rows: Rows, setup: Setup) -> np.ndarray:
        """Return the result of each row from the outputs of its windows: their mean, unless the task says otherwise."""
        if isinstance(outputs, np.ndarray):
            joined = outputs
        else:
            joined = np.stack(outputs) if len(outputs) else np.zeros((0, max(1, len(setup.labels))), dtype=np.float32)
        counts = rows.counts
        if (counts == 1).all():
            return joined
        return np.add.reduceat(joined, np.cumsum(counts) - counts) / counts.reshape(-1, *[1] * (joined.ndim - 1))

    def margins(self, results: np.ndarray, setup: Setup) -> np.ndarray | None:
        """Return how clearly each row is decided, float64 [rows], at least 0: the least change of an output that decides otherwise.

        Or what grows with it; it is compared with other rows of the same model alone. None: the family cannot say.
        """
        return None

    # Quality.

    @abstractmethod
    def outcomes(self, results: np.ndarray, rows: Rows, setup: Setup) -> Outcomes:
        """Return what ``tune`` and ``counted`` need of each row: small arrays."""

    def counted(self, outcomes: Outcomes, labels: Sequence[str], settings: Mapping[str, Any]) -> Outcomes:
        """Return the outcomes as ``metrics`` takes them, with what was tuned applied: small arrays, as few as can be."""
        return outcomes

    def summed(self, outcomes: Outcomes) -> Outcomes:
        """Return fewer entries with the same metrics, if ``keys`` allow it; sums of parts can be joined and summed again."""
        return outcomes if self.keys is None else summed(outcomes, self.keys)

    @abstractmethod
    def outcomes_of_values(
        self, targets: Sequence[str], predictions: Sequence[str | None], labels: Sequence[str], weights: Sequence[int]
    ) -> Outcomes:
        """Return the outcomes of predictions read back from a table, as ``metrics`` takes them: target and predicted values, with counts.

        Arrays by label have a column for each of ``labels``, and then for each of ``unknown_labels``. A prediction is the first of
        ``prediction_fields``, as JSON unless it is a string; None where there is none.
        """

    @abstractmethod
    def majority_outcomes(self, outcomes: Outcomes, statistics: Statistics, labels: Sequence[str]) -> Outcomes:
        """Return the outcomes of one answer for all, the best that train's targets tell, on the same rows.

        Args:
            outcomes: As ``metrics`` takes them.
            statistics: Of train's targets.
            labels: Label list.
        """

    def baselines(self) -> tuple[Method, ...]:
        """Return the cheap methods that a model is held against."""
        return ()

    def tune(self, outcomes: Outcomes, labels: Sequence[str]) -> dict[str, Any]:
        """Return what is chosen on validation rows, such as thresholds: settings that ``counted`` and ``decode`` then use.

        Args:
            outcomes: Those in ``tuned_by``, an entry a row, in the order of the rows' hashes; of very many rows, of a sample.
            labels: Label list.
        """
        return {}

    @abstractmethod
    def metrics(self, outcomes: Outcomes, labels: Sequence[str]) -> dict[str, float]:
        """Return every metric of the family by name, higher is better except ``loss``, from what ``counted`` or ``summed`` returned."""

    def row_scores(self, outcomes: Outcomes, metric: str) -> np.ndarray | None:
        """Return what the metric is the mean of, a value per row; None if it is no mean over rows, or an error."""
        return None

    def metric_names(self, labels: Sequence[str] = ()) -> list[str]:
        """Return the metrics of predictions, sorted, as they are seen from two made-up rows: some are of two labels alone."""
        names = labels if len(labels) > 1 else ("a", "b")
        values = self.example_values(names)
        return sorted(self.metrics(self.outcomes_of_values(values, values, names, [1] * len(values)), names))

    def example_values(self, labels: Sequence[str]) -> list[str]:
        """Return made-up values that do for targets and for predictions; without more knowledge, JSON's empty list."""
        return ["[]", "[]"]

    def evaluated_labels(self, labels: Sequence[str], predictions: Sequence[str | None]) -> tuple[str, ...]:
        """Return the labels that predictions read back from a table are measured with: the model's, unless others are predicted."""
        return tuple(labels)

    def unknown_labels(self, labels: Sequence[str], targets: Sequence[str]) -> tuple[str, ...]:
        """Return the labels of targets that the model does not know, sorted: to these, predictions can only be wrong."""
        return ()

    def confusion(
        self, targets: Sequence[str], predictions: Sequence[str | None], counts: Sequence[int], labels: Sequence[str]
    ) -> pd.DataFrame | None:
        """Return rows by target (index) and prediction (columns), if each has one label; arguments as ``outcomes_of_values`` takes them."""
        return None

    def label_table(self, outcomes: Outcomes, labels: Sequence[str]) -> pd.DataFrame | None:
        """Return precision, recall, F1 and rows of each label (``label, rows, predicted, …``), if a row may have several."""
        return None

    @abstractmethod
    def decode(self, results: np.ndarray, rows: Rows, setup: Setup) -> pd.DataFrame:
        """Return the prediction columns of results; row order kept."""

    def arrays(self, results: np.ndarray, rows: Rows, setup: Setup, *, most_scores: int | None = None) -> dict[str, pa.Array] | None:
        """Return the same as Arrow arrays, made without a Python object per row; None: they are made of what ``decode`` returns.

        Args:
            results: Results of at least one row.
            rows: Their texts and offsets, where the task needs them.
            setup: Labels and settings.
            most_scores: How many scores of a row are given, the highest; None: all; 0: no column of scores is asked for.
        """
        return None


def by_row(values: torch.Tensor, rows: Rows) -> torch.Tensor:
    """Return the mean over each row's windows of values of shape [windows, …]."""
    import torch

    counts = torch.tensor([len(windows) for windows in rows.windows], device=values.device)
    if len(counts) == len(values):
        return values
    owner = torch.repeat_interleave(torch.arange(len(counts), device=values.device), counts)
    summed = torch.zeros((len(counts), *values.shape[1:]), dtype=values.dtype, device=values.device).index_add_(0, owner, values)
    return summed / counts.reshape(-1, *[1] * (values.ndim - 1))


def objects(values: Sequence[Any]) -> np.ndarray:
    """Return an array of objects, one per value, whatever the values' own shapes."""
    result = np.empty(len(values), dtype=object)
    for i, value in enumerate(values):
        result[i] = value
    return result
