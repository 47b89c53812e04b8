"""How many ranks train, and what starts them: as is asked for, or as suits where the job runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sparknlp_ft.config import Config, LaunchConfig
from sparknlp_ft.errors import LaunchError
from sparknlp_ft.progress import log
from sparknlp_ft.sessions import is_connect
from sparknlp_ft.steps.checks import check_libraries
from sparknlp_ft.tables.session import cores, is_local, slots
from sparknlp_ft.training.launch import check_slots

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: The backend that stands for what suits.
AUTO = "auto"

#: Linux lists a machine's NVIDIA GPUs here; to ask torch would cost its import.
_GPUS = Path("/proc/driver/nvidia/gpus")


def with_ranks(config: Config, spark: SparkSession) -> Config:
    """Return the configuration with the number of its ranks settled, which the cluster can run at the same time, and what starts them.

    Raises:
        LaunchError: It has too few slots for those that are asked for, or no session that can start them.
        ConfigError: What starts them is not installed.
    """
    ranks = config.launch.ranks or min(_suiting(config, spark), config.train.lanes)
    backend = _starting(config.launch, ranks, spark)
    settled = config.launch.model_copy(update={"ranks": ranks, "backend": backend})
    check_libraries(config.model_copy(update={"launch": settled}))
    check_slots(settled, slots(spark, wanted=ranks))
    return config.model_copy(update={"launch": settled})


def _starting(launch: LaunchConfig, ranks: int, spark: SparkSession) -> str:
    """Return what starts the ranks: the driver is the only one where that is enough, and where Spark cannot start any."""
    alone = ranks == 1 and (is_local(spark) or is_connect(spark))
    backend = launch.backend if launch.backend != AUTO else "solo" if alone else "horovod"
    if is_connect(spark) and backend != "solo":
        raise LaunchError(
            f"launch.backend: {backend} starts {ranks} rank(s) as Spark tasks, which takes a classic session, and this one speaks Spark "
            "Connect. Train with launch.ranks=1 in this process, run the same command by spark-submit, or start the ranks by torchrun "
            "(launch.backend=torch, without Spark)"
        )
    return backend


def _suiting(config: Config, spark: SparkSession) -> int:
    """One rank with all threads on a machine without GPUs, one a GPU on one with, one a slot of a cluster's machines elsewhere."""
    if config.launch.backend == "solo" or is_connect(spark):
        return 1
    if not is_local(spark):
        return max(1, slots(spark))
    gpus = len(list(_GPUS.iterdir())) if _GPUS.is_dir() else 0
    if not gpus:
        log.info("one rank with %d thread(s): on one machine that is faster than several (launch.ranks sets their number)", cores())
    return max(1, gpus)
