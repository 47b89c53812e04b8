"""Folders and small files where tables lie: what Spark can reach, these can; behind Spark Connect, what Python can reach."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sparknlp_ft.sessions import hadoop_files
from sparknlp_ft.storage import Folder

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def path_exists(spark: SparkSession, path: str) -> bool:
    """Whether a file or a folder is there."""
    if (there := hadoop_files(spark, path)) is None:
        folder, name = _apart(path)
        return folder.has(name)
    files, where = there
    return bool(files.exists(where))


def listing(spark: SparkSession, path: str) -> list[str]:
    """Return the sorted names in a folder (the name itself for a file); empty if there is none."""
    if (there := hadoop_files(spark, path)) is None:
        return Folder(path).names()
    files, where = there
    return sorted(status.getPath().getName() for status in files.listStatus(where)) if files.exists(where) else []


def delete_folder(spark: SparkSession, path: str) -> None:
    """Delete a folder and all that is in it, on whichever file system it lies."""
    if (there := hadoop_files(spark, path)) is None:
        Folder(path).delete()
        return
    files, where = there
    files.delete(where, True)


def write_json(spark: SparkSession, path: str, values: Mapping[str, Any]) -> None:
    """Write plain values as a whole file."""
    if (there := hadoop_files(spark, path)) is None:
        folder, name = _apart(path)
        folder.write_json(name, values)
        return
    files, where = there
    stream = files.create(where, True)
    try:
        stream.write(bytearray(json.dumps(values).encode()))
    finally:
        stream.close()


def read_json(spark: SparkSession, path: str) -> dict[str, Any] | None:
    """Return what ``write_json`` wrote; None if it is not there, or not whole."""
    if (there := hadoop_files(spark, path)) is None:
        folder, name = _apart(path)
        return folder.read_json(name)
    files, where = there
    if not files.exists(where):
        return None
    stream = files.open(where)
    try:
        text = bytes(stream.readAllBytes()).decode()
    finally:
        stream.close()
    try:
        return json.loads(text)
    except ValueError:
        return None


def modified(spark: SparkSession, path: str) -> float | None:
    """Return when a file was written, in seconds by the file system's own clock; None if it is not there."""
    if (there := hadoop_files(spark, path)) is None:
        folder, name = _apart(path)
        return folder.files.modified(f"{folder.path}/{name}").timestamp() if folder.has(name) else None
    files, where = there
    return files.getFileStatus(where).getModificationTime() / 1000 if files.exists(where) else None


def _apart(path: str) -> tuple[Folder, str]:
    folder = Folder(path)
    return folder.parent, folder.name
