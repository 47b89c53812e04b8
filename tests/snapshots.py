"""Small snapshots written straight with pyarrow, for tests of the worker side that need no Spark."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sparknlp_ft.snapshot.manifest import COLUMNS, SCHEMA, Manifest, SnapshotFile, Split
from sparknlp_ft.tasks import Statistics

Rows = Sequence[tuple[int, Sequence[int], int]]  #: (row hash, token ids, label index)


def write_snapshot(
    folder: Path,
    splits: Mapping[str, Sequence[Rows]],
    labels: Sequence[str] = ("no", "yes"),
    *,
    rows_per_file: int = 50,
    rows_per_group: int = 20,
) -> Manifest:
    """Write a snapshot with the given rows of each lane of each split, and its manifest."""
    written = {
        name: Split(
            lanes=tuple(
                _write_lane(folder, f"split={name}/lane={number}", rows, rows_per_file, rows_per_group) for number, rows in enumerate(lanes)
            ),
            length_histogram={},
        )
        for name, lanes in splits.items()
    }
    train = [label for lane in splits.get("train", ()) for _, _, label in lane]
    manifest = Manifest(
        path=str(folder),
        table="test",
        table_id="0",
        version=0,
        task="classification",
        tokenizer="none",
        has_pair=False,
        labels=tuple(labels),
        statistics=Statistics(len(train), {label: train.count(i) for i, label in enumerate(labels)}),
        splits=written,
    )
    manifest.save()
    return manifest


def random_lanes(lane_rows: Sequence[int], *, seed: int = 0, vocabulary: int = 100, longest: int = 30, labels: int = 2) -> list[Rows]:
    """Rows of random length, ids and labels for lanes of the given sizes; ids leave the label's own remainder to be told from."""
    rng = np.random.default_rng(seed)
    lanes: list[Rows] = []
    for size in lane_rows:
        lane = []
        for _ in range(size):
            label = int(rng.integers(labels))
            ids = rng.integers(5 // labels + 1, vocabulary // labels, size=int(rng.integers(1, longest + 1))) * labels + label
            lane.append((int(rng.integers(-(2**62), 2**62)), ids.tolist(), label))
        lanes.append(lane)
    return lanes


def _write_lane(folder: Path, name: str, rows: Rows, rows_per_file: int, rows_per_group: int) -> tuple[SnapshotFile, ...]:
    files = []
    for number, start in enumerate(range(0, len(rows), rows_per_file)):
        part = rows[start : start + rows_per_file]
        path = folder / name / f"part-{number}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(_table(part), path, row_group_size=rows_per_group)
        metadata = pq.read_metadata(path)
        groups = tuple(metadata.row_group(i).num_rows for i in range(metadata.num_row_groups))
        files.append(SnapshotFile(f"{name}/{path.name}", groups))
    return tuple(files)


def _table(rows: Rows) -> pa.Table:
    columns = {
        "row": [row for row, _, _ in rows],
        "ids": [np.asarray(ids, dtype="<i4").tobytes() for _, ids, _ in rows],
        "pair": [b"" for _ in rows],
        "length": [len(ids) for _, ids, _ in rows],
        "target": [np.asarray([label], dtype="<i4").tobytes() for _, _, label in rows],
    }
    return pa.table({name: columns[name] for name in COLUMNS}, schema=SCHEMA)
