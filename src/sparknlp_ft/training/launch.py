"""Start the ranks of a training job, follow them while they work, start them again where one was lost, and bring back the result."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sparknlp_ft.config import LaunchConfig
from sparknlp_ft.errors import LaunchError, RankLost
from sparknlp_ft.progress import log
from sparknlp_ft.training.interrupts import Interrupts
from sparknlp_ft.training.job import TrainJob, TrainResult
from sparknlp_ft.training.launcher import Start, get_launcher
from sparknlp_ft.training.occupancy import occupied
from sparknlp_ft.training.pulse import Watch
from sparknlp_ft.training.run_folder import RunFolder

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

OnEvent = Callable[[dict[str, Any]], None]

#: Seconds between two looks at whether there is a new event.
POLL_SECONDS = 0.2


def launch(job: TrainJob, config: LaunchConfig, spark: SparkSession | None, *, slots: Callable[[], int], on_event: OnEvent) -> TrainResult:
    """Train; ranks that are lost are started again from the last checkpoint, up to ``launch.restarts`` times.

    Args:
        job: What to train.
        config: Backend and number of ranks.
        spark: Session whose executors the ranks run in; backend 'solo' needs none.
        slots: Tells the tasks that the cluster runs at the same time, now (``tables.session.slots``).
        on_event: Called with each event of the run folder, in a thread of its own, while the ranks work: 'start',
            'step' (loss, learning_rate, gradient_norm, rows_per_second) and 'epoch' (metrics, best).

    Raises:
        LaunchError: More ranks than slots (at once), or the run's folder is not shared, or another job has it.
        UserError: Of the kind and with the message that a rank raised.
        RankError: A rank failed otherwise, or was lost once more than it may be.
        Stopped: Ctrl-C or SIGTERM; all that was done is in a checkpoint.
    """
    check_slots(config, slots())
    if (take_part := get_launcher(config.backend).part_taken()) is not None:
        return _as_one_of_others(job, take_part)
    with occupied(job.folder):
        if job.resume and (finished := _finished(job.folder)) is not None:
            log.info("run %s is finished already", job.run_dir)
            return TrainResult.from_dict(finished)
        with Interrupts(job.folder) as interrupts:
            return TrainResult.from_dict(_with_restarts(job, config, spark, slots, Attempt(on_event, interrupts)))


def _as_one_of_others(job: TrainJob, take_part: Callable[[TrainJob], dict[str, Any]]) -> TrainResult:
    """Take part in a training that another process leads; it finds out by itself whether there is one."""
    if job.resume and (finished := _finished(job.folder)) is not None:
        return TrainResult.from_dict(finished)
    with Interrupts(job.folder) as interrupts:
        values = take_part(job)
    if "stopped" in values:
        raise interrupts.stopped(job.folder)
    return TrainResult.from_dict(values)


def _finished(run: RunFolder) -> dict[str, Any] | None:
    """Return what a run came to, if it is finished and its model is there."""
    result = run.result()
    if result is None or run.has_best(result["best_epoch"]):
        return result
    log.warning("run %s is finished, but its best model is gone: it is trained again", run.address)
    run.delete_result()
    return None


class Attempt:
    """What all attempts share: who is told of events, and what ends one before its time."""

    def __init__(self, on_event: OnEvent, interrupts: Interrupts) -> None:
        self.on_event, self.interrupts = on_event, interrupts

    def run(self, job: TrainJob, config: LaunchConfig, spark: SparkSession | None) -> dict[str, Any]:
        """Run the ranks once.

        Raises:
            Stopped: The user wanted it.
            RankLost: A rank was lost.
            Exception: What a rank raised.
        """
        launcher, token = get_launcher(config.backend), job.folder.prepare(keep=job.resume)
        start = Start(job, config, spark, token, stop_asked=lambda: self.interrupts.signal is not None)
        names = [f"rank-{rank}" for rank in range(config.ranks)] if launcher.beats else []
        follower = _Follower(job, Watch(job.folder, names, config.stall_seconds), self, start.abort)
        try:
            with follower:
                values = launcher.start(start)
        except Exception as error:
            if self.interrupts.signal is not None:
                raise self.interrupts.stopped(job.folder) from error
            if follower.watch.silent is not None and isinstance(error, RankLost):
                raise RankLost(f"{follower.watch.silent} gave no sign of life for {config.stall_seconds:.0f} s") from error
            raise
        if "stopped" in values:
            raise self.interrupts.stopped(job.folder)
        return values


def _with_restarts(
    job: TrainJob, config: LaunchConfig, spark: SparkSession | None, slots: Callable[[], int], attempt: Attempt
) -> dict[str, Any]:
    left = config.restarts
    while True:
        try:
            return attempt.run(job, config, spark)
        except RankLost as error:
            if not left:
                raise
            if (finished := _finished(job.folder)) is not None:
                return finished
            left -= 1
            config = _fitting(config, slots())
            last_words = str(error).splitlines()[0]
            log.warning("%s; starting %d rank(s) again from the last checkpoint, %d restart(s) left", last_words, config.ranks, left)
            job = replace(job, resume=True)


def _fitting(config: LaunchConfig, slots: int) -> LaunchConfig:
    """Return the launch with no more ranks than there are slots now: the cluster may have become smaller."""
    if not get_launcher(config.backend).in_slots or slots >= config.ranks:
        return config
    return config.model_copy(update={"ranks": max(1, slots)})


def check_slots(config: LaunchConfig, slots: int) -> None:
    """Check that all ranks can run at the same time; launchers would wait for minutes for those that cannot.

    Raises:
        LaunchError: They cannot.
    """
    launcher = get_launcher(config.backend)
    launcher.check(config)
    if launcher.in_slots and config.ranks > slots:
        raise LaunchError(
            f"launch.ranks: {config.ranks} ranks need {config.ranks} slots at the same time, and this Spark cluster has {slots}; "
            f"set launch.ranks={slots} or fewer, or give the cluster more cores (locally: SPARKNLP_FT_MASTER=local[{config.ranks},4])"
        )


class _Follower:
    """A thread that hands on the run's events while ranks work, and ends them where that must be, or the user insists.

    An error of ``on_event`` is raised at the end of the block.
    """

    def __init__(self, job: TrainJob, watch: Watch, attempt: Attempt, abort: threading.Event) -> None:
        self.run, self.watch, self.attempt, self.abort = job.folder, watch, attempt, abort
        self._seen, self._failure = job.folder.event_count(), list[Exception]()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="follow-run", daemon=True)

    def __enter__(self) -> _Follower:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._done.set()
        self._thread.join()
        if self._failure and kind is None:
            raise self._failure[0]

    def _follow(self) -> None:
        try:
            last = False
            while not last:
                last = self._done.wait(POLL_SECONDS)
                self._end_if_needed()
                for event in self.run.events(self._seen):
                    self._seen += 1
                    self.attempt.on_event(event)
        except Exception as error:
            log.warning("the run's events can no longer be followed (training goes on): %s", error)
            self._failure.append(error)
            while not self._done.wait(POLL_SECONDS):
                self._end_if_needed()

    def _end_if_needed(self) -> None:
        if self.attempt.interrupts.impatient:
            self.abort.set()
        if not self.abort.is_set() and (reason := self.watch.look()) is not None:
            log.warning("%s: ending all ranks", reason)
            self.abort.set()
