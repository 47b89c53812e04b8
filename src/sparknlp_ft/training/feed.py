"""What a rank reads: its lanes of a snapshot, as steps of training or batches of evaluation.

Rank r of n owns the lanes l ≡ r (mod n). In training, global step k is the same set of rows on any number of ranks
(``dealing`` says how many come from each lane; the order within a lane depends on seed, epoch and lane alone), and the
data position is (epoch, step). In evaluation each lane is batched by itself, so batches do not depend on ranks either.
Rows are counted against the manifest, row group by row group: a reader may lose some without a word.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import islice
from typing import Any

import numpy as np

from sparknlp_ft.config import TrainConfig
from sparknlp_ft.errors import DataError
from sparknlp_ft.snapshot.manifest import COLUMNS, TAUGHT, Manifest, SnapshotFile, split_target
from sparknlp_ft.storage import Folder
from sparknlp_ft.tasks import Rows, get_task
from sparknlp_ft.text.batching import by_token_budget
from sparknlp_ft.text.encoder import Inputs, TextEncoder
from sparknlp_ft.training.dealing import Dealing, Pool
from sparknlp_ft.training.readers import get_reader

#: Windows of a row that a training step always has room for.
LEAST_WINDOWS = 8


@dataclass(frozen=True)
class SnapshotRows:
    """Rows of a snapshot, a column each, all of shape [rows]; packed ones as objects of type bytes."""

    row: np.ndarray
    ids: np.ndarray
    pair: np.ndarray
    length: np.ndarray
    target: np.ndarray

    def __len__(self) -> int:
        return len(self.row)

    def take(self, index: Any) -> SnapshotRows:
        return SnapshotRows(*(getattr(self, field.name)[index] for field in fields(self)))

    @staticmethod
    def concat(parts: Sequence[SnapshotRows]) -> SnapshotRows:
        filled = [part for part in parts if len(part)] or [_EMPTY]
        if len(filled) == 1:
            return filled[0]
        return SnapshotRows(*(np.concatenate([getattr(part, field.name) for part in filled]) for field in fields(SnapshotRows)))


_EMPTY = SnapshotRows(*(np.zeros(0, dtype=dtype) for dtype in (np.int64, object, object, np.int32, object)))


@dataclass(frozen=True)
class Batch:
    """Rows ready for the network.

    Attributes:
        row: Row hashes, int64 [rows].
        windows: Assembled token ids: the windows of each row, at least one.
        targets: Target of each row, as the task decodes it; None of a row that has none, which only a teacher makes use of.
        lessons: What a teacher says of each row, float32 [rows, values]; None where there is no teacher.
    """

    row: np.ndarray
    windows: list[list[Inputs]]
    targets: list[Any]
    lessons: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.windows)

    @property
    def lengths(self) -> list[int]:
        """Tokens of each row's longest window."""
        return [max(map(len, windows)) for windows in self.windows]

    @property
    def counts(self) -> list[int]:
        """Windows of each row."""
        return [len(windows) for windows in self.windows]

    def rows(self, index: np.ndarray) -> Rows:
        """Return the rows numbered ``index`` as a task takes them."""
        return Rows([self.windows[i] for i in index], [self.targets[i] for i in index], lessons=self._lessons(index))

    def take(self, index: np.ndarray) -> Batch:
        return Batch(self.row[index], [self.windows[i] for i in index], [self.targets[i] for i in index], self._lessons(index))

    def _lessons(self, index: np.ndarray) -> np.ndarray | None:
        return None if self.lessons is None else self.lessons[index]


@dataclass(frozen=True)
class StepBatch:
    """This rank's share of one global batch; the share may be empty.

    Attributes:
        epoch: From 0.
        step: Step within the epoch, from 0.
        global_rows: Rows of the whole batch over all ranks, what the gradient is divided by.
        batch: The rows of this rank.
    """

    epoch: int
    step: int
    global_rows: int
    batch: Batch


