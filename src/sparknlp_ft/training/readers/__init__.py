"""Readers of a snapshot's Parquet files, one file each: ``launch.reader`` names the module.

Each has a function ``read_row_groups`` that keeps ``ReadRowGroups``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Protocol

import numpy as np


class ReadRowGroups(Protocol):
    """Reads Parquet files, one row group at a time, in the order of the files and of the groups in them."""

    def __call__(self, filesystem: Any, paths: Sequence[str], columns: Sequence[str]) -> Iterator[dict[str, np.ndarray]]:
        """Yield one array of [rows] for each column; binary columns as objects of type bytes.

        Args:
            filesystem: An fsspec filesystem.
            paths: Files, at least one; each has a row group.
            columns: Columns wanted; none may hold NULL.
        """


def reader_names() -> list[str]:
    """Return the names of all readers, without importing any."""
    return sorted(found.name for found in iter_modules(__path__))


def get_reader(name: str) -> ReadRowGroups:
    """Return a reader by its name; its library is imported now."""
    read: ReadRowGroups = import_module(f"{__name__}.{name}").read_row_groups
    return read
