"""What a cheap method is: fitted on rows on the driver, asked for predictions in the form that a table would hold them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

#: The texts of one row, in the task's order.
Texts = tuple[str, ...]


@dataclass(frozen=True)
class Sample:
    """Rows on the driver: texts, and targets as ``tables.targets`` writes them. Equal lengths."""

    texts: list[Texts]
    targets: list[str]

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True)
class Fitted:
    """A fitted method.

    Attributes:
        predict: Texts of rows → predictions, as ``Task.outcomes_of_values`` reads them.
        parameters: Numbers (or dictionary entries) it was fitted with.
        size: Bytes they take.
        settings: What it was fitted with, by name.
    """

    predict: Callable[[Sequence[Texts]], list[str]]
    parameters: int = 0
    size: int = 0
    settings: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Method:
    """A cheap method of one task family.

    Attributes:
        name: Short name, as the leaderboard shows it.
        about: What it does, in a few words.
        fit: (train rows, validation rows, label list, seed) → the fitted method. Validation is there to choose thresholds.
    """

    name: str
    about: str
    fit: Callable[[Sample, Sample, Sequence[str], int], Fitted]
