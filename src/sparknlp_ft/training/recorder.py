"""Keeps what comes out of the training loop: events, checkpoints, the best model, the result. Rank 0 alone counts and writes."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from sparknlp_ft.models.folder import save_model
from sparknlp_ft.models.meta import new_meta
from sparknlp_ft.models.tuning import merged, save_adapters
from sparknlp_ft.training.active_rows import whole_table
from sparknlp_ft.training.assembly import Parts
from sparknlp_ft.training.checkpoint import Checkpoints, best_epochs
from sparknlp_ft.training.comm import Comm
from sparknlp_ft.training.job import TrainResult
from sparknlp_ft.training.loop import EpochEvent, Progress, StepEvent

#: Step events of a run that are written, more or less; steps in between are averaged.
STEP_EVENTS = 200

#: Seconds after which a step event is written at the latest.
STEP_SECONDS = 5.0


class Recorder:
    """Keeps what comes out of the loop: rank 0 alone counts and writes."""

    def __init__(self, parts: Parts, comm: Comm, started: float, progress: Progress) -> None:
        self.parts, self.comm = parts, comm
        # As if the run had never been interrupted: what it took before counts.
        self.started = started - sum(entry["seconds"] for entry in progress.history) - progress.seconds
        self.rows = progress.epochs * parts.train.rows + progress.rows
        self.config, self.run = parts.job.resolved, parts.job.folder
        self.events = self.run.event_count() if comm.rank == 0 else 0
        self.checkpoints = Checkpoints(self.run, parts.deciding)
        self.total = parts.train.steps_per_epoch * self.config.train.length
        self.pending: list[StepEvent] = []
        self.written = self.saved = time.perf_counter()

    def start(self) -> None:
        self._write(
            {
                "event": "start",
                "steps": self.total,
                "rows": self.parts.train.rows,
                "epochs": self.config.train.length,
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
        if self._due(event):
            self._checkpoint(event.progress)

    def stopped(self, event: StepEvent) -> dict[str, Any]:
        """Keep all that was done until a rank was asked to stop."""
        if self.comm.rank == 0:
            if self.pending:
                self._write_step()
            self._checkpoint(event.progress)
            self.checkpoints.finish()
        self.comm.barrier()
        return {"stopped": event.step}

    def epoch(self, event: EpochEvent) -> None:
        if self.comm.rank:
            return
        if self.pending:
            self._write_step()
        if event.best:
            self._save_best(event)
        values = {"event": "epoch", "epoch": event.epoch, "step": event.step, "seconds": event.seconds}
        self._write({**values, "best": event.best, "metrics": event.metrics})
        if self._late():
            self._checkpoint(event.progress)
        self.checkpoints.finish()  # Before a model that it speaks of may be deleted.
        self.run.keep_best(event.progress.best_epoch, *best_epochs(self.run))

    def end(self, progress: Progress) -> TrainResult:
        """Say how it went; rank 0 writes it down and drops what only an unfinished run needs."""
        result = self.result(progress)
        if self.comm.rank == 0:
            self.checkpoints.finish()
            self.run.write_result(result.to_dict())
            self.run.keep_best(result.best_epoch)
        self.comm.barrier()  # All is in place before any rank reports that the run is done.
        return result

    def result(self, progress: Progress) -> TrainResult:
        train, rows = self.config.train, progress.epochs * self.parts.train.rows
        in_steps = sum(entry["step_seconds"] for entry in progress.history)
        return TrainResult(
            best_dir=self.run.best(progress.best_epoch).address,
            best_epoch=progress.best_epoch,
            metric=train.metric or self.parts.forward.task.default_metric,
            epochs=progress.history,
            steps=progress.epochs * self.parts.train.steps_per_epoch,
            rows=rows,
            seconds=time.perf_counter() - self.started,
            train_rows_per_second=rows / max(in_steps, 1e-9),
            stopped_early=progress.stopped and progress.epochs < train.length,
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
        self._write(values)
        self.pending, self.written = [], time.perf_counter()

    def _write(self, event: dict[str, Any]) -> None:
        self.events += 1
        self.run.write_event(self.events, event)

    def _save_best(self, event: EpochEvent) -> None:
        parts, setup = self.parts, self.parts.forward.setup
        meta = new_meta(
            parts.forward.task,
            parts.manifest.labels,
            self.config.text,
            text_roles=self._text_roles(),
            settings={**setup.settings, **event.tuned},
            seed=self.config.train.seed,
            epoch=event.epoch,
            step=event.step,
            validation=event.metrics,
        )
        # Saved on the rank's own disk, then published: the run folder may be no place to write into at will.
        with tempfile.TemporaryDirectory(prefix="sparknlp_ft-best-") as scratch:
            model = Path(scratch) / "model"
            with whole_table(parts.forward.network, parts.active):
                save_model(merged(parts.forward.network), model, base_dir=parts.job.base_dir, meta=meta)
            if self.config.model.lora.keep:
                save_adapters(parts.forward.network, model)
            self.run.publish_best(event.epoch, model)

    def _text_roles(self) -> list[str]:
        """Columns the model was trained on, which scoring must find."""
        task = self.parts.forward.task
        return [*task.text_roles, *(task.optional_roles if self.parts.manifest.has_pair else ())]

    def _due(self, event: StepEvent) -> bool:
        """Whether it is time for a checkpoint within an epoch; one that is still being written is not waited for."""
        every = self.config.launch.checkpoint_steps
        return (every is not None and event.step % every == 0) or (self._late() and not self.checkpoints.busy)

    def _late(self) -> bool:
        return time.perf_counter() - self.saved >= self.config.launch.checkpoint_seconds

    def _checkpoint(self, progress: Progress) -> None:
        self.checkpoints.save(self.parts.forward.network, self.parts.optimizer, progress)
        self.saved = time.perf_counter()
