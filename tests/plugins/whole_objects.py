"""A file system as object stores and mounted volumes are: whole objects, and nothing else. ``whole:///folder/object``.

It refuses to append, to write anywhere but at the end of a new object, and to move or copy over what is there; an object can
be seen once it is closed, and a folder is there as long as an object is in it. What breaks here would break on S3, ABFS or a
Databricks Volume.
"""

from __future__ import annotations

import io
import os
import shutil
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fsspec import AbstractFileSystem


class WholeObjects(AbstractFileSystem):
    """Objects kept as files of the local disk."""

    protocol = "whole"
    root_marker = "/"

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(one) for one in path]
        return "/" + str(path).removeprefix("whole://").strip("/")

    def _open(self, path: str, mode: str = "rb", **_: Any) -> Any:
        if mode == "rb":
            return Path(path).open("rb")
        if mode not in ("wb", "xb"):
            raise io.UnsupportedOperation(f"mode {mode!r}: objects are read, or written whole")
        return _NewObject(Path(path))

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        place = Path(self._strip_protocol(path))
        if not place.exists():
            raise FileNotFoundError(path)
        found = [self._described(one) for one in (sorted(place.iterdir()) if place.is_dir() else [place]) if not one.name.startswith(".")]
        return found if detail else [one["name"] for one in found]

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        place = Path(self._strip_protocol(path))
        if not place.exists():
            raise FileNotFoundError(path)
        return self._described(place)

    def modified(self, path: str) -> datetime:
        return datetime.fromtimestamp(Path(self._strip_protocol(path)).stat().st_mtime, tz=UTC)

    def rm(self, path: Any, recursive: bool = False, maxdepth: int | None = None) -> None:
        for one in path if isinstance(path, list) else [path]:
            place = Path(self._strip_protocol(one))
            if not place.exists():
                raise FileNotFoundError(one)
            shutil.rmtree(place) if place.is_dir() else place.unlink()

    def mkdir(self, path: str, create_parents: bool = True, **_: Any) -> None:
        """Do nothing: objects make folders."""

    def mv(self, *_: Any, **__: Any) -> None:
        raise io.UnsupportedOperation("objects are not renamed")

    def cp_file(self, path1: str, path2: str, **_: Any) -> None:
        raise io.UnsupportedOperation("objects are not copied over one another")

    def _described(self, place: Path) -> dict[str, Any]:
        return {"name": str(place), "size": place.stat().st_size, "type": "directory" if place.is_dir() else "file"}


class _NewObject(io.RawIOBase):
    """An object in the making: bytes are added at its end, and it is there when it is closed."""

    def __init__(self, place: Path) -> None:
        super().__init__()
        place.parent.mkdir(parents=True, exist_ok=True)
        self._place, self._partial = place, place.with_name(f".{uuid.uuid4().hex}")
        self._stream = self._partial.open("wb")

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def write(self, content: Any) -> int:
        return self._stream.write(content)

    def tell(self) -> int:
        return self._stream.tell()

    def seek(self, *_: Any) -> int:
        raise io.UnsupportedOperation("seek: an object is written from its start to its end")

    def truncate(self, *_: Any) -> int:
        raise io.UnsupportedOperation("truncate: an object is written from its start to its end")

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
            os.replace(self._partial, self._place)  # noqa: PTH105 (atomic, as a store shows an object)
        super().close()
