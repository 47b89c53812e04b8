"""Start the ranks of a training job, follow their metrics while they work, and bring back the result or the reason."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import sparknlp_ft
from sparknlp_ft.config import LaunchConfig
from sparknlp_ft.errors import LaunchError
from sparknlp_ft.training.job import TrainJob, TrainResult
from sparknlp_ft.training.run_folder import EventReader, first_error, prepare, read_result

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

log = logging.getLogger("sparknlp_ft")

OnEvent = Callable[[dict[str, Any]], None]

#: Seconds between two looks at the metrics file.
POLL_SECONDS = 0.2

#: Environment of each rank, below ``launch.env``.
RANK_ENV = {
    "TOKENIZERS_PARALLELISM": "false",  # A rank tokenises nothing but probes.
    "HF_HUB_OFFLINE": "1",  # It loads the folder it is given, and asks nobody.
    # Activations of a step are freed and asked for again: have the allocator keep their pages.
    "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(2 * 2**30),
}


def launch(job: TrainJob, config: LaunchConfig, spark: SparkSession | None, *, slots: int, on_event: OnEvent) -> TrainResult:
    """Train.

    Args:
        job: What to train.
        config: Backend and number of ranks.
        spark: Session whose executors the ranks run in; backend 'solo' needs none.
        slots: Tasks the cluster runs at the same time (``tables.session.slots``).
        on_event: Called with each event of ``metrics.jsonl``, in a thread of its own, while the ranks work: 'start',
            'step' (loss, learning_rate, gradient_norm, rows_per_second) and 'epoch' (metrics, best).

    Raises:
        LaunchError: More ranks than slots (at once), or the run's folder is not shared.
        UserError: Of the kind and with the message that a rank raised.
        RankError: A rank failed otherwise.
    """
    check_slots(config, slots)
    finished = read_result(job.run_dir) if job.resume else None
    if finished is not None:
        log.info("run %s is finished already", job.run_dir)
        return TrainResult.from_dict(finished)
    token = prepare(job.run_dir, keep=job.resume)
    with _following(job.run_dir, on_event):
        values = _run_solo(job) if config.backend == "solo" else _run_horovod(job, config, spark, token)
    return TrainResult.from_dict(values)


def check_slots(config: LaunchConfig, slots: int) -> None:
    """Check that all ranks can run at the same time; Horovod would wait ten minutes for those that cannot.

    Raises:
        LaunchError: They cannot.
    """
    if config.backend == "horovod" and config.ranks > slots:
        raise LaunchError(
            f"launch.ranks: {config.ranks} ranks need {config.ranks} slots at the same time, and this Spark cluster has {slots}; "
            f"set launch.ranks={slots} or fewer, or give the cluster more cores (locally: SPARKNLP_FT_MASTER=local[{config.ranks},4])"
        )


def _run_solo(job: TrainJob) -> dict[str, Any]:
    """Train in this process, as the only rank."""
    import torch

    from sparknlp_ft.training.comm import Solo
    from sparknlp_ft.training.worker import run_rank

    threads = torch.get_num_threads()
    try:
        return run_rank(job, Solo())
    finally:
        torch.set_num_threads(threads)


def _run_horovod(job: TrainJob, config: LaunchConfig, spark: SparkSession | None, token: str) -> dict[str, Any]:
    from sparknlp_ft.training.horovod_backend import run_ranks

    arguments = {"job": job.to_dict(), "token": token}
    env = {**RANK_ENV, **config.env}
    try:
        replies = run_ranks(arguments, ranks=config.ranks, start_timeout=config.start_timeout, env=env, paths=_package_paths(spark))
    except Exception as error:
        raise first_error(job.run_dir, ranks=config.ranks, launcher=error) from error
    problems = replies[0].get("problems")
    if problems:
        raise LaunchError(
            f"launch.run_dir: {job.run_dir!r} is not a folder that all ranks share with the driver ({'; '.join(problems)}); "
            "give one that every machine of the cluster mounts"
        )
    return replies[0]["result"]


def _package_paths(spark: SparkSession | None) -> list[str]:
    """Where a rank may find this package: where the driver has it, or among the files sent with ``--py-files``."""
    sent = spark.sparkContext.getConf().get("spark.submit.pyFiles", "") if spark is not None else ""
    names = [PurePosixPath(path).name for path in (sent or "").split(",") if path]
    return [str(Path(sparknlp_ft.__file__).absolute().parent.parent), *names]


@contextmanager
def _following(run_dir: str, on_event: OnEvent) -> Iterator[None]:
    """Hand on the run's events while the body runs; an error of ``on_event`` is raised at the end."""
    reader, done, failures = EventReader(run_dir), threading.Event(), []

    def follow() -> None:
        try:
            last = False
            while not last:
                last = done.wait(POLL_SECONDS)
                for event in reader.new():
                    on_event(event)
        except Exception as error:
            log.warning("the run's events can no longer be followed (training goes on): %s", error)
            failures.append(error)

    thread = threading.Thread(target=follow, name="follow-metrics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
    if failures:
        raise failures[0]
