"""Finding source files, on the driver, and opening them, anywhere.

Files are local, on storage that all machines mount, or at an address that pyarrow knows (``s3://``, ``gs://``, ``hdfs://``).
Compressed files (by their ending: .gz, .bz2, .zst) are read as they are.
"""

from __future__ import annotations

import glob
import io
from pathlib import Path, PurePosixPath
from typing import IO

from sparknlp_ft.config import SourceConfig
from sparknlp_ft.errors import DataError, nearest
from sparknlp_ft.storage import is_url, python_address

#: Endings that count when a folder is given.
ENDINGS = {
    "csv": (".csv",),
    "tsv": (".tsv", ".tab", ".txt"),
    "alpha_tsv": (".tsv", ".tab", ".txt"),
    "jsonl": (".jsonl", ".json", ".ndjson"),
    "json": (".json",),
    "squad": (".json",),
    "snips": (".json",),
    "conll": (".conll", ".txt", ".tsv", ".bio", ".iob", ".iob2", ".bioes"),
    "parquet": (".parquet",),
}
COMPRESSED = (".gz", ".bz2", ".zst", ".lz4")


def list_files(source: SourceConfig) -> list[tuple[str, int]]:
    """Return path and bytes of each file of a source, sorted by path.

    Raises:
        DataError: Nothing fits.
    """
    if source.format == "lines":
        # A row is made of all the files: their folder stands for them.
        listed = [list_files(SourceConfig(format="tsv", path=path)) for path in line_files(source.path, source).values()]
        return [(source.path, sum(size for files in listed for _, size in files))]
    found = _list_remote(source) if is_url(source.path) else _list_local(source)
    if found:
        return sorted(found)
    path = Path(source.path)
    if path.is_dir():
        raise DataError(f"folder {source.path!r} holds no {'/'.join(ENDINGS[source.format])} file; name the files, or another format")
    siblings = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
    raise DataError(f"source {source.path!r} does not exist.{nearest(path.name, siblings)} Correct data.sources[].path.")


def line_files(folder: str, source: SourceConfig) -> dict[str, str]:
    """Return the path of each column's file, for parallel line files."""
    return {name: f"{folder.rstrip('/')}/{file}" for name, file in source.files.items()}


def open_bytes(path: str) -> IO[bytes]:
    """Open a file for reading, decompressed by its ending."""
    if not is_url(path) and not path.endswith(COMPRESSED):
        return Path(path).open("rb")
    from pyarrow import fs

    filesystem, inner = fs.FileSystem.from_uri(python_address(path)) if is_url(path) else (fs.LocalFileSystem(), path)
    # Only what is not compressed can be read from the middle.
    opened = filesystem.open_input_stream if path.endswith(COMPRESSED) else filesystem.open_input_file
    return io.BufferedReader(opened(inner))


def _fits(name: str, source: SourceConfig) -> bool:
    base = name.lower()
    for ending in COMPRESSED:
        base = base.removesuffix(ending)
    return base.endswith(ENDINGS[source.format])


def _list_local(source: SourceConfig) -> list[tuple[str, int]]:
    path = Path(source.path)
    if path.is_file():
        return [(str(path), path.stat().st_size)]
    if path.is_dir():
        _refuse_tables(path)
        inside = [p for p in path.rglob("*") if p.is_file() and _fits(p.name, source) and _visible(p.relative_to(path).parts)]
    else:
        inside = [p for p in map(Path, glob.glob(source.path, recursive=True)) if p.is_file()]  # noqa: PTH207 (Path.glob takes no absolute pattern)
    return [(str(p), p.stat().st_size) for p in inside]


def _refuse_tables(folder: Path) -> None:
    """Refuse a folder whose files alone do not say what its rows are."""
    if (folder / "_delta_log").is_dir():
        raise DataError(
            f"source {str(folder)!r} is a Delta table, whose files also hold rows that were changed or deleted; "
            "no ingest is needed: give it as data.table"
        )
    if (part := next((p for p in folder.iterdir() if p.is_dir() and "=" in p.name), None)) is not None:
        raise DataError(
            f"source {str(folder)!r} is partitioned: folder {part.name!r} holds a column's value, which its files lack. "
            f"Give a source for each such folder, for example {{path: {part}, split: {part.name.partition('=')[2]}}}"
        )


def _list_remote(source: SourceConfig) -> list[tuple[str, int]]:
    from pyarrow import fs

    try:
        filesystem, inner = fs.FileSystem.from_uri(python_address(source.path))
        info = filesystem.get_file_info(inner)
        if info.type == fs.FileType.File:
            return [(source.path, info.size)]
        if info.type != fs.FileType.Directory:
            return []
        entries = filesystem.get_file_info(fs.FileSelector(inner, recursive=True))
    except (OSError, ValueError) as error:
        raise DataError(f"source {source.path!r} cannot be read: {error}") from error
    below = [(PurePosixPath(e.path).relative_to(PurePosixPath(inner)), e.size) for e in entries if e.type == fs.FileType.File]
    return [(f"{source.path.rstrip('/')}/{p}", size) for p, size in below if _fits(p.name, source) and _visible(p.parts)]


def _visible(parts: tuple[str, ...]) -> bool:
    return not any(part.startswith(("_", ".")) for part in parts)
