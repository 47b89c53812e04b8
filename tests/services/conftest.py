"""Real servers for whole jobs: one that speaks S3, and MLflow's. They start with the first test that asks, and end with the last."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.jvm import submit_args
from tests.servers import MlflowServer, S3Server

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

sys.path.append(str(Path(__file__).parents[2] / "scripts"))

#: What Spark must be told of a store other than Amazon's, as docs/SERVICES.md says: that buckets are no parts of the host's name.
S3_CONF = {"spark.hadoop.fs.s3a.path.style.access": "true"}
BUCKET = "tests"


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A server with one empty bucket, which all clients of this process and its children find by the environment."""
    server = S3Server(tmp_path_factory.mktemp("s3"))
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in server.settings.items():
            patch.setenv(name, value)
        server.make_bucket(BUCKET)
        yield server
    server.kill()


@pytest.fixture(scope="session")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that neither this process nor those it starts from now on can append to, or write in the middle of."""
    from volume import VARIABLE, mount

    folder = tmp_path_factory.mktemp("volume")
    os.environ[VARIABLE] = str(folder)
    mount(str(folder))
    return folder


@pytest.fixture(scope="session")
def s3_spark(s3: S3Server, volume: Path, request: pytest.FixtureRequest) -> SparkSession:
    """The session, started with Hadoop's S3 client, and with workers for which the volume is one."""
    from fetch_jars import IVY

    os.environ["PYSPARK_SUBMIT_ARGS"] = submit_args({**S3_CONF, "spark.jars.ivy": str(IVY)}, hadoop_aws())
    return request.getfixturevalue("spark")


def hadoop_aws() -> str:
    """Return the package that Spark reads ``s3a://`` with, as it is named for ``--packages``."""
    from fetch_jars import s3

    return s3()


def put(key: str, content: bytes) -> None:
    """Write an object into the bucket, past the project."""
    import boto3

    boto3.client("s3").put_object(Bucket=BUCKET, Key=key, Body=content)


def keys(prefix: str) -> list[str]:
    """Return the keys of the bucket that begin so."""
    import boto3

    pages = boto3.client("s3").get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    return [one["Key"] for page in pages for one in page.get("Contents", [])]


@pytest.fixture(scope="session")
def mlflow_server(s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """MLflow's server, which hands artifacts on to S3: its clients need to know nothing of that."""
    server = MlflowServer(tmp_path_factory.mktemp("mlflow"), f"s3://{BUCKET}/mlflow", s3.settings)
    server.start()
    yield server
    server.kill()
