"""A model on the cluster: resolved once on the driver, its files brought to every machine, a UDF around it."""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparknlp_ft.config import Config, DataConfig
from sparknlp_ft.errors import ConfigError
from sparknlp_ft.identity import fingerprint, of_model
from sparknlp_ft.models.inspection import content_digest
from sparknlp_ft.models.meta import ModelMeta, load_meta
from sparknlp_ft.scoring.columns import Model, Output, output_of
from sparknlp_ft.scoring.engines.settings import FLOAT32, PRECISIONS
from sparknlp_ft.scoring.teacher import load_folder
from sparknlp_ft.scoring.udf import scoring_udf
from sparknlp_ft.sessions import add_archive, application
from sparknlp_ft.steps.job import Job
from sparknlp_ft.storage import scratch_of_process
from sparknlp_ft.tables.session import is_local
from sparknlp_ft.tasks import Task, get_task
from sparknlp_ft.tracking.downloaded import Trust, inspect, load_logged_engine
from sparknlp_ft.tracking.pyfunc import text_roles
from sparknlp_ft.tracking.registry import resolve_model
from sparknlp_ft.tracking.store import ModelRef, Store, download_model

if TYPE_CHECKING:
    from pyspark.sql import Column, SparkSession


@dataclass(frozen=True)
class Engines:
    """What makes a model's engines in the workers.

    Attributes:
        load: Makes one, from a device and settings as in ``scoring.engine.load_engine``.
        settings: Those that hold if nothing else was settled.
        identity: What tells the model from any other.
        output: What is written of a prediction.
    """

    load: Callable[..., Model]
    settings: dict[str, Any]
    identity: tuple[str, ...]
    output: Output

    def scorer(self, **settings: Any) -> Callable[..., Column]:
        """Return what scores columns (``scoring.udf.scoring_udf``), with an engine that is made with these settings besides."""
        given = self.settings | settings
        key = fingerprint([*self.identity, given, self.output.schema], length=32)
        return scoring_udf(partial(self.load, **given), key, self.output)


@dataclass(frozen=True)
class Deployment:
    """A model that the workers can score with."""

    model: ModelRef
    task: Task
    labels: tuple[str, ...]
    text_roles: tuple[str, ...]
    columns: dict[str, str]  #: role → column that a packaged model reads, where a table is not said to have another one
    fields: str  #: prediction columns as DDL
    score: Callable[..., Column]  #: scores with torch, in the number format asked for if it has that: what models are compared with
    engines: Engines | None = None  #: makes others; None: there is but this one

    def reading(self, data: DataConfig, have: Sequence[str]) -> DataConfig:
        """Return ``data`` with the model's own columns for roles that ``data.columns`` does not speak of.

        Args:
            data: The section.
            have: Columns of the table.
        """
        own = {role: name for role, name in self.columns.items() if name in have or role not in have}
        return data.model_copy(update={"columns": own | data.columns})


def wanted_model(config: Config, store: Store) -> ModelRef:
    """Return the model to score with, as one concrete version: ``score.model``, or the one the alias means now.

    Raises:
        ModelError: It is not there.
    """
    return resolve_model(store, config.score.model or f"{config.model_name}@{config.tracking.alias}")


@contextmanager
def deploy(job: Job, model: ModelRef) -> Iterator[Deployment]:
    """Bring a model to the workers for the time of a block.

    Raises:
        ModelError: Its files cannot be read, or it is not one that may be loaded: nothing of it was.
        ConfigError: It is of another task than ``data.task``.
    """
    config = job.config
    with tempfile.TemporaryDirectory(prefix="sparknlp_ft-model-") as folder:
        downloaded = download_model(job.store, model, folder)
        trust = Trust(config.score.trusted_loaders, config.score.allow_code)
        meta = inspect(downloaded, trust, name=model.display).meta
        if meta.task != config.data.task:
            raise ConfigError(
                f"data.task: {config.data.task!r}, but model {model.display} is for {meta.task!r}; set data.task or score.model"
            )
        identity = tuple(of_model(job.store.uri, model.uri, model.run_id))
        load = partial(_load, find=ship(job.spark, downloaded, fingerprint(identity, length=32)), trust=trust)
        yield _deployment(job, model, meta, identity, load)


def deploy_folder(job: Job, folder: Path) -> Deployment:
    """Bring a model folder to the workers that is kept in no store; it was checked, and brings no functions of its own."""
    digest, meta = content_digest(folder), load_meta(folder)
    model = ModelRef(str(folder), digest[:12], digest[:12], str(folder))
    return _deployment(job, model, meta, (digest,), partial(load_folder, find=ship(job.spark, folder, digest)))


def _deployment(job: Job, model: ModelRef, meta: ModelMeta, identity: tuple[str, ...], load: Callable[..., Model]) -> Deployment:
    task, score = get_task(meta.task), job.config.score
    precision = score.precision if score.precision in ("auto", *PRECISIONS["torch"]) else FLOAT32
    settings: dict[str, Any] = {"batch_tokens": score.batch_tokens, "precision": precision, "threads": score.threads}
    output = output_of(meta.fields, score.most_scores if meta.output is None else None)
    engines, roles = Engines(load, settings, identity, output), text_roles(meta, task.text_roles)
    return Deployment(model, task, meta.labels, roles, dict(meta.columns), output.fields, engines.scorer(), engines)


def ship(spark: SparkSession, folder: Path, key: str) -> Callable[[], str]:
    """Return a function that says, on a worker, where the model's folder is; other machines get it through Spark, once."""
    if is_local(spark):
        return partial(str, folder)
    name = f"model-{fingerprint([application(spark), key], length=16)}"
    # Kept while the process lives: an executor that comes up late still asks for what was added.
    archive = f"{scratch_of_process('archives')}/{name}.tar"
    if not Path(archive).exists():
        # Not shutil.make_archive: its entry './' is refused by Hadoop's unpacking as leading outside.
        with tarfile.open(archive, "w") as tar:
            for child in sorted(folder.iterdir()):
                tar.add(child, arcname=child.name)
        add_archive(spark, archive, name)
    return partial(_shipped, name)


def _shipped(name: str) -> str:
    from pyspark import SparkFiles

    return SparkFiles.get(name)


def _load(device: str | None, *, find: Callable[[], str], trust: Trust, **settings: Any) -> Model:
    return load_logged_engine(device, downloaded=find(), trust=trust, **settings)
