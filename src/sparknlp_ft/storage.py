"""Folders on any storage that fsspec knows, written as object stores are: whole objects, listed and read.

Nothing is appended to, written into or renamed, so a local disk, a mounted volume (Databricks) and an object store serve
alike. What must be there whole or not at all is published: its objects first, then, beside them, a marker that names each
with its digest. Small objects are JSON, which cut short does not parse: such a one counts as not there.
"""

from __future__ import annotations

import atexit
import errno
import functools
import hashlib
import json
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

#: Bytes that are copied at a time, and of an object that is written to see whether one can be: a full disk has not even these.
_BLOCK, _TRIAL = 8 * 2**20, 4096


def is_url(text: str) -> bool:
    """Whether ``text`` is an address with a scheme, such as ``s3://…`` or ``dbfs:/…``."""
    head, colon, rest = text.partition(":")
    return bool(colon) and rest.startswith("/") and head.isalnum()


def python_address(address: str) -> str:
    """Return an address as Python's file systems write it; Spark calls S3 ``s3a://``, and Databricks mounts ``dbfs:/`` as a folder."""
    scheme, _, rest = address.partition(":")
    if scheme == "dbfs":
        return f"file:///dbfs/{rest.lstrip('/')}"
    return f"s3:{rest}" if scheme in ("s3a", "s3n") else address