class Feed:
    """The lanes of one split that belong to one rank.

    Args:
        manifest: The snapshot.
        split: Name of the split.
        rank: This rank, from 0.
        size: Number of ranks; at most the number of lanes.
        encoder: Cuts and completes token ids.
        config: Batch size, shuffling and seed.

    Raises:
        DataError: The snapshot has no such split.
    """

    reader = "petastorm"  #: Name of what reads its files, see ``readers``.

    def __init__(self, manifest: Manifest, split: str, *, rank: int, size: int, encoder: TextEncoder, config: TrainConfig) -> None:
        if split not in manifest.splits:
            raise DataError(f"snapshot {manifest.path!r} has no split {split!r}; it has {', '.join(manifest.splits)}")
        self.manifest, self.split, self.config = manifest, split, config
        self.encoder, self.task = encoder, get_task(manifest.task)
        self.lanes = manifest.splits[split].lanes
        self.mine = range(rank, len(self.lanes), size)
        self.dealing = Dealing(manifest.splits[split].lane_rows, config.step_rows)
        self.folder = Folder(manifest.path)

    @property
    def rows(self) -> int:
        """Rows of the split over all ranks."""
        return self.dealing.rows

    @property
    def steps_per_epoch(self) -> int:
        return self.dealing.steps

    def epoch(self, epoch: int, *, start_step: int = 0) -> Iterator[StepBatch]:
        """Yield this rank's share of each global batch of an epoch, from ``start_step`` on.

        The manifest tells where that is: blocks and files that lie before it are not read.

        Raises:
            DataError: The files do not hold the rows that the manifest says they hold.
        """
        streams: dict[int, _Stream] = {}
        skipped = np.zeros(len(self.lanes), dtype=np.int64)
        most = max(LEAST_WINDOWS, self.config.micro_batch_tokens // self.encoder.config.max_length)
        for pool in self.dealing.pools(seed=self.config.seed, epoch=epoch):
            if pool.first_step + len(pool.order) <= start_step:
                skipped += pool.counts.sum(axis=0)
                continue
            streams = streams or {lane: _Stream(self._shuffled(lane, epoch, skip=int(skipped[lane]))) for lane in self.mine}
            dealt = [self._deal(streams[lane].take(int(pool.counts[:, lane].sum())), pool, lane) for lane in self.mine]
            for position, batch in enumerate(pool.order):
                step = pool.first_step + position
                if step >= start_step:
                    rows = SnapshotRows.concat([lane[batch] for lane in dealt])
                    yield StepBatch(epoch, step, int(pool.counts[batch].sum()), self._batch(rows, (self.config.seed, epoch), most=most))
        for lane, stream in streams.items():
            stream.end(f"lane {lane} of split {self.split!r} of snapshot {self.manifest.path!r}")

    def evaluation(self, max_tokens: int) -> Iterator[Batch]:
        """Yield each row of this rank's lanes once, in batches of like length under a token budget."""
        for lane in self.mine:
            for block in self._blocks(lane, self.lanes[lane]):
                whole = self._batch(block, (self.config.seed,))
                for index in by_token_budget(whole.lengths, max_tokens, whole.counts):
                    yield whole.take(index)

    def token_ids(self) -> np.ndarray:
        """Return the distinct token ids of this rank's lanes, sorted; one pass over the files."""
        seen = np.zeros(0, dtype=np.int32)
        for lane in self.mine:
            for block in self._blocks(lane, self.lanes[lane]):
                packed = b"".join(block.ids) + b"".join(block.pair)
                seen = np.union1d(seen, np.frombuffer(packed, dtype="<i4"))
        return seen

    def _shuffled(self, lane: int, epoch: int, *, skip: int) -> Iterator[SnapshotRows]:
        """Yield the rows of a lane in the order of an epoch, from the ``skip``-th on."""
        rng = np.random.default_rng([abs(self.config.seed), epoch, lane])
        files = [self.lanes[lane][i] for i in rng.permutation(len(self.lanes[lane]))]
        groups = 0
        for block in self._block_groups(files):
            if sum(block) > skip:
                break
            rng.permutation(sum(block))  # Drawn as if it had been read: what follows stays the same.
            skip, groups = skip - sum(block), groups + len(block)
        for rows in self._blocks(lane, files, skip=groups):
            yield rows.take(rng.permutation(len(rows))[skip:])
            skip = 0

    def _block_groups(self, files: Sequence[SnapshotFile]) -> Iterator[list[int]]:
        """Yield the rows of the row groups that make up each block: whole ones, at least ``shuffle_rows``, the last as it comes."""
        held: list[int] = []
        for rows in (rows for file in files for rows in file.row_groups if rows):
            held.append(rows)
            if sum(held) >= self.config.shuffle_rows:
                yield held
                held = []
        if held:
            yield held

    def _blocks(self, lane: int, files: Sequence[SnapshotFile], *, skip: int = 0) -> Iterator[SnapshotRows]:
        """Yield the rows of files in blocks, those left out that hold the first ``skip`` row groups."""
        groups, passed = self._row_groups(lane, files, skip=skip), 0
        for block in self._block_groups(files):
            if passed >= skip:
                yield SnapshotRows.concat(list(islice(groups, len(block))))
            passed += len(block)
        for left in groups:  # There is none, or the count below has raised.
            raise _miscount(lane, "the end of the lane", 0, len(left))

    def _row_groups(self, lane: int, files: Sequence[SnapshotFile], *, skip: int = 0) -> Iterator[SnapshotRows]:
        """Yield row groups from number ``skip`` on; files that lie before it are not opened."""
        files = [file for file in files if file.rows]
        while files and skip >= (first := sum(map(bool, files[0].row_groups))):
            files, skip = files[1:], skip - first
        # Readers hand on no empty row group, and Petastorm cannot open a file that has none.
        expected = [(file.path, number, rows) for file in files for number, rows in enumerate(file.row_groups) if rows]
        if not expected:
            return
        paths = [f"{self.folder.path}/{file.path}" for file in files]
        received = 0
        for columns in get_reader(self.reader)(self.folder.files, paths, COLUMNS):
            group = SnapshotRows(**columns)
            path, number, rows = expected[received] if received < len(expected) else ("(none)", 0, 0)
            if len(group) != rows:
                raise _miscount(lane, f"row group {number} of {path!r}", rows, len(group))
            received += 1
            if received > skip:
                yield group
        if received < len(expected):
            path, number, _ = expected[received]
            missing = sum(rows for _, _, rows in expected[received:])
            raise _miscount(lane, f"everything from row group {number} of {path!r} on", missing, 0)

    def _deal(self, rows: SnapshotRows, pool: Pool, lane: int) -> list[SnapshotRows]:
        """Sort a lane's rows of a pool by length and cut them into its batches."""
        clipped = np.minimum(rows.length, self.encoder.config.max_length)
        ends = np.cumsum(pool.counts[:, lane])
        return [rows.take(index) for index in np.split(np.argsort(clipped, kind="stable"), ends[:-1])]

    def _batch(self, rows: SnapshotRows, seed: tuple[int, ...], *, most: int | None = None) -> Batch:
        windows = []
        for row, ids, pair in zip(rows.row.tolist(), rows.ids, rows.pair, strict=True):
            second = np.frombuffer(pair, dtype="<i4") if self.manifest.has_pair else None
            found = self.encoder.windows(np.frombuffer(ids, dtype="<i4"), second, seed=(*seed, row))
            windows.append(found if most is None else _some(found, most, seed=(*seed, row)))
        size = self.manifest.lessons if self.split == TAUGHT else 0
        parts = [split_target(packed, size) for packed in rows.target]
        targets = [self.task.decode_target(packed) if packed or not size else None for packed, _ in parts]
        lessons = np.frombuffer(b"".join(part for _, part in parts), dtype="<f4").reshape(len(parts), size) if size else None
        return Batch(rows.row, windows, targets, lessons)


def _some(windows: list[Inputs], most: int, *, seed: Sequence[int]) -> list[Inputs]:
    """Return at most so many windows of a row, in their order: a step must fit into memory, whatever the longest text."""
    if len(windows) <= most:
        return windows
    chosen = np.random.default_rng([abs(int(s)) for s in seed]).choice(len(windows), size=most, replace=False)
    return [windows[i] for i in np.sort(chosen)]


class _Stream:
    """Rows of a lane, taken in any amounts from blocks."""

    def __init__(self, blocks: Iterator[SnapshotRows]) -> None:
        self.blocks, self.held = blocks, _EMPTY

    def take(self, rows: int) -> SnapshotRows:
        """Return the next ``rows`` rows, or fewer at the end (which cannot be: the blocks are counted)."""
        parts = [self.held]
        while sum(map(len, parts)) < rows:
            parts.append(next(self.blocks))
        joined = SnapshotRows.concat(parts)
        self.held = joined.take(slice(rows, None))
        return joined.take(slice(0, rows))

    def end(self, what: str) -> None:
        """Check that nothing is left.

        Raises:
            DataError: Rows are left over.
        """
        left = len(self.held) + sum(len(block) for block in self.blocks)
        if left:
            raise DataError(f"{what} holds {left} rows more than its manifest says; delete the snapshot folder to build it again")


def _miscount(lane: int, what: str, expected: int, received: int) -> DataError:
    return DataError(
        f"snapshot lane {lane}: {what} should give {expected} rows, and {received} came. "
        "If this happens again on another run, the files were changed: delete the snapshot folder to have it built again"
    )
