"""Fine-tuning: the snapshot is built, ranks train on it, an MLflow run follows them, the best model is logged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from sparknlp_ft.identity import of_training
from sparknlp_ft.models.folder import check_architecture
from sparknlp_ft.models.meta import load_meta
from sparknlp_ft.models.size import encoder_weights, weights_of
from sparknlp_ft.progress import Bar, log, step
from sparknlp_ft.snapshot.build import build_snapshot
from sparknlp_ft.snapshot.manifest import Manifest
from sparknlp_ft.steps.base_model import pin_base
from sparknlp_ft.steps.checks import check_metric
from sparknlp_ft.steps.job import Job
from sparknlp_ft.steps.lineage import lineage, runtime
from sparknlp_ft.steps.teaching import find_teacher
from sparknlp_ft.storage import Folder
from sparknlp_ft.tables.session import is_local, slots
from sparknlp_ft.tracking.logged import log_model
from sparknlp_ft.tracking.patience import StoreSilent
from sparknlp_ft.tracking.pyfunc import text_roles
from sparknlp_ft.tracking.store import ModelRef, Run, start_run
from sparknlp_ft.tracking.tensorboard import EventFiles
from sparknlp_ft.training.job import TrainJob, TrainResult
from sparknlp_ft.training.launch import launch
from sparknlp_ft.training.plan import planned, told
from sparknlp_ft.training.run_folder import RunFolder, Runs

STEP_METRICS = ("loss", "learning_rate", "gradient_norm", "rows_per_second")

#: The input example that is logged with the model: no text of the table leaves it.
EXAMPLE = ("Where is my order?", "Please change the address on my account.")


def prepare(job: Job) -> tuple[Job, Path, Manifest]:
    """Return the job with its base model pinned and its training planned, that model's folder, and the snapshot in its tokens.

    Raises:
        ModelError: The base model is not there, or cannot be used.
        DataError: The table does not keep the contract.
    """
    config, base = pin_base(job.config, job.store)
    check_architecture(base, job.task)  # Models of a hub or a registry were not there to be looked at before.
    manifest = build_snapshot(job.spark, job.source, config, job.task, base, find_teacher(job.using(config), base))
    config = planned(config, manifest, encoder_weights(base))
    log.info("%s", told(config, manifest))
    return job.using(config), base, manifest


@contextmanager
def training_run(job: Job, manifest: Manifest, name: str) -> Iterator[Run]:
    """Open the MLflow run of a training; where one was cut off, its run goes on and so holds the whole history."""
    folder = run_folder(job, manifest)
    with _model_kept(folder), start_run(job.store, name, tags=lineage(job.source, manifest), earlier=folder.tracked()) as run:
        folder.track(run.run_id)
        yield run


@contextmanager
def _model_kept(folder: RunFolder) -> Iterator[None]:
    """Have a store that falls silent say what is there already: a finished training is not lost with it."""
    try:
        yield
    except StoreSilent as error:
        result = folder.result()
        if result is None:
            raise StoreSilent(f"{error}. The same command goes on from the last checkpoint in {folder.address!r}.") from error
        raise StoreSilent(
            f"{error}. The training is finished and its model is safe in {folder.best(result['best_epoch']).address!r}: the same command "
            "registers it once the store answers, and does not train again."
        ) from error


def fine_tune(job: Job, run: Run, manifest: Manifest, base: Path) -> TrainResult:
    """Log settings and table to a run, start the ranks, and log what they tell while they work.

    Raises:
        UserError: Settings, model or cluster do not fit; says which and what to do.
        RankError: A rank failed for another reason.
    """
    config = job.config
    check_metric(config, manifest.labels)
    run.log_settings(config.flat(), config.model_dump(mode="json"))
    run.set_tags(runtime())
    run.log_table(job.source)
    order = rank_job(job, manifest, base)
    catch_up(run, order.folder.events())
    with step(f"training on {config.launch.ranks} rank(s)", job.spark), closing(Follower(job, run, manifest)) as follower:
        result = launch(order, config.launch, job.spark, slots=partial(slots, job.spark), on_event=follower)
    run.log_metrics(run_metrics(result, manifest))
    return result


def catch_up(run: Run, events: Iterable[dict[str, Any]]) -> None:
    """Log what the ranks told earlier starts, and these could not send: of metrics that wait for a store, the last may be lost."""
    last: dict[str, int] = {}
    for event in events:
        metrics, number = metrics_of(event)
        for name in list(metrics)[:1]:
            if name not in last:
                last[name] = run.last_step(name)
            if number > last[name]:
                run.log_metrics(metrics, step=number)


def metrics_of(event: Mapping[str, Any]) -> tuple[dict[str, float], int]:
    """Return what an event of the ranks tells in figures, and the step or epoch that they are of."""
    if event["event"] == "step":
        return {f"train/{name}": event[name] for name in STEP_METRICS}, event["step"]
    if event["event"] == "epoch":
        return {f"validation/{name}": value for name, value in event["metrics"].items()}, event["epoch"]
    return {}, 0


def run_folder(job: Job, manifest: Manifest) -> RunFolder:
    """Return the run folder, which is named by all that decides the result."""
    return Runs.at(job.config.launch.run_dir).run(job.config.model_name, of_training(job.config, manifest.name))


def rank_job(job: Job, manifest: Manifest, base: Path) -> TrainJob:
    """Describe the job to the ranks. Those on other machines see the run folder, but not necessarily the base model's."""
    config, run = job.config, run_folder(job, manifest)
    base_dir = str(base) if is_local(job.spark) else run.base(base).address
    return TrainJob(run.address, manifest.path, base_dir, config.model_dump(mode="json"), resume=True)


