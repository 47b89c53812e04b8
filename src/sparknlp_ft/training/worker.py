"""What one rank does: join the parts, train, and let rank 0 keep metrics, checkpoints and the best model."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparknlp_ft.errors import DataError
from sparknlp_ft.models.device import pick_dtype
from sparknlp_ft.models.folder import build_network, save_model
from sparknlp_ft.models.tuning import merged, save_adapters, trained_share, tune
from sparknlp_ft.tasks import Setup, get_task
from sparknlp_ft.text.encoder import TextEncoder
from sparknlp_ft.text.manifest import Manifest
from sparknlp_ft.training.active_rows import ActiveEmbedding, train_active_rows, whole_table
from sparknlp_ft.training.checkpoint import FOLDER as CHECKPOINT
from sparknlp_ft.training.checkpoint import load_checkpoint, save_checkpoint
from sparknlp_ft.training.comm import Comm
from sparknlp_ft.training.device import choose_device, seed_all, set_threads
from sparknlp_ft.training.feed import Feed
from sparknlp_ft.training.forward import Forward
from sparknlp_ft.training.job import TrainJob, TrainResult
from sparknlp_ft.training.loop import EpochEvent, Progress, StepEvent, fit
from sparknlp_ft.training.optimizer import Optimizer
from sparknlp_ft.training.run_folder import append_event, write_result

if TYPE_CHECKING:
    import torch

#: Step events of a run that are written, more or less; steps in between are averaged.
STEP_EVENTS = 200

#: Seconds after which a step event is written at the latest.
STEP_SECONDS = 5.0


@dataclass(frozen=True)
class Seat:
    """Where a rank sits: its number among the ranks of its machine, their number, and the GPUs Spark gave its task."""

    local_rank: int = 0
    local_size: int = 1
    gpus: Sequence[str] = ()


@dataclass(frozen=True)
class Parts:
    """All that a rank trains with."""

    job: TrainJob
    manifest: Manifest
    forward: Forward
    optimizer: Optimizer
    trained_share: float
    active: ActiveEmbedding | None
    train: Feed
    validation: Feed | None
    threads: int


def run_rank(job: TrainJob, comm: Comm, seat: Seat = Seat()) -> dict[str, Any]:
    """Train one rank's share of a job.

    Returns:
        ``TrainResult`` as a dict, the same on every rank.

    Raises:
        DataError: No rows to train on, or files that do not fit their manifest.
        ModelError: The base model cannot be used.
        ConfigError: A setting turned out not to work.
    """
    started = time.perf_counter()
    parts = assemble(job, comm, seat)
    progress = _resumed(parts) if job.resume else Progress()
    recorder = _Recorder(parts, comm, started, progress)
    if comm.rank == 0:
        recorder.start()
    config = job.resolved.train
    events = fit(
        parts.forward,
        parts.optimizer,
        train=parts.train,
        validation=parts.validation,
        comm=comm,
        config=config,
        progress=progress,
    )
    for event in events:
        if isinstance(event, StepEvent):
            recorder.step(event)
        else:
            progress = event.progress
            recorder.epoch(event)
    return recorder.end(progress).to_dict()


def assemble(job: TrainJob, comm: Comm, seat: Seat) -> Parts:
    """Build feeds, network and optimizer; the weights of all ranks are rank 0's."""
    config = job.resolved
    threads = set_threads(config.launch.threads, seat.local_size)
    device = choose_device(seat.local_rank, seat.gpus)
    task, manifest = get_task(config.data.task), Manifest.load(job.manifest_path)
    encoder = TextEncoder.load(job.base_dir, config.text, default_window=task.default_window)

    def feed(split: str) -> Feed:
        return Feed(manifest, split, rank=comm.rank, size=comm.size, encoder=encoder, config=config.train, task=task)

    train = feed("train")
    if not train.rows:
        raise DataError(f"snapshot {manifest.path!r} of table {manifest.table!r} has no rows to train on; check data.train_split")
    seed_all(config.train.seed)
    prior = task.prior(manifest.label_counts, train.rows, manifest.labels)
    network = build_network(job.base_dir, task, manifest.labels, dropout=config.model.dropout, prior=prior)
    network = tune(network, config.model, seed=config.train.seed).to(device)
    share = trained_share(network)
    _share_weights(network, comm)
    active = train_active_rows(network, train, comm)
    setup = Setup(manifest.labels, task.settings(config, manifest.label_counts, train.rows), encoder)
    forward = Forward(network, task, setup, device, pick_dtype(config.train.precision, device))
    optimizer = Optimizer(network, config.train, total_steps=train.steps_per_epoch * config.train.epochs)
    validation = feed("validation") if "validation" in manifest.splits else None
    return Parts(job, manifest, forward, optimizer, share, active, train, validation, threads)


def _share_weights(network: torch.nn.Module, comm: Comm) -> None:
    import torch

    with torch.no_grad():
        for tensor in [*network.parameters(), *network.buffers()]:
            comm.broadcast_(tensor)


def _run_identity(parts: Parts) -> dict[str, Any]:
    """What must not change between a checkpoint and the run that goes on from it. Ranks and threads may."""
    config, manifest = parts.job.resolved, parts.manifest
    kept = {"train": config.train.model_dump(mode="json"), "text": config.text.model_dump(mode="json")}
    kept["model"] = config.model.model_dump(mode="json")
    return {**kept, "table": manifest.table_id, "version": manifest.version, "labels": list(manifest.labels)}


def _resumed(parts: Parts) -> Progress:
    found = load_checkpoint(parts.job.run_dir, parts.forward.network, parts.optimizer, run=_run_identity(parts))
    return found or Progress()


