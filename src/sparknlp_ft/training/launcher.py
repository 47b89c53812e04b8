"""What starts ranks: the seam between following a run (``launch``) and the ways to start it (``launchers``)."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path, PurePosixPath
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

import sparknlp_ft
from sparknlp_ft.config import LaunchConfig
from sparknlp_ft.errors import LaunchError
from sparknlp_ft.sessions import sent_files
from sparknlp_ft.training import launchers
from sparknlp_ft.training.job import TrainJob

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: Environment of each rank, below ``launch.env``.
RANK_ENV = {
    "TOKENIZERS_PARALLELISM": "false",  # A rank tokenises nothing but probes.
    "HF_HUB_OFFLINE": "1",  # It loads the folder it is given, and asks nobody.
    # Activations of a step are freed and asked for again: have the allocator keep their pages.
    "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(2 * 2**30),
}


@dataclass(frozen=True)
class Start:
    """One start of a job's ranks.

    Attributes:
        job: What to train.
        config: Number of ranks, their environment, the seconds for all to come up.
        spark: Session whose executors the ranks run in, if any.
        token: Of the launch, which each rank must find in the run folder.
        abort: Ends all ranks once it is set, also those that no longer answer.
        stop_asked: Whether the user wants the training to stop, for ranks in this process; others read it in the run folder.
    """

    job: TrainJob
    config: LaunchConfig
    spark: SparkSession | None
    token: str
    abort: threading.Event = field(default_factory=threading.Event)
    stop_asked: Callable[[], bool] = bool

    @property
    def env(self) -> dict[str, str]:
        """Environment of each rank, on top of what it inherits."""
        return {**RANK_ENV, **self.config.env}

    @property
    def arguments(self) -> dict[str, Any]:
        """What ranks are told, as plain values."""
        return {"job": self.job.to_dict(), "token": self.token, "env": self.env}

    @property
    def paths(self) -> list[str]:
        """Where a rank may find this package: where the driver has it, or among the files sent with ``--py-files``."""
        sent = sent_files(self.spark) if self.spark is not None else ""
        names = [PurePosixPath(path).name for path in sent.split(",") if path]
        return [str(Path(sparknlp_ft.__file__).absolute().parent.parent), *names]


def result_of(job: TrainJob, reply: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a rank replied that the training came to.

    Raises:
        LaunchError: The ranks do not share the run's folder with the driver.
    """
    if problems := reply.get("problems"):
        raise LaunchError(
            f"launch.run_dir: {job.run_dir!r} is not a folder that all ranks share with the driver ({'; '.join(problems)}); "
            "give one that every machine of the cluster reaches"
        )
    result: dict[str, Any] = reply["result"]
    return result


class Launcher(ABC):
    """One way to start ranks."""

    in_slots: bool  #: Whether each rank takes a slot of the Spark cluster.
    beats: bool  #: Whether ranks give signs of life by which one that stalls is found.

    def check(self, config: LaunchConfig) -> None:  # noqa: B027  # most have nothing to check
        """Check what can be checked before anything is started.

        Raises:
            LaunchError: The ranks cannot be started as they are wanted.
        """

    @abstractmethod
    def start(self, start: Start) -> dict[str, Any]:
        """Start the ranks, wait for them, and return what ``worker.run_rank`` returned on rank 0.

        Raises:
            UserError: Of the kind and with the message that a rank raised.
            RankLost: A rank was killed.
            RankError: A rank failed otherwise.
        """

    def part_taken(self) -> Callable[[TrainJob], dict[str, Any]] | None:
        """Return how this process takes part in a training that another one leads, as ``start`` does there; None: it leads itself."""
        return None


def launcher_names() -> list[str]:
    """Return the names of all launchers, without importing any."""
    return sorted(found.name for found in iter_modules(launchers.__path__))


def get_launcher(name: str) -> Launcher:
    """Return a launcher by its name; the libraries it needs are imported when it starts ranks."""
    found: Launcher = import_module(f"{launchers.__name__}.{name}").LAUNCHER
    return found
