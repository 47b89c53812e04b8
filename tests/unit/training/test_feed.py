"""The feed: the same global batches on any number of ranks, every row once, nothing lost without a word."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparknlp_ft.config import TextConfig, TrainConfig
from sparknlp_ft.errors import DataError
from sparknlp_ft.snapshot.manifest import Manifest, SnapshotFile, Split
from sparknlp_ft.tasks import Statistics
from sparknlp_ft.text.encoder import Inputs
from sparknlp_ft.training.feed import Batch, Feed, SnapshotRows
from tests.snapshots import random_lanes, write_snapshot


class BareEncoder:
    """Cuts to the maximal length and adds nothing."""

    config = TextConfig(max_length=16)

    def windows(self, ids: np.ndarray, pair: np.ndarray | None, *, seed: Sequence[int]) -> list[Inputs]:
        return [Inputs(ids[:16], None, truncated=len(ids) > 16)]


class MemoryFeed(Feed):
    """A feed of made-up rows: what is tested is the order, not the reading."""

    def _row_groups(self, lane: int, files: Sequence[SnapshotFile], *, skip: int = 0) -> Iterator[SnapshotRows]:
        groups = [(file, number, size) for file in files for number, size in enumerate(file.row_groups) if size]
        for file, number, size in groups[skip:]:
            rng = np.random.default_rng([lane, int(file.path), number])
            length = rng.integers(1, 20, size).astype(np.int32)
            ids = np.asarray([np.arange(n, dtype="<i4").tobytes() for n in length] + [None], dtype=object)[:-1]
            target = np.asarray([b"\1\0\0\0"] * size + [None], dtype=object)[:-1]
            yield SnapshotRows(np.arange(size) + 1000 * number + 10**6 * int(file.path) + 10**9 * lane, ids, target, length, target)


def config(**values: int) -> TrainConfig:
    return TrainConfig(**{"batch_size": values.get("lanes", 4), "lanes": 4, **values})


def feeds(kind: type[Feed], manifest: Manifest, split: str, size: int, settings: TrainConfig) -> list[Feed]:
    return [
        kind(manifest, split, rank=rank, size=size, encoder=BareEncoder(), config=settings)  # type: ignore[arg-type]
        for rank in range(size)
    ]


def global_batches(ranks: list[Feed], epoch: int, **options: int) -> list[list[int]]:
    """Rows of each global batch, joined over ranks; checks the row count that each rank divides by."""
    batches = []
    for shares in zip(*(feed.epoch(epoch, **options) for feed in ranks), strict=True):
        rows = sorted(row for share in shares for row in share.batch.row.tolist())
        assert {(share.step, share.global_rows) for share in shares} == {(shares[0].step, len(rows))}
        batches.append(rows)
    return batches


def in_memory(files: list[list[list[int]]]) -> Manifest:
    """A manifest of lanes → files → row groups."""
    lanes = tuple(tuple(SnapshotFile(str(number), tuple(groups)) for number, groups in enumerate(lane)) for lane in files)
    return Manifest("/none", "t", "0", 0, "classification", "", False, ("a", "b"), Statistics(), {"train": Split(lanes, {})})


LANES = st.lists(st.lists(st.lists(st.integers(0, 40), max_size=3), max_size=3), min_size=4, max_size=6)


@given(LANES, st.integers(1, 5), st.sampled_from([1, 10, 100_000]), st.integers(0, 3))
def test_any_number_of_ranks_gives_the_same_global_batches_and_every_row_once(
    files: list[list[list[int]]], per_lane: int, shuffle_rows: int, epoch: int
) -> None:
    manifest, lanes = in_memory(files), len(files)
    settings = config(lanes=lanes, batch_size=per_lane * lanes, shuffle_rows=shuffle_rows)
    alone = global_batches(feeds(MemoryFeed, manifest, "train", 1, settings), epoch)
    rows = [row for batch in alone for row in batch]
    assert len(rows) == len(set(rows)) == manifest.splits["train"].rows
    assert all(len(batch) == settings.batch_size for batch in alone[:-1] if len(alone) == 1)
    for size in (2, 3, 4):
        assert global_batches(feeds(MemoryFeed, manifest, "train", size, settings), epoch) == alone


@pytest.mark.parametrize(
    "lane_rows",
    [(61, 47, 0, 53), (1, 0, 0, 0), (0, 0, 0, 0), (30, 0, 0, 0)],
    ids=["rows no rank count divides", "one row", "no row", "fewer files than ranks"],
)
def test_petastorm_gives_the_same_global_batches_and_every_row_once(tmp_path: Path, lane_rows: tuple[int, ...]) -> None:
    lanes = random_lanes(lane_rows)
    manifest, settings = write_snapshot(tmp_path, {"train": lanes}), config(batch_size=8)
    alone = global_batches(feeds(Feed, manifest, "train", 1, settings), 0)
    assert sorted(row for batch in alone for row in batch) == sorted(row for lane in lanes for row, _, _ in lane)
    for size in (2, 4):
        assert global_batches(feeds(Feed, manifest, "train", size, settings), 0) == alone


def test_epochs_and_seeds_shuffle_anew(tmp_path: Path) -> None:
    manifest = in_memory([[[40]]] * 4)

    def order(seed: int, epoch: int) -> list[list[int]]:
        return global_batches(feeds(MemoryFeed, manifest, "train", 1, config(batch_size=8, seed=seed)), epoch)

    orders = order(1, 0), order(1, 1), order(2, 0)
    assert orders[0] != orders[1] != orders[2] != orders[0]


@given(LANES, st.sampled_from([1, 10, 50, 100_000]), st.floats(0, 1), st.integers(1, 3))
def test_a_start_in_the_middle_goes_on_with_the_same_batches(
    files: list[list[list[int]]], shuffle_rows: int, where: float, size: int
) -> None:
    manifest, settings = in_memory(files), config(lanes=len(files), batch_size=2, shuffle_rows=shuffle_rows)
    whole = global_batches(feeds(MemoryFeed, manifest, "train", 2, settings), 3)
    start = int(where * len(whole))
    assert global_batches(feeds(MemoryFeed, manifest, "train", size, settings), 3, start_step=start) == whole[start:]


def test_what_lies_before_the_start_is_not_read(tmp_path: Path) -> None:
    lanes = random_lanes((400, 400, 400, 400))
    manifest, settings = write_snapshot(tmp_path, {"train": lanes}), config(batch_size=8, shuffle_rows=60)
    [feed] = feeds(Feed, manifest, "train", 1, settings)
    whole = global_batches([feed], 0)
    for lane in range(4):  # The files that an epoch begins with.
        order = np.random.default_rng([settings.seed, 0, lane]).permutation(8)
        for number in order[:2]:
            (tmp_path / manifest.splits["train"].lanes[lane][number].path).unlink()
    assert global_batches([feed], 0, start_step=130) == whole[130:]


def test_rows_of_a_batch_have_like_lengths() -> None:
    manifest, settings = in_memory([[[1000]]] * 4), config(batch_size=32)
    tokens = padded = 0
    for step in feeds(MemoryFeed, manifest, "train", 1, settings)[0].epoch(0):
        tokens += sum(step.batch.lengths)
        padded += len(step.batch) * max(step.batch.lengths)
    assert tokens / padded > 0.93


def test_rows_bring_their_own_ids_and_targets(tmp_path: Path) -> None:
    lanes = random_lanes((20, 20, 20, 20))
    written = {row: (ids[:16], label) for lane in lanes for row, ids, label in lane}
    feed = feeds(Feed, write_snapshot(tmp_path, {"train": lanes}), "train", 1, config())[0]

    def read(batches: Iterator[Batch]) -> dict[int, tuple[list[int], int]]:
        return {
            row: (inputs.ids.tolist(), target)
            for batch in batches
            for row, (inputs,), target in zip(batch.row.tolist(), batch.windows, batch.targets, strict=True)
        }

    assert read(step.batch for step in feed.epoch(0)) == written
    assert read(feed.evaluation(100)) == written


def test_evaluation_gives_each_row_once_in_batches_that_no_rank_count_changes(tmp_path: Path) -> None:
    manifest = write_snapshot(tmp_path, {"validation": random_lanes((31, 0, 1, 20))})

    def batches(size: int) -> list[tuple[int, ...]]:
        return sorted(
            tuple(batch.row.tolist()) for feed in feeds(Feed, manifest, "validation", size, config()) for batch in feed.evaluation(60)
        )

    assert batches(1) == batches(2) == batches(4)
    assert sum(map(len, batches(1))) == 52


def test_token_ids_are_those_of_the_files(tmp_path: Path) -> None:
    lanes = random_lanes((9, 0, 8, 7))
    manifest = write_snapshot(tmp_path, {"train": lanes})
    found = np.unique(np.concatenate([feed.token_ids() for feed in feeds(Feed, manifest, "train", 2, config())]))
    assert found.tolist() == sorted({token for lane in lanes for _, ids, _ in lane for token in ids})


@pytest.mark.parametrize("change", [-1, 1])
def test_a_changed_file_is_named_with_lane_and_counts(tmp_path: Path, change: int) -> None:
    manifest = write_snapshot(tmp_path, {"train": random_lanes((50, 50, 50, 50))})
    path = tmp_path / manifest.splits["train"].lanes[2][0].path
    table = pq.read_table(path)
    pq.write_table(table.slice(0, 49) if change < 0 else table.take([*range(50), 0]), path, row_group_size=20)
    with pytest.raises(
        DataError, match=f"lane 2: row group 2 of 'split=train/lane=2/part-0.parquet' should give 10 rows, and {10 + change} came"
    ):
        list(feeds(Feed, manifest, "train", 1, config())[0].epoch(0))


def test_row_groups_that_petastorm_loses_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sparknlp_ft.training.readers import petastorm

    manifest = write_snapshot(tmp_path, {"train": random_lanes((50, 0, 0, 0))})
    whole = petastorm.read_row_groups
    monkeypatch.setattr(petastorm, "read_row_groups", lambda *args: list(whole(*args))[:1])
    with pytest.raises(DataError, match="lane 0: everything from row group 1 of .* should give 30 rows, and 0 came"):
        list(feeds(Feed, manifest, "train", 1, config())[0].epoch(0))


def test_a_missing_split_is_named() -> None:
    with pytest.raises(DataError, match="no split 'validation'; it has train"):
        feeds(MemoryFeed, in_memory([[[1]]]), "validation", 1, config())


def test_an_unread_rest_of_an_epoch_leaves_no_thread_behind(tmp_path: Path) -> None:
    import threading

    manifest = write_snapshot(tmp_path, {"train": random_lanes((200, 0, 0, 0))}, rows_per_group=5)
    steps = feeds(Feed, manifest, "train", 1, config(batch_size=4, shuffle_rows=1))[0].epoch(0)
    next(steps)
    del steps
    assert not [thread for thread in threading.enumerate() if type(thread).__name__ == "WorkerThread"]
