"""What the log of a Delta folder on this machine says, read as the files it is: the columns and the last commits, without a JVM.

Whether a column is there can so be told in a moment. Rows are read by Spark alone, and so is every table elsewhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparknlp_ft.tables.delta import TableRef

if TYPE_CHECKING:
    from pyspark.sql import types as T

LOG = "_delta_log"

_COMMIT = re.compile(r"(\d{20})\.json")
_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint(?:\.\d{10}\.\d{10})?\.parquet")


@dataclass(frozen=True)
class Columns:
    """The columns of a table version, as ``contracts`` asks a data frame for them."""

    version: int
    schema: T.StructType
    table_id: str

    @property
    def columns(self) -> Sequence[str]:
        return self.schema.names


def local_folder(ref: TableRef) -> Path | None:
    """Return the folder of a table by path, if the path may be one of this machine."""
    path = (ref.path or "").removeprefix("file://").removeprefix("file:")
    return Path(path) if path.startswith("/") else None


def columns_of(ref: TableRef, version: int | None = None) -> Columns | None:
    """Return the columns of a table; None where its log is not on this machine or is not one that is understood.

    Args:
        ref: The table.
        version: Which; default: the latest.
    """
    from pyspark.sql import types as T

    folder = local_folder(ref)
    if folder is None or not (folder / LOG).is_dir():
        return None
    names = [path.name for path in (folder / LOG).iterdir()]
    commits = _numbers(names, _COMMIT, version)
    checkpoints = _numbers(names, _CHECKPOINT, version)
    latest = max([*commits, *checkpoints], default=-1)
    table = _newest_metadata(folder / LOG, commits, checkpoints)
    if table is None or (version is not None and latest != version):
        return None
    return Columns(latest, T.StructType.fromJson(json.loads(table["schemaString"])), str(table["id"]))


def commits_of(folder: Path, most: int) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield the last commits of a table, each with what it says of itself, the latest first, as long as none between them is gone."""
    numbers = sorted(_numbers([path.name for path in (folder / LOG).iterdir()], _COMMIT, None), reverse=True)
    for at, number in enumerate(numbers[:most]):
        if number != numbers[0] - at:
            return
        yield number, next((action["commitInfo"] for action in _actions(folder / LOG, number) if action.get("commitInfo")), {})


def tables_beside(ref: TableRef) -> list[str] | None:
    """Return the names of the Delta tables in the folder that a table is looked for in; None where that is not on this machine."""
    folder = local_folder(ref)
    if folder is None:
        return None
    return sorted(path.parent.name for path in folder.parent.glob(f"*/{LOG}"))


def _numbers(names: Sequence[str], form: re.Pattern[str], version: int | None) -> list[int]:
    found = [int(match[1]) for name in names if (match := form.fullmatch(name))]
    return [number for number in found if version is None or number <= version]


def _actions(log: Path, number: int) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (log / f"{number:020d}.json").read_text(encoding="utf-8").splitlines() if line.strip()]


def _newest_metadata(log: Path, commits: Sequence[int], checkpoints: Sequence[int]) -> dict[str, Any] | None:
    """Look through the commits back to the last checkpoint, and then into that."""
    last = max(checkpoints, default=-1)
    for number in sorted((one for one in commits if one > last), reverse=True):
        if (found := _metadata_in(_actions(log, number))) is not None:
            return found
    if last < 0:
        return None
    import pyarrow.parquet as pq

    parts = [path for path in sorted(log.glob(f"{last:020d}.checkpoint*.parquet")) if "metaData" in pq.read_schema(path).names]
    read = (_metadata_in(pq.read_table(part, columns=["metaData"]).to_pylist()) for part in parts)
    return next((found for found in read if found is not None), None)


def _metadata_in(actions: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    return next((action["metaData"] for action in actions if action.get("metaData")), None)