def run_metrics(result: TrainResult, manifest: Manifest) -> dict[str, float]:
    """Return what a training took, as metrics of its run."""
    parameters, size = size_of(result)
    rows = {f"rows/{name}": split.rows for name, split in manifest.splits.items()}
    return {
        **rows,
        "training/minutes": result.seconds / 60,
        "training/steps": result.steps,
        "training/rows_per_second": result.train_rows_per_second,
        "training/steps_per_second": result.train_rows_per_second * result.steps / max(result.rows, 1),
        "training/trained_share": result.trained_share,
        "model/parameters": parameters,
        "model/size_mb": size / 1e6,
        "best_epoch": result.best_epoch,
        **{f"calibration/{name}": value for name, value in result.calibration.items()},
    }


def size_of(result: TrainResult) -> tuple[int, int]:
    """Return the number of weights of a training's best model, and the bytes that hold them."""
    with Folder(result.best_dir).local() as model:
        return weights_of(model)


def log_result(run: Run, result: TrainResult) -> ModelRef:
    """Log the best model of a training to its run."""
    with Folder(result.best_dir).local() as model:
        meta = load_meta(model)
        roles = text_roles(meta, ())
        return log_model(run, model, text_roles=roles, example=example(roles))


def close_run(result: TrainResult, run_id: str) -> RunFolder:
    """Note that a training was logged, so that the same job can be run again from the start, and return its folder."""
    run = RunFolder.of_best(result.best_dir)
    run.close(run_id)
    return run


def example(roles: Sequence[str]) -> pd.DataFrame:
    """Return two made-up input rows."""
    return pd.DataFrame({role: list(EXAMPLE) for role in roles})


class Follower:
    """Shows the ranks' events as they come, and logs them to the MLflow run. Called on the driver while ranks work."""

    def __init__(self, job: Job, run: Run, manifest: Manifest) -> None:
        self.run, self.task, config = run, job.task, job.config
        self.bar = Bar("training", manifest.splits["train"].rows * config.train.length)
        folder = config.tracking.tensorboard
        self.events = EventFiles(folder, model=config.model_name, task=self.task.name, run_id=run.run_id) if folder else None

    def __call__(self, event: dict[str, Any]) -> None:
        found, number = metrics_of(event)
        self.run.log_metrics(found, step=number)
        if self.events is not None:
            self.events.log_metrics(found, step=number)
        if event["event"] == "step":
            self.bar.update(min(event["rows"], self.bar.total), f"loss {event['loss']:.3f}")
        elif event["event"] == "epoch":
            metrics = event["metrics"]
            shown = ", ".join(f"{name} {metrics[name]:.4f}" for name in self.task.shown_metrics if name in metrics)
            if self.events is not None:
                self.events.publish()
            log.info("epoch %d: %s%s", event["epoch"], shown, " (kept so far)" if event["best"] else "")

    def close(self) -> None:
        """End the bar and the event files."""
        self.bar.close()
        if self.events is not None:
            self.events.close()
