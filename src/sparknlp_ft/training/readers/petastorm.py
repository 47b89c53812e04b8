"""Petastorm 0.13 on current pyarrow and numpy; the only file that imports it.

Petastorm is the reader of the snapshot's Parquet files: one reader per lane and epoch, one worker thread each, so that
row groups come in the order of the list of files. Two things are mended here, for petastorm's own modules alone:

* It uses names that pyarrow and numpy have removed (``pyarrow.filesystem``, ``pyarrow.hdfs``, the old
  ``pq.ParquetDataset`` with its pieces, ``np.string_``, ``np.unicode_``).
* Its thread pool ends an epoch early when the consumer is faster than the thread that hands out row groups:
  ``get_results`` asks whether all work is done before it asks whether all work was handed out, and what is handed out
  between the two questions is lost, silently. ``OneWorkerPool`` asks in the other order.

``Reader`` is built directly rather than by ``make_batch_reader``, which takes URLs apart and so breaks on paths that
hold ``#`` or ``?``.
"""

from __future__ import annotations

import queue
import sys
import types
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow.parquet as pq


class _OldNumpy(types.ModuleType):
    """numpy, with the names that version 2 removed."""

    def __getattr__(self, name: str) -> Any:
        return getattr(np, {"string_": "bytes_", "unicode_": "str_"}.get(name, name))


class _Piece:
    """One Parquet file, or one row group of it; stands for pyarrow's former ``ParquetDatasetPiece``."""

    def __init__(self, path: str, open_file_func: Any, row_group: int | None = None, partition_keys: Any = None) -> None:
        self.path, self.open_file_func, self.row_group, self.partition_keys = path, open_file_func, row_group, partition_keys

    def get_metadata(self) -> Any:
        with self.open_file_func(self.path) as handle:
            return pq.read_metadata(handle)

    def read(self, columns: Any, partitions: Any = None) -> Any:
        with self.open_file_func(self.path) as handle, pq.ParquetFile(handle) as file:
            return file.read_row_group(self.row_group, columns=sorted(columns), use_threads=False)


class _Dataset:
    """A list of Parquet files; stands for pyarrow's former ``ParquetDataset``. No partitions and no metadata files."""

    def __init__(self, paths: Sequence[str], filesystem: Any = None, **_: Any) -> None:
        self.paths, self.fs = list(paths), filesystem
        self.partitions = self.metadata = self.common_metadata = None
        self.pieces = [_Piece(path, filesystem.open) for path in self.paths]


def _import_petastorm() -> types.SimpleNamespace:
    placeholders = {"pyarrow.filesystem": "LocalFileSystem", "pyarrow.hdfs": "HadoopFileSystem"}
    for name, attribute in placeholders.items():
        sys.modules[name] = types.ModuleType(name)
        setattr(sys.modules[name], attribute, type(attribute, (), {}))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            from petastorm import arrow_reader_worker, reader, unischema
            from petastorm.etl import dataset_metadata
            from petastorm.workers_pool import EmptyResultError, VentilatedItemProcessedMessage
            from petastorm.workers_pool.thread_pool import ThreadPool
    finally:
        for name in placeholders:
            del sys.modules[name]
    parquet = types.SimpleNamespace(ParquetDataset=_Dataset, ParquetDatasetPiece=_Piece)
    reader.pq = arrow_reader_worker.pq = dataset_metadata.pq = parquet
    arrow_reader_worker.np = unischema.np = _OldNumpy("numpy")
    # The worker opens each file once more for a ParquetFile that only its predicates use; a snapshot is read whole.
    arrow_reader_worker.ParquetFile = lambda handle: handle.close()
    return types.SimpleNamespace(
        Reader=reader.Reader,
        Worker=arrow_reader_worker.ArrowReaderWorker,
        ThreadPool=ThreadPool,
        EmptyResultError=EmptyResultError,
        ItemDone=VentilatedItemProcessedMessage,
    )


_petastorm = _import_petastorm()


class OneWorkerPool(_petastorm.ThreadPool):  # type: ignore[name-defined]
    """Petastorm's thread pool with one worker, and the questions that end an epoch asked in the right order."""

    #: Row groups read ahead.
    READ_AHEAD = 2

    def __init__(self) -> None:
        super().__init__(workers_count=1)

    def start(self, *args: Any, **kwargs: Any) -> None:
        super().start(*args, **kwargs)
        self._results_queues[0].maxsize = self.READ_AHEAD  # The pool itself allows no less than 5.

    def get_results(self) -> Any:
        """Return the next row group; raise EmptyResultError after the last, or what went wrong in the worker."""
        while True:
            all_handed_out = self._ventilator.completed()  # Must be read before all_workers_done().
            if all_handed_out and self.all_workers_done():
                raise _petastorm.EmptyResultError()
            try:
                result = self._results_queues[0].get(timeout=0.05)
            except queue.Empty:
                continue
            if isinstance(result, _petastorm.ItemDone):
                self._ventilated_items_processed_by_worker[0] += 1
                self._ventilator.processed_item()
            elif isinstance(result, Exception):
                raise result
            else:
                return result


def read_row_groups(filesystem: Any, paths: Sequence[str], columns: Sequence[str]) -> Iterator[dict[str, np.ndarray]]:
    """Read Parquet files, one row group at a time, in the order of ``paths``.

    Args:
        filesystem: An fsspec filesystem.
        paths: Files, at least one.
        columns: Columns wanted; none may hold NULL (Petastorm turns NULL integers into NaN).

    Yields:
        One array of [rows] for each column; binary columns as objects of type bytes.
    """
    reader = _petastorm.Reader(
        filesystem,
        list(paths),
        schema_fields=list(columns),
        reader_pool=OneWorkerPool(),
        worker_class=_petastorm.Worker,
        is_batched_reader=True,
        shuffle_row_groups=False,
        num_epochs=1,
    )
    try:
        for batch in reader:
            yield {name: getattr(batch, name) for name in columns}
    finally:
        reader.stop()
        reader.join()
