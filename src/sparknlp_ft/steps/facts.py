"""What is known of a table once it was looked through, so that nothing looks again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sparknlp_ft.snapshot.manifest import Manifest
from sparknlp_ft.tables.contracts import TEST
from sparknlp_ft.tables.survey import Survey
from sparknlp_ft.tasks import Statistics


@dataclass(frozen=True)
class TableFacts:
    """What gate and baselines want to know of a table.

    Attributes:
        labels: Labels of train.
        statistics: Of train's targets: what the majority baseline answers by.
        rows: Usable rows by split.
    """

    labels: tuple[str, ...]
    statistics: Statistics
    rows: Mapping[str, int]

    @property
    def has_test(self) -> bool:
        """Whether there are test rows."""
        return bool(self.rows.get(TEST))

    @classmethod
    def of_manifest(cls, manifest: Manifest) -> TableFacts:
        """Return them as a snapshot tells them."""
        return cls(manifest.labels, manifest.statistics, {name: split.rows for name, split in manifest.splits.items()})

    @classmethod
    def of_survey(cls, found: Survey) -> TableFacts:
        """Return them as a look through the table tells them."""
        return cls(found.labels, found.statistics, found.rows)