@functools.cache
def scratch_of_process(purpose: str) -> Path:
    """Return a local folder that lasts as long as this process."""
    folder = Path(tempfile.mkdtemp(prefix=f"sparknlp_ft-{purpose}-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@dataclass(frozen=True)
class Folder:
    """A folder: an absolute path, or an address with a scheme. It need not exist: objects make it."""

    address: str

    @functools.cached_property
    def _place(self) -> tuple[Any, str]:
        address = python_address(self.address)
        if not is_url(address):
            return LocalFileSystem(auto_mkdir=True), address
        if address.startswith("file:"):
            return LocalFileSystem(auto_mkdir=True), "/" + address.removeprefix("file:").lstrip("/")
        # What a listing said is not kept: another process may have written meanwhile, and s3fs would read the object that was.
        return fsspec.core.url_to_fs(address, use_listings_cache=False)

    @property
    def files(self) -> Any:
        """The fsspec file system it lies on."""
        return self._place[0]

    @property
    def path(self) -> str:
        """Its path there."""
        return self._place[1].rstrip("/")

    @property
    def name(self) -> str:
        return self.address.rstrip("/").rsplit("/", 1)[-1]

    @property
    def parent(self) -> Folder:
        return Folder(self.address.rstrip("/").rsplit("/", 1)[0])

    def __truediv__(self, name: str) -> Folder:
        return Folder(f"{self.address.rstrip('/')}/{name}")

    def names(self) -> list[str]:
        """Return the names of what is directly in it, sorted; nothing if it is not there."""
        self.files.invalidate_cache(self.path)
        try:
            found = self.files.ls(self.path, detail=False)
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted({str(one).rstrip("/").rsplit("/", 1)[-1] for one in found})

    def has(self, name: str) -> bool:
        """Whether an object or a folder of this name is there."""
        self.files.invalidate_cache(self.path)
        return bool(self.files.exists(f"{self.path}/{name}"))

    def open(self, name: str, mode: str = "rb") -> IO[bytes]:
        """Open an object to be read (``rb``), or a new one to be written from its start to its end (``wb``)."""
        return self.files.open(f"{self.path}/{name}", mode)

    def write(self, name: str, content: bytes) -> None:
        """Write an object."""
        with self.open(name, "wb") as stream:
            stream.write(content)

    def write_json(self, name: str, values: Mapping[str, Any]) -> None:
        """Write plain values as an object."""
        self.write(name, json.dumps(values, ensure_ascii=False).encode("utf-8"))

    def read_json(self, name: str) -> dict[str, Any] | None:
        """Return what ``write_json`` wrote; None if it is not there, or not whole."""
        try:
            # In one request: s3fs opens with one and reads with another, and refuses an object that was overwritten in between.
            return json.loads(self.files.cat_file(f"{self.path}/{name}"))
        except (FileNotFoundError, ValueError):
            return None

    def delete(self, name: str | None = None) -> None:
        """Delete an object or a folder in it, or the folder itself, with all that is in it; nothing if it is not there."""
        path = self.path if name is None else f"{self.path}/{name}"
        self.files.invalidate_cache(self.path)
        try:
            self.files.rm(path, recursive=True)
        except FileNotFoundError:
            return

    def obstacle(self) -> str | None:
        """Say why nothing can be written to the folder; None if an object could be: it is deleted at once.

        A local folder that is not there is not made: the nearest one above it is tried, in which it would be made.
        """
        name, place = f".trial-{uuid.uuid4().hex}", self
        try:
            place = self._made()
            place.write(name, bytes(_TRIAL))
            place.delete(name)
        except Exception as error:  # Clients of object stores have errors of their own.
            with suppress(Exception):
                place.delete(name)  # A full disk leaves an object without its content.
            reason = getattr(error, "strerror", None) or str(error).strip().partition("\n")[0] or type(error).__name__
            return reason if place is self else f"{reason} ({place.address!r})"
        return None

    def _made(self) -> Folder:
        """Return the folder itself, if objects make it or it is there, or else the nearest one above it."""
        if not isinstance(self.files, LocalFileSystem):
            return self
        path = Path(self.path)
        nearest = next(one for one in (path, *path.parents) if one.exists())
        if not nearest.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, f"{str(nearest)!r} is no folder")
        return self if nearest == path else Folder(str(nearest))

    def publish(self, name: str, source: str | Path, values: Mapping[str, Any] | None = None) -> Folder:
        """Copy a local folder to ``name``, and mark it as whole when all is there; what was left of an earlier try goes first.

        Args:
            name: Of the new folder.
            source: A local folder of files.
            values: Further plain values, kept in the marker.

        Returns:
            The new folder.
        """
        target = self / name
        self.delete(_marker(name))
        target.delete()
        digests = {file: target._copy(Path(source) / file, file) for file in _files_in(Path(source))}
        self.write_json(_marker(name), {"files": digests, **(values or {})})
        return target

    def published(self, name: str) -> dict[str, Any] | None:
        """Return the marker of a published folder, with ``files``: file → digest; None if it is not whole."""
        return self.read_json(_marker(name))

    def damage(self, name: str) -> str | None:
        """Say what is wrong with a published folder; None if each of its files is what was published."""
        marker = self.published(name)
        if marker is None:
            return f"its marker {_marker(name)} is missing or cut short"
        for file, digest in marker["files"].items():
            try:
                with (self / name).open(file) as stream:
                    found = hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]
            except FileNotFoundError:
                return f"{file} is missing"
            if found != digest:
                return f"{file} is not what was written: its digest differs"
        return None

    def withdraw(self, name: str) -> None:
        """Delete a published folder, the marker first."""
        self.delete(_marker(name))
        self.delete(name)

    @contextmanager
    def local(self) -> Iterator[Path]:
        """Give a local folder with its files: itself, or a copy for the time of a block."""
        if isinstance(self.files, LocalFileSystem):
            yield Path(self.path)
            return
        with tempfile.TemporaryDirectory(prefix="sparknlp_ft-copy-") as scratch:
            self.fetch(Path(scratch) / self.name)
            yield Path(scratch) / self.name

    def fetch(self, target: Path) -> None:
        """Copy all files to a new local folder."""
        target.mkdir(parents=True, exist_ok=True)
        for path in self.files.find(self.path):
            inner = str(path).removeprefix(self.path).lstrip("/")
            (target / inner).parent.mkdir(parents=True, exist_ok=True)
            self.files.get_file(path, str(target / inner))

    def _copy(self, source: Path, name: str) -> str:
        """Copy a local file to an object, and return its digest."""
        digest = hashlib.sha256()
        with source.open("rb") as local, self.open(name, "wb") as stream:
            while block := local.read(_BLOCK):
                digest.update(block)
                stream.write(block)
        return digest.hexdigest()


def _marker(name: str) -> str:
    return f"{name}.whole.json"


def _files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
