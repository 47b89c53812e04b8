"""The manifest of a snapshot: what the encode step wrote, and what the feed checks itself against.

A snapshot is a folder of Parquet files, one sub-folder per split and lane, with ``manifest.json`` beside them. It
holds nothing per row: a table may have billions.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from sparknlp_ft.errors import DataError

FORMAT = 1
FILE_NAME = "manifest.json"

#: Columns of a snapshot's Parquet files. None is ever NULL. Petastorm refuses ragged lists, hence packed binaries.
#:   row     int64   hash of the key (xxhash64): seeds random windows, orders outcomes
#:   ids     binary  int32 little-endian token ids of the text, without specials, full length
#:   pair    binary  the same of the second text; empty where the task has none
#:   length  int32   number of ids in both
#:   target  binary  as the task encodes it
COLUMNS = ("row", "ids", "pair", "length", "target")


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

    path: str  #: absolute folder of the snapshot
    table: str
    table_id: str
    version: int
    task: str
    tokenizer: str  #: fingerprint
    has_pair: bool
    labels: tuple[str, ...]
    label_counts: Mapping[str, float]  #: rows of train by label; for numbers their mean and deviation
    splits: Mapping[str, Split]  #: "train", "validation" and, if the table has one, "test"
    left_out: Mapping[str, int] = field(default_factory=dict)  #: rows that are in no split, by reason

    def save(self) -> None:
        """Write ``manifest.json``: last, so that a snapshot without it is unfinished and is built again."""
        target = Path(self.path) / FILE_NAME
        partial = target.with_suffix(".part")
        partial.write_text(json.dumps({"format": FORMAT, **asdict(self)}, ensure_ascii=False), encoding="utf-8")
        partial.replace(target)

    @classmethod
    def load(cls, folder: str | Path) -> Manifest:
        """Read the manifest of a snapshot folder.

        Raises:
            DataError: There is none, or it is of another format.
        """
        path = Path(folder) / FILE_NAME
        if not path.is_file():
            raise DataError(f"{str(folder)!r} is not a snapshot: it has no {FILE_NAME}")
        values = json.loads(path.read_text(encoding="utf-8"))
        if values.pop("format", None) != FORMAT:
            raise DataError(f"snapshot {str(folder)!r} is of another format than {FORMAT}; delete the folder to build it again")
        splits = {name: _split(value) for name, value in values.pop("splits").items()}
        return cls(**{**values, "path": str(Path(folder).absolute()), "labels": tuple(values["labels"]), "splits": splits})


def _split(value: dict) -> Split:
    lanes = tuple(tuple(SnapshotFile(f["path"], tuple(f["row_groups"])) for f in lane) for lane in value["lanes"])
    return Split(lanes, value["length_histogram"])
