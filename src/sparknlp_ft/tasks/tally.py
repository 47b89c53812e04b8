"""Outcomes of many rows in few entries, so that ranks and Spark's tasks hand on sums in place of rows.

An entry stands for ``weight`` rows. Metrics are the same, but for rounding, whether each row has its entry, equal rows share one,
or, in the families that say by what (``Task.keys``), entries are summed up.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sparknlp_ft.tasks.outcomes import Outcomes, entries_of, join_outcomes, weights_of
from sparknlp_ft.tasks.task import Task

if TYPE_CHECKING:
    import pyarrow as pa

#: Entries that are collected before they are packed.
BLOCK = 16_384

#: Bytes of rows that go to one place, at most, where each is needed: for thresholds, temperatures, and Spearman's coefficient.
#: Of more rows a sample serves.
MOST_BYTES = 256 * 2**20

_HASHES = 2.0**64


class Tally:
    """Outcomes that come a part at a time, held in few entries.

    Args:
        task: Whose outcomes they are.
        most: Different outcomes that are kept as they are, which allows to draw rows anew; of more, sums are.
    """

    def __init__(self, task: Task, *, most: int = 0) -> None:
        self.task, self.most, self.whole = task, most, most > 0
        self._parts: list[Outcomes] = []
        self._pending, self._packed = 0, 0

    def add(self, outcomes: Outcomes) -> None:
        """Add some outcomes."""
        self._parts.append(outcomes)
        self._pending += entries_of(outcomes)
        if self._pending >= BLOCK + 2 * self._packed:
            self._pack()

    def entries(self) -> Outcomes:
        """Return what was added, rows in the order of their hashes; empty if nothing was."""
        self._pack()
        return ordered(self._parts[0]) if self._parts else {}

    def _pack(self) -> None:
        if not self._parts:
            return
        packed = join_outcomes(self._parts)
        rows = "row" in packed  # Rows that are kept have nothing in common with each other.
        if self.whole and not rows:
            packed = distinct(packed)
        self.whole = self.whole and entries_of(packed) <= self.most
        if not self.whole and not rows:
            packed = self.task.summed(packed)
        self._parts = [packed]
        self._pending = self._packed = entries_of(packed)


def handed_on(task: Task, outcomes: Outcomes, row: np.ndarray, *, rows: int, each: bool = False) -> Outcomes:
    """Return outcomes of rows as they leave a rank or a worker.

    Args:
        task: The family.
        outcomes: As ``Task.metrics`` takes them.
        row: The rows' hashes, int64 [rows].
        rows: How many rows there are, everywhere.
        each: Whether every row is kept by itself.

    Returns:
        The outcomes; with ``row`` where rows are kept, which may be those of a sample where the task cannot do without them.
    """
    if not each and task.keys is not None:
        return outcomes
    outcomes = {**outcomes, "row": row}
    return outcomes if each else share_of(outcomes, rows)


def share_of(outcomes: Outcomes, rows: int) -> Outcomes:
    """Return those of outcomes that are kept of so many rows: of more than ``MOST_BYTES``, a share by their hashes, ``row``."""
    size = sum(values.nbytes for values in outcomes.values()) / max(entries_of(outcomes), 1)
    if (share := MOST_BYTES / max(rows * size, 1.0)) >= 1:
        return outcomes
    kept = outcomes["row"].view(np.uint64) < np.uint64(share * _HASHES)
    return {name: values[kept] for name, values in outcomes.items()}


def ordered(outcomes: Outcomes) -> Outcomes:
    """Return outcomes of rows in the order of their hashes, wherever they came from; others as they are."""
    if "row" not in outcomes:
        return outcomes
    order = np.argsort(outcomes["row"], kind="stable")
    return {name: values[order] for name, values in outcomes.items()}


def distinct(outcomes: Outcomes) -> Outcomes:
    """Return each different outcome once, with the weight of all that are equal; ordered by their bytes, so whatever the order was."""
    count, weight = entries_of(outcomes), weights_of(outcomes)
    columns = [np.ascontiguousarray(values).reshape(count, -1).view(np.uint8) for name, values in outcomes.items() if name != "weight"]
    rows = np.ascontiguousarray(np.concatenate(columns, axis=1))
    _, first, owner = np.unique(rows.view([("", np.void, rows.shape[1])]).reshape(-1), return_index=True, return_inverse=True)
    total = np.zeros(len(first), dtype=weight.dtype)
    np.add.at(total, owner.reshape(-1), weight)
    return {**{name: values[first] for name, values in outcomes.items() if name != "weight"}, "weight": total}


def packed(arrays: Outcomes) -> bytes:
    """Return arrays by name as a file of numpy's, without pickles."""
    stream = io.BytesIO()
    np.savez(stream, **arrays)  # type: ignore[arg-type]
    return stream.getvalue()


