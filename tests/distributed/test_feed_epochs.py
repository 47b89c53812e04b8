"""Fifty epochs of the real feed: Petastorm's own thread pool loses row groups in about one epoch of three."""

from collections import Counter
from pathlib import Path

from sparknlp_ft.config import TrainConfig
from sparknlp_ft.training.feed import Feed
from tests.snapshots import random_lanes, write_snapshot
from tests.unit.training.test_feed import BareEncoder

EPOCHS = 50


def test_fifty_epochs_give_every_row_once_each_on_one_rank_and_on_two(tmp_path: Path) -> None:
    lanes = random_lanes((211, 187, 0, 202), longest=5)
    manifest = write_snapshot(tmp_path, {"train": lanes}, rows_per_file=70, rows_per_group=9)
    config = TrainConfig(batch_size=32, lanes=4, shuffle_rows=50)
    every = sorted(row for lane in lanes for row, _, _ in lane)
    for size in (1, 2):
        ranks = [
            Feed(manifest, "train", rank=rank, size=size, encoder=BareEncoder(), config=config)  # type: ignore[arg-type]
            for rank in range(size)
        ]
        seen: Counter[int] = Counter()
        for epoch in range(EPOCHS):
            rows = [row for feed in ranks for step in feed.epoch(epoch) for row in step.batch.row.tolist()]
            assert sorted(rows) == every
            seen.update(rows)
        assert set(seen.values()) == {EPOCHS}