class _Recorder:
    """Keeps what comes out of the loop: rank 0 alone counts and writes."""

    def __init__(self, parts: Parts, comm: Comm, started: float, progress: Progress) -> None:
        self.parts, self.comm = parts, comm
        # As if the run had never been interrupted: what it took before counts.
        self.started = started - sum(entry["seconds"] for entry in progress.history)
        self.rows = progress.epochs * parts.train.rows
        self.checkpointed = progress.best_epoch  # Best epoch that the last checkpoint speaks of: its model must stay.
        self.config, self.run_dir = parts.job.resolved, Path(parts.job.run_dir)
        self.total = parts.train.steps_per_epoch * self.config.train.epochs
        self.pending: list[StepEvent] = []
        self.written = self.saved = time.perf_counter()

    def start(self) -> None:
        append_event(
            self.run_dir,
            {
                "event": "start",
                "steps": self.total,
                "rows": self.parts.train.rows,
                "epochs": self.config.train.epochs,
                **self._compute(),
                "trained_share": self.parts.trained_share,
                "trained_embedding_rows": None if self.parts.active is None else len(self.parts.active.rows),
            },
        )

    def step(self, event: StepEvent) -> None:
        if self.comm.rank:
            return
        self.rows += event.rows
        self.pending.append(event)
        every = max(1, self.total // STEP_EVENTS)
        if event.step % every == 0 or time.perf_counter() - self.written > STEP_SECONDS:
            self._write_step()

    def epoch(self, event: EpochEvent) -> None:
        if self.comm.rank:
            return
        if self.pending:
            self._write_step()
        if event.best:
            self._save_best(event)
        values = {"event": "epoch", "epoch": event.epoch, "step": event.step, "seconds": event.seconds}
        append_event(self.run_dir, {**values, "best": event.best, "metrics": event.metrics})
        if time.perf_counter() - self.saved >= self.parts.job.checkpoint_seconds:
            self._checkpoint(event)
        for older in self.run_dir.glob("best-*"):
            if older.name not in (f"best-{event.progress.best_epoch}", f"best-{self.checkpointed}"):
                shutil.rmtree(older)

    def end(self, progress: Progress) -> TrainResult:
        """Say how it went; rank 0 writes it down and drops what only an unfinished run needs."""
        result = self.result(progress)
        if self.comm.rank == 0:
            write_result(self.run_dir, result.to_dict())
            shutil.rmtree(self.run_dir / CHECKPOINT, ignore_errors=True)
            for older in self.run_dir.glob("best-*"):
                if str(older) != result.best_dir:
                    shutil.rmtree(older)
        self.comm.barrier()  # All is in place before any rank reports that the run is done.
        return result

    def result(self, progress: Progress) -> TrainResult:
        train, rows = self.config.train, progress.epochs * self.parts.train.rows
        in_steps = sum(entry["step_seconds"] for entry in progress.history)
        return TrainResult(
            best_dir=str(self.run_dir / f"best-{progress.best_epoch}"),
            best_epoch=progress.best_epoch,
            metric=train.metric or self.parts.forward.task.default_metric,
            epochs=progress.history,
            steps=progress.epochs * self.parts.train.steps_per_epoch,
            rows=rows,
            seconds=time.perf_counter() - self.started,
            train_rows_per_second=rows / max(in_steps, 1e-9),
            stopped_early=progress.stopped and progress.epochs < train.epochs,
            trained_share=self.parts.trained_share,
            **self._compute(),
        )

    def _compute(self) -> dict[str, Any]:
        forward = self.parts.forward
        precision = str(forward.precision).removeprefix("torch.")
        return {"ranks": self.comm.size, "device": forward.device.type, "precision": precision, "threads": self.parts.threads}

    def _write_step(self) -> None:
        """Write the steps since the last event as one: rates summed, losses averaged, the rest of the last step."""
        events, last = self.pending, self.pending[-1]
        rows = sum(event.rows for event in events)
        values = {
            "event": "step",
            "epoch": last.epoch,
            "step": last.step,
            "rows": self.rows,
            "loss": sum(event.stats.loss * event.rows for event in events) / rows,
            "learning_rate": last.stats.learning_rate,
            "gradient_norm": last.stats.gradient_norm,
            "rows_per_second": rows / max(sum(event.seconds for event in events), 1e-9),
        }
        append_event(self.run_dir, values)
        self.pending, self.written = [], time.perf_counter()

    def _save_best(self, event: EpochEvent) -> None:
        parts, setup = self.parts, self.parts.forward.setup
        target = self.run_dir / f"best-{event.epoch}"
        with whole_table(parts.forward.network, parts.active):
            save_model(
                merged(parts.forward.network),
                target,
                base_dir=parts.job.base_dir,
                task=parts.forward.task,
                labels=parts.manifest.labels,
                text=self.config.text,
                extra={
                    "text_roles": self._text_roles(),
                    "seed": self.config.train.seed,
                    "epoch": event.epoch,
                    "step": event.step,
                    "validation": event.metrics,
                    "settings": {**setup.settings, **event.tuned},
                },
            )
        if self.config.model.lora.keep:
            save_adapters(parts.forward.network, target)

    def _text_roles(self) -> list[str]:
        """Columns the model was trained on, which scoring must find."""
        task = self.parts.forward.task
        return [*task.text_roles, *(task.optional_roles if self.parts.manifest.has_pair else ())]

    def _checkpoint(self, event: EpochEvent) -> None:
        parts = self.parts
        save_checkpoint(self.run_dir, parts.forward.network, parts.optimizer, event.progress, run=_run_identity(parts))
        self.checkpointed, self.saved = event.progress.best_epoch, time.perf_counter()
