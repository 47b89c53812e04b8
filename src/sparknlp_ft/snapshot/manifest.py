"""The manifest of a snapshot: what the encode step wrote, and what the feed checks itself against.

A snapshot is a folder of Parquet files, on any storage, with ``manifest.json`` beside them: what that does not name is not
part of it. It holds nothing per row: a table may have billions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from sparknlp_ft.errors import DataError
from sparknlp_ft.storage import Folder
from sparknlp_ft.tasks import Statistics

FORMAT = 1
FILE_NAME = "manifest.json"

#: Columns of a snapshot's Parquet files. None is ever NULL. Petastorm refuses ragged lists, hence packed binaries.
#:   row     hash of the key (xxhash64): seeds random windows, orders outcomes
#:   ids     int32 little-endian token ids of the text, without specials, full length
#:   pair    the same of the second text; empty where the task has none
#:   length  number of ids in both
#:   target  as the task encodes it; where a teacher has said something of a row, that follows as float32 little-endian, and
#:           before it there may be nothing: a row without a target
SCHEMA = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("ids", pa.binary(), nullable=False),
        pa.field("pair", pa.binary(), nullable=False),
        pa.field("length", pa.int32(), nullable=False),
        pa.field("target", pa.binary(), nullable=False),
    ]
)
COLUMNS = tuple(SCHEMA.names)

#: The split that a teacher teaches.
TAUGHT = "train"


@dataclass(frozen=True)
class SnapshotFile:
    """One Parquet file: its path relative to the snapshot, and the rows of each of its row groups."""

    path: str
    row_groups: tuple[int, ...]

    @property
    def rows(self) -> int:
        return sum(self.row_groups)


@dataclass(frozen=True)
class Split:
    """One split: files of each lane, by lane number. A lane may be empty."""

    lanes: tuple[tuple[SnapshotFile, ...], ...]
    length_histogram: Mapping[str, int]  #: rows by length rounded up to a power of two, as "16": 1200

    @property
    def lane_rows(self) -> tuple[int, ...]:
        return tuple(sum(file.rows for file in lane) for lane in self.lanes)

    @property
    def rows(self) -> int:
        return sum(self.lane_rows)


@dataclass(frozen=True)
class Manifest:
    """All that is known of a snapshot."""

    path: str  #: address of the snapshot's folder
    table: str
    table_id: str
    version: int
    task: str
    tokenizer: str  #: fingerprint
    has_pair: bool
    labels: tuple[str, ...]
    statistics: Statistics  #: of the targets of train
    splits: Mapping[str, Split]  #: "train", "validation" and, if the table has one, "test"
    left_out: Mapping[str, int] = field(default_factory=dict)  #: rows that are in no split, by reason
    lessons: int = 0  #: how many numbers a teacher says of each row of train; 0: there is no teacher

    @property
    def name(self) -> str:
        """The name of its folder, which tells its content."""
        return Folder(self.path).name

    def save(self) -> None:
        """Write ``manifest.json``: last, so that a snapshot without it is unfinished and is built again."""
        Folder(self.path).write_json(FILE_NAME, {"format": FORMAT, **asdict(self)})

    @classmethod
    def load(cls, address: str | Path) -> Manifest:
        """Read the manifest of a snapshot.

        Raises:
            DataError: There is none, or it is of another format.
        """
        folder = Folder(str(address))
        values = folder.read_json(FILE_NAME)
        if values is None:
            raise DataError(f"{folder.address!r} is not a snapshot: it has no {FILE_NAME} that can be read")
        if values.pop("format", None) != FORMAT:
            raise DataError(f"snapshot {folder.address!r} is of another format than {FORMAT}; delete the folder to build it again")
        splits = {name: _split(value) for name, value in values.pop("splits").items()}
        statistics = _statistics(values, splits)
        return cls(**{**values, "path": folder.address, "labels": tuple(values["labels"]), "splits": splits, "statistics": statistics})


def split_target(packed: bytes, lessons: int) -> tuple[bytes, bytes]:
    """Return a row's target as the task encoded it, and the bytes of what a teacher says of it.

    Args:
        packed: Value of the column ``target``.
        lessons: Numbers a teacher says of a row, ``Manifest.lessons``; 0 of splits that are not taught.
    """
    end = len(packed) - 4 * lessons
    return packed[:end], packed[end:]


def _statistics(values: dict[str, Any], splits: Mapping[str, Split]) -> Statistics:
    """Read statistics, also as older versions wrote them: label counts that, for numbers, were mean and deviation."""
    if "statistics" in values:
        return Statistics(**values.pop("statistics"))
    counts, rows = values.pop("label_counts"), splits["train"].rows
    return Statistics(rows, **counts) if "deviation" in counts and not values["labels"] else Statistics(rows, counts)


def _split(value: dict) -> Split:
    lanes = tuple(tuple(SnapshotFile(f["path"], tuple(f["row_groups"])) for f in lane) for lane in value["lanes"])
    return Split(lanes, value["length_histogram"])
