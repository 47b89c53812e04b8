"""Arrow's own Parquet reader: one row group at a time, the next one read by a thread while this one is worked on."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


def read_row_groups(filesystem: Any, paths: Sequence[str], columns: Sequence[str]) -> Iterator[dict[str, np.ndarray]]:
    """Read Parquet files as ``ReadRowGroups`` says."""
    groups = _tables(filesystem, paths, columns)
    # One thread, so that files are opened, read and closed in their order and by nobody else.
    with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as reader:
        ahead = reader.submit(next, groups, None)
        try:
            while (table := ahead.result()) is not None:
                ahead = reader.submit(next, groups, None)
                yield {name: _array(table.column(name)) for name in columns}
        finally:
            reader.submit(groups.close)


def _tables(filesystem: Any, paths: Sequence[str], columns: Sequence[str]) -> Generator[pa.Table, None, None]:
    for path in paths:
        with filesystem.open(path) as handle, pq.ParquetFile(handle) as file:
            for number in range(file.num_row_groups):
                if file.metadata.row_group(number).num_rows:
                    yield file.read_row_group(number, columns=list(columns), use_threads=False)


def _array(column: pa.ChunkedArray) -> np.ndarray:
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        # By way of a list: numpy would make texts of fixed length of them, and cut their zeros off.
        values = np.empty(len(column), dtype=object)
        values[:] = column.to_pylist()
        return values
    return column.to_numpy()
