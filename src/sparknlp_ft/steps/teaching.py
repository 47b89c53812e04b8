"""The teacher of a student: checked on the driver, brought to the workers, and held against what the student decides."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sparknlp_ft.config import Config
from sparknlp_ft.errors import ConfigError, ModelError
from sparknlp_ft.models.inspection import check_saved, content_digest, read_object
from sparknlp_ft.models.meta import ModelMeta, load_meta
from sparknlp_ft.models.student import kept_layers
from sparknlp_ft.scoring.engines.settings import FLOAT32
from sparknlp_ft.scoring.measuring import TOLERANCE
from sparknlp_ft.scoring.teacher import teach
from sparknlp_ft.snapshot.encode import Teacher
from sparknlp_ft.steps.base_model import address_of_base, is_taught
from sparknlp_ft.steps.deployment import deploy_folder, ship
from sparknlp_ft.steps.evaluation import evaluate_rows, evaluate_with
from sparknlp_ft.steps.job import Job
from sparknlp_ft.steps.pairs import MOST_EACH
from sparknlp_ft.tables.delta import files_present
from sparknlp_ft.tasks import get_task
from sparknlp_ft.tasks.imitation import Imitation
from sparknlp_ft.tasks.registry import all_tasks
from sparknlp_ft.tasks.resampling import Measured
from sparknlp_ft.tracking.pyfunc import text_roles
from sparknlp_ft.tracking.store import ModelRef

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

#: Share of the rows of which each is kept that a sample may have: how many it has is left to chance.
SAMPLED = 0.9


def check_student(config: Config) -> None:
    """Refuse a student of a task whose family cannot teach one.

    Raises:
        ConfigError: Names the families that can.
    """
    if is_taught(config) and not isinstance(get_task(config.data.task), Imitation):
        able = ", ".join(task.name for task in all_tasks().values() if isinstance(task, Imitation))
        raise ConfigError(
            f"model.tuning: 'distil' cannot be used for {config.data.task}: a student can be taught for {able}; set model.tuning to "
            "full, frozen or lora"
        )


def check_teacher(config: Config, folder: Path) -> ModelMeta:
    """Check that a model folder can teach, before anything of it is loaded.

    Args:
        config: The configuration.
        folder: What ``pin_base`` found.

    Raises:
        ModelError: It was not trained here, or brings functions of its own.
        ConfigError: It is of another task, or has not the layers that are wanted.
    """
    name = address_of_base(config)
    try:
        check_saved(folder)
        meta = load_meta(folder)
    except ModelError as error:
        raise ModelError(f"teacher {name} is not used: {error}. model.distil.teacher names a fine-tuned model") from error
    if meta.task != config.data.task:
        raise ConfigError(f"teacher {name} is for task {meta.task!r}, and data.task is {config.data.task!r}; name another one")
    if meta.processing is not None:
        raise ModelError(f"teacher {name} brings functions of its own, which no student can learn; name a model that was trained here")
    described = read_object(folder / "config.json")
    depth = described.get("num_hidden_layers") or described.get("n_layers")
    if isinstance(depth, int):
        kept_layers(config.model.distil.layers, depth)
    return meta


def find_teacher(job: Job, folder: Path) -> Teacher | None:
    """Return the teacher of a job whose base model was pinned, brought to the workers; None where no student is trained.

    Args:
        job: The job.
        folder: The base model's: of a student its teacher's.

    Raises:
        ModelError: See ``check_teacher``.
        ConfigError: The same.
    """
    config = job.config
    if not is_taught(config):
        return None
    check_student(config)
    meta, digest = check_teacher(config, folder), content_digest(folder)
    # In float32, whatever tables are scored in: what is learnt is to be what the teacher means.
    lesson = partial(teach, find=ship(job.spark, folder, digest), digest=digest, precision=FLOAT32, threads=config.score.threads)
    values = len(job.task.output_names(meta.labels))
    return Teacher(address_of_base(config), digest, meta.labels, text_roles(meta, ()), values, lesson)


def student_agreement(job: Job, student: ModelRef, folder: Path, rows: DataFrame) -> float:
    """Return the share of labelled rows that a student decides as its teacher does; of many rows a sample is looked at.

    Args:
        job: The job of the student.
        student: The model.
        folder: The teacher's.
        rows: Rows with key, texts and target.
    """
    if (count := rows.count()) > MOST_EACH:
        rows = rows.sample(SAMPLED * MOST_EACH / count, seed=0)
    with files_present(job.source):
        mine = evaluate_rows(job, student, rows, each=True)
        theirs = evaluate_with(job, deploy_folder(job, folder), rows, each=True)
    if mine.measured is None or theirs.measured is None:
        raise RuntimeError(f"a sample of {rows.count():,} rows is larger than {MOST_EACH:,}")
    return agreement(mine.measured, theirs.measured, deviation=float(load_meta(folder).settings.get("deviation", 1.0)))


def agreement(student: Measured, teacher: Measured, *, deviation: float = 1.0) -> float:
    """Return the share of rows that both decide alike; numbers are alike if they differ by little.

    Args:
        student: What the student came to on some rows, and
        teacher: what the teacher did on the same.
        deviation: Of the targets, where they are numbers.
    """
    rows = np.intersect1d(student.row, teacher.row)
    mine, theirs = (one.of(rows).outcomes["prediction"] for one in (student, teacher))
    alike = np.abs(mine - theirs) <= TOLERANCE * deviation if mine.dtype.kind == "f" else mine == theirs
    return float(alike.reshape(len(rows), -1).all(axis=1).mean()) if len(rows) else 1.0
