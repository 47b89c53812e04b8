"""How many ranks train: as many as are asked for, or as suit where the job runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sparknlp_ft.config import Config
from sparknlp_ft.progress import log
from sparknlp_ft.tables.session import cores, is_local, slots
from sparknlp_ft.training.launch import check_slots

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: Linux lists a machine's NVIDIA GPUs here; to ask torch would cost its import.
_GPUS = Path("/proc/driver/nvidia/gpus")


def with_ranks(config: Config, spark: SparkSession) -> Config:
    """Return the configuration with its number of ranks settled, which the cluster can run at the same time.

    Raises:
        LaunchError: It has too few slots for those that are asked for.
    """
    ranks = config.launch.ranks or min(_suiting(config, spark), config.train.lanes)
    settled = config.launch.model_copy(update={"ranks": ranks})
    check_slots(settled, slots(spark, wanted=ranks))
    return config.model_copy(update={"launch": settled})


def _suiting(config: Config, spark: SparkSession) -> int:
    """One rank with all threads on a machine without GPUs, one a GPU on one with, one a slot of a cluster's machines elsewhere."""
    if config.launch.backend == "solo":
        return 1
    if not is_local(spark):
        return max(1, slots(spark))
    gpus = len(list(_GPUS.iterdir())) if _GPUS.is_dir() else 0
    if not gpus:
        log.info("one rank with %d thread(s): on one machine that is faster than several (launch.ranks sets their number)", cores())
    return max(1, gpus)