def unpacked(content: bytes) -> Outcomes:
    """Return the arrays that ``packed`` was given."""
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


@dataclass(frozen=True)
class Part:
    """What one of Spark's tasks counted.

    Attributes:
        outcomes: Of the labelled rows, as they are ``handed_on``.
        labels: What arrays by label are counted with: the model's labels, and those of targets that it does not know.
        facts: Rows without target; labelled ones without prediction; labelled ones of which the model was not shown all.
        whole: Whether different outcomes have entries of their own.
    """

    outcomes: Outcomes
    labels: tuple[str, ...]
    facts: tuple[int, int, int] = (0, 0, 0)
    whole: bool = True

    def to_bytes(self) -> bytes:
        """Return it as ``packed`` does."""
        about = {"labels": np.asarray(self.labels, dtype=str), "facts": np.asarray(self.facts), "whole": np.asarray(self.whole)}
        return packed({**{f"of {name}": values for name, values in self.outcomes.items()}, **about})

    @classmethod
    def of_bytes(cls, content: bytes) -> Part:
        arrays = unpacked(content)
        outcomes = {name.removeprefix("of "): values for name, values in arrays.items() if name.startswith("of ")}
        unlabelled, unscored, cut = arrays["facts"].tolist()
        return cls(outcomes, tuple(arrays["labels"].tolist()), (unlabelled, unscored, cut), bool(arrays["whole"]))


@dataclass(frozen=True)
class Counting:
    """How Spark's tasks count what a model says of labelled rows.

    Attributes:
        task: The family.
        labels: The model's.
        rows: How many rows there are.
        most: Different outcomes that each task may keep.
        each: Whether a row is kept by itself, with its hash; there are no more than ``most`` then.
    """

    task: Task
    labels: tuple[str, ...]
    rows: int
    most: int
    each: bool

    def parts(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield what ``count`` returns, as the one value of a column ``part``."""
        import pyarrow as pa

        yield pa.RecordBatch.from_pydict({"part": pa.array([self.count(batches).to_bytes()], pa.binary())})

    def count(self, batches: Iterable[pa.RecordBatch]) -> Part:
        """Count batches with the columns ``row, target, prediction, unscored, cut``; the rows of one of Spark's tasks."""
        found = Part({}, self.labels)
        for batch in batches:
            found = merged(self.task, [found, self._part(batch.to_pydict())], self.labels, most=self.most)
        return found

    def _part(self, rows: Mapping[str, Sequence]) -> Part:
        labelled = [i for i, target in enumerate(rows["target"]) if target is not None]
        facts = (
            len(rows["target"]) - len(labelled),
            sum(bool(rows["unscored"][i]) for i in labelled),
            sum(bool(rows["cut"][i]) for i in labelled),
        )
        if not labelled:
            return Part({}, self.labels, facts)
        targets, predictions, row = ([rows[name][i] for i in labelled] for name in ("target", "prediction", "row"))
        outcomes = self.task.outcomes_of_values(targets, predictions, self.labels, [1] * len(labelled))
        outcomes = handed_on(self.task, outcomes, np.asarray(row, dtype=np.int64), rows=self.rows, each=self.each)
        return Part(outcomes, (*self.labels, *self.task.unknown_labels(self.labels, targets)), facts)


def merged(task: Task, parts: Sequence[Part], labels: Sequence[str], *, most: int) -> Part:
    """Return all parts as one.

    Args:
        task: The family.
        parts: The parts.
        labels: The model's.
        most: Different outcomes that are kept.
    """
    every = (*labels, *sorted({label for part in parts for label in part.labels} - set(labels)))
    tally = Tally(task, most=most if all(part.whole for part in parts) else 0)
    for part in parts:
        if part.outcomes:
            tally.add(_widened(part.outcomes, part.labels, every))
    entries = tally.entries()
    unlabelled, unscored, cut = (sum(part.facts[i] for part in parts) for i in range(3))
    return Part(entries, every, (unlabelled, unscored, cut), tally.whole)


def _widened(outcomes: Outcomes, labels: Sequence[str], every: Sequence[str]) -> Outcomes:
    """Return outcomes whose arrays by label have a column for every label."""
    if len(labels) == len(every):
        return outcomes
    index = {label: i for i, label in enumerate(every)}
    places = [index[label] for label in labels]
    result = {}
    for name, values in outcomes.items():
        result[name] = values
        if values.ndim > 1 and values.shape[1] == len(labels):
            result[name] = np.zeros((len(values), len(every), *values.shape[2:]), dtype=values.dtype)
            result[name][:, places] = values
    return result
