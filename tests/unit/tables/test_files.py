"""A storage that Spark cannot reach is told with what to do."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from py4j.protocol import Py4JJavaError

from sparknlp_ft.errors import LaunchError
from sparknlp_ft.tables import files


class Refusal(Py4JJavaError):
    """As the JVM's come, without a JVM."""

    def __init__(self, text: str) -> None:
        Exception.__init__(self, text)
        self.java_exception = SimpleNamespace(toString=lambda: f"{text}\n\tat org.apache.hadoop.fs.FileSystem")

    def __str__(self) -> str:
        return "an error"


@pytest.mark.parametrize(
    ("said", "cure"),
    [
        (
            "java.lang.RuntimeException: java.lang.ClassNotFoundException: Class org.apache.hadoop.fs.s3a.S3AFileSystem not found",
            "Start Spark with --packages org.apache.hadoop:hadoop-aws:3.5.0 (docs/SERVICES.md)",
        ),
        (
            'org.apache.hadoop.fs.UnsupportedFileSystemException: No FileSystem for scheme "s3"',
            "Spark calls S3 s3a://: write the address so",
        ),
        ("java.nio.file.AccessDeniedException: s3a://b/lake: 403", "Correct the address, or what Spark is told of the storage"),
    ],
)
def test_it_is_said_what_to_do(monkeypatch: pytest.MonkeyPatch, said: str, cure: str) -> None:
    def refuse(*_: Any) -> Any:
        raise Refusal(said)

    monkeypatch.setattr(files, "hadoop_files", refuse)
    monkeypatch.setattr(files, "hadoop_version", lambda _: "3.5.0")
    with pytest.raises(LaunchError) as raised:
        files.listing(None, "s3a://b/lake")  # type: ignore[arg-type]
    assert str(raised.value).startswith(f"'s3a://b/lake' cannot be reached by Spark: {said}. ") and cure in str(raised.value)
