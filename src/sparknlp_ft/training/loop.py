"""The training loop: a generator of events that knows neither Horovod nor MLflow.

It yields what happened; saving the best model, writing metrics and checkpoints stay with the caller, who may do them
between two events. Style after spaCy's ``spacy/training/loop.py``.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from typing import Any

from sparknlp_ft.config import TrainConfig
from sparknlp_ft.errors import ConfigError, nearest
from sparknlp_ft.tasks.task import signed
from sparknlp_ft.text.batching import by_token_budget
from sparknlp_ft.training.comm import Comm
from sparknlp_ft.training.device import seed_all
from sparknlp_ft.training.evaluation import evaluate
from sparknlp_ft.training.feed import Feed, StepBatch
from sparknlp_ft.training.forward import Forward
from sparknlp_ft.training.optimizer import Optimizer, StepStats
from sparknlp_ft.training.picking import luck

#: Steps after which an evaluation that found nothing better counts for the patience: after a few nothing can be expected.
CHANCE_STEPS = 100


@dataclass(frozen=True)
class StepEvent:
    """One optimizer step was taken.

    Attributes:
        epoch: From 1.
        step: Over all epochs, from 1.
        rows: Rows of the global batch.
        seconds: It took, reading included.
        stats: Loss, learning rate, gradient norm, and whether the loop ends here.
        progress: Already counts the step.
    """

    epoch: int
    step: int
    rows: int
    seconds: float
    stats: StepStats
    progress: Progress


@dataclass(frozen=True)
class EpochEvent:
    """An epoch was trained and evaluated; ``progress`` already counts it, ``tuned`` is what the task chose on validation rows."""

    epoch: int
    step: int
    seconds: float
    metrics: dict[str, float]
    tuned: dict[str, Any]
    best: bool
    progress: Progress


@dataclass(frozen=True)
class Progress:
    """How far a run has come: with weights and optimizer state, all that is needed to go on.

    Attributes:
        epochs: Epochs done.
        step: Steps done of the one after them.
        rows: Rows of these.
        seconds: That one has taken so far, and ``step_seconds`` of them in steps.
        best_epoch: The one that is kept, from 1; 0 before the first.
        best_score: The best metric so far, signed so that higher is better.
        best_loss: Loss on validation rows of the one that is kept, which decides between epochs that are equal else.
        stale: Evaluations since then that had a chance.
        stopped: Whether patience has run out.
        history: One entry per epoch, as in ``TrainResult.epochs``.
    """

    epochs: int = 0
    step: int = 0
    rows: int = 0
    seconds: float = 0.0
    step_seconds: float = 0.0
    best_epoch: int = 0
    best_score: float = float("-inf")
    best_loss: float | None = None
    stale: int = 0
    stopped: bool = False
    history: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Feeds:
    """What a rank reads: rows to learn from, and rows that pick the best epoch and end the run early.

    Without the latter, or where they are empty, the last epoch is the best.
    """

    train: Feed
    validation: Feed | None


def fit(
    forward: Forward, optimizer: Optimizer, feeds: Feeds, *, comm: Comm, config: TrainConfig, progress: Progress
) -> Generator[StepEvent | EpochEvent]:
    """Train from ``progress`` on until the last epoch, until patience runs out, or until a rank is asked to stop.

    Args:
        forward: The network; trained in place.
        optimizer: Over the network's parameters.
        feeds: Rows to learn from, and rows that pick the best epoch.
        comm: The ranks; all run this same loop.
        config: Epochs, patience, metric, seeds.
        progress: Where to go on; ``Progress()`` for a new run.

    Raises:
        ConfigError: ``train.metric`` names no metric of the task, or the gradient is not finite.
    """
    metric, train = config.metric or forward.task.default_metric, feeds.train
    while progress.epochs < config.length and not progress.stopped:
        started = time.perf_counter() - progress.seconds
        epoch = progress.epochs
        resumed, in_steps, rows = time.perf_counter(), progress.step_seconds, progress.rows
        for step in train.epoch(epoch, start_step=progress.step):
            stats = train_step(forward, optimizer, step, comm=comm, config=config, steps_per_epoch=train.steps_per_epoch)
            number = epoch * train.steps_per_epoch + step.step + 1
            seconds = time.perf_counter() - resumed
            in_steps += seconds
            rows += step.global_rows
            done = replace(progress, step=step.step + 1, rows=rows, seconds=time.perf_counter() - started, step_seconds=in_steps)
            yield StepEvent(epoch + 1, number, step.global_rows, seconds, stats, done)
            if stats.stop:
                return
            resumed = time.perf_counter()
        metrics, tuned = evaluate(forward, feeds.validation, comm, max_tokens=config.micro_batch_tokens) if feeds.validation else ({}, {})
        step_number = (epoch + 1) * train.steps_per_epoch
        chance, rows = had_chance(step_number, train.steps_per_epoch, config), feeds.validation.rows if feeds.validation else 0
        progress = advance(progress, metrics, metric, config, chance=chance, rows=rows)
        best = progress.best_epoch == progress.epochs
        seconds = time.perf_counter() - started
        entry = {"epoch": epoch + 1, "step": step_number, "seconds": seconds, "step_seconds": in_steps, "best": best, "metrics": metrics}
        entry["tuned"] = tuned
        progress = replace(progress, step=0, rows=0, seconds=0.0, step_seconds=0.0, history=[*progress.history, entry])
        yield EpochEvent(epoch + 1, step_number, seconds, metrics, tuned, best, progress)


def train_step(
    forward: Forward, optimizer: Optimizer, step: StepBatch, *, comm: Comm, config: TrainConfig, steps_per_epoch: int
) -> StepStats:
    """Take one optimizer step on a global batch, of which this rank holds a share (maybe none)."""
    accumulate_gradients(forward, optimizer, step, rank=comm.rank, config=config)
    return optimizer.step(step.epoch * steps_per_epoch + step.step, comm)


def accumulate_gradients(forward: Forward, optimizer: Optimizer, step: StepBatch, *, rank: int, config: TrainConfig) -> None:
    """Fill the gradient buffer with this rank's share: the sum of its rows' losses over the global row count.

    A share of more than ``micro_batch_tokens`` padded tokens takes several passes, shortest rows first.
    """
    forward.network.train()
    seed_all(config.seed, step.epoch, step.step, rank)
    optimizer.zero()
    for index in by_token_budget(step.batch.lengths, config.micro_batch_tokens, step.batch.counts):
        loss = forward.losses(step.batch, index).sum() / step.global_rows
        loss.backward()
        optimizer.add_loss(loss)


def had_chance(step: int, steps_per_epoch: int, config: TrainConfig) -> bool:
    """Whether the evaluation after ``step`` steps had a chance to be better: behind the warm-up, and steps enough since the last one."""
    warm = step > config.warmup_fraction * config.length * steps_per_epoch
    return warm and step // CHANCE_STEPS > (step - steps_per_epoch) // CHANCE_STEPS


def advance(
    progress: Progress, metrics: dict[str, float], metric: str, config: TrainConfig, *, chance: bool = True, rows: int = 0
) -> Progress:
    """Count an epoch, and decide whether it is kept and whether to stop.

    Args:
        progress: How far the run had come.
        metrics: Of the epoch, on validation rows.
        metric: The one that decides; where it is as good as before, less loss does. Of few rows the latest epoch is kept that they do
            not tell from the best: by then the learning rate has fallen, and a row more or less is luck.
        config: Patience, least improvement.
        chance: Whether the evaluation counts for the patience.
        rows: Validation rows.

    Raises:
        ConfigError: There is no such metric.
    """
    epoch = progress.epochs + 1
    if not metrics:
        return replace(progress, epochs=epoch, best_epoch=epoch)
    if metric not in metrics:
        raise ConfigError(f"train.metric: {metric!r} is not a metric.{nearest(metric, metrics)} Valid: {', '.join(sorted(metrics))}")
    score, loss = signed(metric, metrics[metric]), metrics.get("loss")
    less_loss = score == progress.best_score and loss is not None and progress.best_loss is not None and loss < progress.best_loss
    if not progress.best_epoch or score > progress.best_score + config.min_improvement or less_loss:
        return replace(progress, epochs=epoch, best_epoch=epoch, best_score=score, best_loss=loss, stale=0)
    stale = progress.stale + chance
    stopped = config.patience is not None and stale >= config.patience
    found = replace(progress, epochs=epoch, stale=stale, stopped=stopped)
    if 0 < luck(progress.best_score, rows) >= progress.best_score - score:
        return replace(found, best_epoch=epoch, best_loss=loss)
    return found
