"""A folder that behaves as a Databricks Volume does under its mount: files are written once, from their start to their end.

``SPARKNLP_FT_TEST_VOLUME`` names the folder. In every Python process of a test (``sitecustomize``) opening a file in it to append or to
change it is refused, and so are writing anywhere but at its end, cutting it, and links. What C libraries write by themselves is not
seen; neither is the JVM.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import sys
from pathlib import Path
from typing import Any

VARIABLE = "SPARKNLP_FT_TEST_VOLUME"

#: What Python tells its audit hooks of, and a Volume refuses.
REFUSED = ("os.truncate", "os.link", "os.symlink", "os.setxattr")


def mount(folder: str) -> None:
    """Refuse from now on, in this process, what such a folder refuses; there is no way back."""
    prefix, opened = f"{Path(folder).resolve()}{os.sep}", io.open

    def inside(path: Any) -> bool:
        # Not Path.resolve, which looks at the disk: this is asked for every file that any library opens.
        return isinstance(path, str | os.PathLike) and os.path.abspath(os.fsdecode(path)).startswith(prefix)  # noqa: PTH100

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event == "open" and inside(args[0]):
            mode, flags = args[1] or "", args[2] or 0
            if "a" in mode or "+" in mode or flags & (os.O_APPEND | os.O_RDWR):
                raise refusal(args[0])
        elif event in REFUSED and any(inside(one) for one in args):
            raise refusal(args[0])

    def open_(file: Any, mode: str = "r", buffering: int = -1, encoding: Any = None, errors: Any = None, newline: Any = None, *more: Any,
              **options: Any) -> Any:  # fmt: skip
        if not (set(mode) & set("wx")) or not inside(file):
            return opened(file, mode, buffering, encoding, errors, newline, *more, **options)
        raw = Sequential(file, mode.replace("b", "").replace("t", ""))
        if buffering == 0:
            return raw
        stream = io.BufferedWriter(raw)
        return stream if "b" in mode else io.TextIOWrapper(stream, encoding, errors, newline)

    sys.addaudithook(hook)
    builtins.open = io.open = open_  # type: ignore[assignment]


def refusal(path: Any) -> OSError:
    return OSError(errno.EOPNOTSUPP, "Operation not supported", str(path))


class Sequential(io.FileIO):
    """A new file that takes bytes at its end alone."""

    def write(self, content: Any) -> int:
        if self.tell() != os.fstat(self.fileno()).st_size:
            raise refusal(self.name)
        return super().write(content)

    def truncate(self, size: int | None = None) -> int:
        raise refusal(self.name)
