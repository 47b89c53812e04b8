"""Folders and small files where tables lie: what Spark can reach, these can; behind Spark Connect, what Python can reach."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sparknlp_ft.errors import LaunchError
from sparknlp_ft.sessions import hadoop_files, hadoop_version, java_reason, spark_errors
from sparknlp_ft.storage import Folder

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def path_exists(spark: SparkSession, path: str) -> bool:
    """Whether a file or a folder is there."""
    with _place(spark, path) as there:
        if there is None:
            folder, name = _apart(path)
            return folder.has(name)
        files, where = there
        return bool(files.exists(where))


def listing(spark: SparkSession, path: str) -> list[str]:
    """Return the sorted names in a folder (the name itself for a file); empty if there is none."""
    with _place(spark, path) as there:
        if there is None:
            return Folder(path).names()
        files, where = there
        return sorted(status.getPath().getName() for status in files.listStatus(where)) if files.exists(where) else []


def delete_folder(spark: SparkSession, path: str) -> None:
    """Delete a folder and all that is in it, on whichever file system it lies."""
    with _place(spark, path) as there:
        if there is None:
            Folder(path).delete()
            return
        files, where = there
        files.delete(where, True)


def write_json(spark: SparkSession, path: str, values: Mapping[str, Any]) -> None:
    """Write plain values as a whole file."""
    with _place(spark, path) as there:
        if there is None:
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
    with _place(spark, path) as there:
        if there is None:
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
    with _place(spark, path) as there:
        if there is None:
            folder, name = _apart(path)
            return folder.files.modified(f"{folder.path}/{name}").timestamp() if folder.has(name) else None
        files, where = there
        return files.getFileStatus(where).getModificationTime() / 1000 if files.exists(where) else None


@contextmanager
def _place(spark: SparkSession, path: str) -> Iterator[tuple[Any, Any] | None]:
    """Give Hadoop's file system of a path, and the path as it takes it; None on Connect.

    Raises:
        LaunchError: There is no client for such an address, or it was refused: by what is said, the user can tell which.
    """
    try:
        yield hadoop_files(spark, path)
    except spark_errors() as error:
        if (reason := java_reason(error)) is None:
            raise
        raise LaunchError(f"{path!r} cannot be reached by Spark: {reason}. {_cure(spark, reason)}") from error


def _cure(spark: SparkSession, reason: str) -> str:
    if 'No FileSystem for scheme "s3"' in reason:
        return "Outside Databricks and EMR, Spark calls S3 s3a://: write the address so"
    if "S3AFileSystem not found" in reason:
        return f"Start Spark with --packages org.apache.hadoop:hadoop-aws:{hadoop_version(spark)} (docs/SERVICES.md)"
    return "Correct the address, or what Spark is told of the storage: its endpoint, its credentials"


def _apart(path: str) -> tuple[Folder, str]:
    folder = Folder(path)
    return folder.parent, folder.name
