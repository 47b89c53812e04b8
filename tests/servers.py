"""Real servers on loopback, each a process of its own: MLflow's tracking server, and one that speaks S3."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

from tests.unit.tracking.stores import closed_port

START_SECONDS = 120


class Server(ABC):
    """A process that listens on a port of this machine; its log is kept in a folder.

    Args:
        folder: Where it keeps what it has.
        path: What it answers with 200 once it is up.
    """

    def __init__(self, folder: Path, path: str) -> None:
        self.folder, self.path, self.port = folder, path, closed_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self.environment: dict[str, str] = {}
        self.process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> list[str]:
        """Return what Python is started with."""

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        log = self.folder / "server.log"
        with log.open("ab") as stream:
            self.process = subprocess.Popen(
                [sys.executable, *self.command()],
                env={**os.environ, **self.environment},
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )
        end = time.monotonic() + START_SECONDS
        while not self._answers():
            assert self.process.poll() is None and time.monotonic() < end, log.read_text()[-2000:]
            time.sleep(0.2)  # polls: a server tells nobody that it is up

    def kill(self) -> None:
        """Kill it with all its workers, as a machine that loses its power does."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}{self.path}", timeout=5) as reply:
                return reply.status == 200
        except OSError:
            return False


class MlflowServer(Server):
    """MLflow's own server, which keeps what it is told: runs in a database, artifacts handed on to a folder or an address.

    Args:
        folder: Where the database is.
        artifacts: Where artifacts go, by way of the server; default: a folder beside the database.
        environment: What the server alone knows, such as the credentials of the artifacts' storage.
    """

    def __init__(self, folder: Path, artifacts: str | None = None, environment: Mapping[str, str] | None = None) -> None:
        super().__init__(folder, "/health")
        self.artifacts = artifacts or str(folder / "artifacts")
        # Half a dozen processes for judges and prompts, of which nothing here makes use.
        self.environment = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", **(environment or {})}

    def command(self) -> list[str]:
        store = ["--backend-store-uri", f"sqlite:///{self.folder}/store.db", "--artifacts-destination", self.artifacts]
        return ["-m", "mlflow", "server", *store, "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]


class S3Server(Server):
    """A server that speaks S3, and forgets all when it is killed."""

    #: What clients need to know beside its address; it takes any key.
    CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "/moto-api/")

    def command(self) -> list[str]:
        return ["-m", "moto.server", "--host", "127.0.0.1", "--port", str(self.port)]

    @property
    def settings(self) -> dict[str, str]:
        """Environment variables by which all clients find it: boto3 and what uses it, pyarrow, Spark."""
        return {"AWS_ENDPOINT_URL": self.uri, **self.CREDENTIALS}

    def make_bucket(self, name: str) -> None:
        """Make a bucket."""
        import boto3

        keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "us-east-1"}
        boto3.client("s3", endpoint_url=self.uri, **keys).create_bucket(Bucket=name)
