"""Folders: what is published is there whole or not at all, on a disk and on a storage that knows whole objects alone."""

from __future__ import annotations

import errno
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from whole_objects import WholeObjects

from sparknlp_ft.storage import Folder, is_url


@pytest.fixture(params=["disk", "whole objects"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    return Folder(str(tmp_path / "store") if request.param == "disk" else f"whole://{tmp_path}/store")


def test_what_was_written_is_listed_read_and_deleted(folder: Folder) -> None:
    assert folder.names() == [] and not folder.has("a.json") and folder.read_json("a.json") is None
    folder.write_json("a.json", {"x": "é"})
    (folder / "inner").write("b", b"12")
    assert folder.names() == ["a.json", "inner"] and folder.has("inner")
    assert folder.read_json("a.json") == {"x": "é"} and (folder / "inner").open("b").read() == b"12"
    folder.delete("inner")
    folder.delete("inner")
    assert folder.names() == ["a.json"]
    folder.delete()
    assert folder.names() == []


def test_an_object_that_was_cut_short_is_not_there(folder: Folder) -> None:
    folder.write("a.json", b'{"x": 1')
    folder.write("b.json", b"")
    assert folder.read_json("a.json") is None and folder.read_json("b.json") is None


def test_a_folder_that_can_be_written_is_left_as_it_was(folder: Folder, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    assert folder.obstacle() is None and not folder.names()
    assert folder.address.startswith("whole:") or sorted(tmp_path.rglob("*")) == before, "no local folder is made"
    folder.write("a", b"1")
    assert folder.obstacle() is None and folder.names() == ["a"]


class Refusing(WholeObjects):
    """A store whose client lets some write nothing at all, and is full after half an object for others."""

    protocol = "refusing"

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        if "forbidden" in path:
            raise ValueError("AccessDenied: not authorized to perform: s3:PutObject\nrequest 17")
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_folder_that_cannot_be_written_says_why_and_nothing_is_left(tmp_path: Path) -> None:
    fsspec.register_implementation("refusing", Refusing, clobber=True)
    (tmp_path / "file").write_text("x")
    for name in ("file", "file/runs"):
        assert Folder(str(tmp_path / name)).obstacle() == f"{str(tmp_path / 'file')!r} is no folder"
    assert Folder(f"refusing://{tmp_path}/forbidden").obstacle() == "AccessDenied: not authorized to perform: s3:PutObject"
    assert Folder(f"refusing://{tmp_path}/full").obstacle() == "No space left on device"
    assert "nosuch" in str(Folder("nosuch://bucket/runs").obstacle())
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["file"]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "model" / "inner").mkdir(parents=True)
    (tmp_path / "model" / "weights").write_bytes(bytes(range(256)) * 99)
    (tmp_path / "model" / "inner" / "note").write_text("text")
    return tmp_path / "model"


def test_a_published_folder_is_whole_and_has_a_local_copy(folder: Folder, model: Path) -> None:
    assert folder.published("m") is None
    folder.publish("m", model, {"epoch": 3})
    assert folder.published("m")["epoch"] == 3 and folder.damage("m") is None  # type: ignore[index]
    with (folder / "m").local() as local:
        assert (local / "weights").read_bytes() == (model / "weights").read_bytes()
        assert (local / "inner" / "note").read_text() == "text"
    folder.publish("m", model)
    assert folder.published("m").keys() == {"files"}  # type: ignore[union-attr]
    folder.withdraw("m")
    assert folder.published("m") is None and not folder.has("m")


def test_a_folder_that_was_cut_off_while_it_was_published_is_not_there(
    folder: Folder, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.publish("m", model)
    copied: list[str] = []

    def copy(self: Folder, source: Path, name: str) -> str:
        if copied:
            raise KeyboardInterrupt
        copied.append(name)
        return real(self, source, name)

    real = Folder._copy
    with monkeypatch.context() as patch:
        patch.setattr(Folder, "_copy", copy)
        with pytest.raises(KeyboardInterrupt):
            folder.publish("m", model)
    assert folder.published("m") is None and folder.has("m")
    folder.publish("m", model)
    assert folder.damage("m") is None


def test_damage_is_named(folder: Folder, model: Path) -> None:
    folder.publish("m", model)
    (folder / "m").write("weights", b"other")
    assert folder.damage("m") == "weights is not what was written: its digest differs"
    (folder / "m").delete("weights")
    assert folder.damage("m") == "weights is missing"
    folder.write("m.whole.json", b"{")
    assert folder.damage("m") == "its marker m.whole.json is missing or cut short"


@pytest.fixture
def stream(tmp_path: Path) -> Iterator[io.IOBase]:
    with Folder(f"whole://{tmp_path}").open("new", "wb") as opened:
        yield opened  # type: ignore[misc]


def test_the_storage_of_whole_objects_refuses_what_object_stores_refuse(tmp_path: Path, stream: io.IOBase) -> None:
    folder = Folder(f"whole://{tmp_path}")
    folder.write("there", b"1")
    for mode in ("ab", "r+b"):
        with pytest.raises(io.UnsupportedOperation):
            folder.open("there", mode)
    for refused in (lambda: stream.seek(0), lambda: stream.truncate(0), lambda: folder.files.mv("/a", "/b")):
        with pytest.raises(io.UnsupportedOperation):
            refused()
    assert not folder.has("new"), "an object is there when it is closed"


@pytest.mark.parametrize(
    ("text", "expected"), [("s3://a/b", True), ("dbfs:/a", True), ("/a/b", False), ("a:b", False), ("schema.table", False)]
)
def test_an_address_is_told_from_a_path(text: str, expected: bool) -> None:
    assert is_url(text) == expected


def test_what_databricks_mounts_is_a_folder() -> None:
    assert Folder("dbfs:/lake/runs").path == "/dbfs/lake/runs" and Folder("file:///tmp/x/").path == "/tmp/x"
