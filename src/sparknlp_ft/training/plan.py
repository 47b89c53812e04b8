"""How long and how fast to train where the configuration leaves it open: told by the rows there are and by the model.

The plan is made on the driver, once, from the snapshot: what the ranks, the run folder's name and the MLflow run are given are
numbers. A training that is started again plans the same.
"""

from __future__ import annotations

import math

from sparknlp_ft.config import Config
from sparknlp_ft.snapshot.manifest import Manifest
from sparknlp_ft.tasks import get_task

#: Steps that a training is to have at the least, and for each label, since a label must be met often enough to be learnt.
LEAST_STEPS, STEPS_PER_LABEL = 240, 6
#: Labels that count for it, at most.
MOST_LABELS = 100
#: Passes over train, however few or many rows there are. Of a few hundred rows more than this learns nothing new.
LEAST_EPOCHS, MOST_EPOCHS = 4, 30

#: Rows of a step, and the fewest that they are halved to where even the most passes give too few steps.
BATCH_ROWS, LEAST_BATCH_ROWS = 32, 8

#: Rows a label from which on labels are smoothed: with a handful of each it costs more than it brings.
SMOOTHED_ROWS = 50

#: Rate that suits an encoder of so many weights (without embeddings), and the power of the size that it falls by: 3e-4 for MiniLM
#: with 6 layers, 5e-5 for BERT base, 2e-5 for BERT large.
RATE, RATE_WEIGHTS, RATE_POWER = 3e-4, 10.6e6, 0.86
#: Rates of what is trained beside weights that stay.
LORA_FACTOR, FROZEN_RATE = 6.0, 5e-3


def planned(config: Config, manifest: Manifest, weights: int) -> Config:
    """Return the configuration with length and rate of the training as numbers; those that are given stay.

    Args:
        config: The configuration.
        manifest: The snapshot.
        weights: Weights of the base model that are not embeddings; 0: not known.
    """
    train, rows, labels = config.train, manifest.splits["train"].rows, len(manifest.labels)
    batch = train.batch_size or batch_of(rows, labels)
    epochs = train.epochs or epochs_of(rows, batch, labels)
    rate = train.learning_rate or rate_of(config, weights)
    smoothing = smoothing_of(config, rows, labels) if train.label_smoothing is None else train.label_smoothing
    found = {"batch_size": batch, "epochs": epochs, "learning_rate": rate, "label_smoothing": smoothing}
    return config.model_copy(update={"train": train.model_copy(update=found)})


def batch_of(rows: int, labels: int) -> int:
    """Return the rows of a step: as ever, unless a table is so small that the most passes over it would be too few steps."""
    batch = BATCH_ROWS
    while batch > LEAST_BATCH_ROWS and rows * MOST_EPOCHS < _steps(labels) * batch:
        batch //= 2
    return batch


def epochs_of(rows: int, batch_size: int, labels: int) -> int:
    """Return as many epochs as give enough steps, within bounds."""
    return min(max(math.ceil(_steps(labels) * batch_size / max(rows, 1)), LEAST_EPOCHS), MOST_EPOCHS)


def _steps(labels: int) -> int:
    return LEAST_STEPS + STEPS_PER_LABEL * min(labels, MOST_LABELS)


def rate_of(config: Config, weights: int) -> float:
    """Return the learning rate for a base model of a size, rounded to two digits."""
    if config.model.tuning == "frozen":
        return FROZEN_RATE
    # Models that write are pretrained at rates of this order and bear them at any size.
    small = not weights or get_task(config.data.task).generates
    rate = RATE if small else min(RATE, RATE * (RATE_WEIGHTS / weights) ** RATE_POWER)
    return float(f"{rate * (LORA_FACTOR if config.model.tuning == 'lora' else 1):.1e}")


def smoothing_of(config: Config, rows: int, labels: int) -> float:
    """Return the label smoothing that suits the task; none where labels have few rows, or where the loss is another."""
    plain = config.train.loss == "cross_entropy" and config.model.tuning != "distil"
    return get_task(config.data.task).label_smoothing if plain and rows >= SMOOTHED_ROWS * labels else 0.0


def told(config: Config, manifest: Manifest) -> str:
    """Return the plan in one line."""
    train, rows = config.train, manifest.splits["train"].rows
    steps = train.length * math.ceil(rows / train.step_rows)
    smoothed = f", label smoothing {train.label_smoothing:g}" if train.label_smoothing else ""
    return f"{rows:,} rows: {train.length} epochs, {steps:,} steps of {train.step_rows} rows, learning rate {train.rate:.2g}{smoothed}"
