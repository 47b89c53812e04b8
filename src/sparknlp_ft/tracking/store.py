"""MLflow: where the store is, runs, the registry, a model's files. How a model is logged stands in ``logged``.

Only the driver calls ``connect`` and what follows from it; a scoring worker reads a local folder (``downloaded``). A store that
does not answer is asked again for a bounded time (``patience``); metrics wait until it answers (``outbox``).
"""

from __future__ import annotations

import logging
import math
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from sparknlp_ft.config import TrackingConfig
from sparknlp_ft.errors import ConfigError, ModelError, Stopped
from sparknlp_ft.progress import CleanedLogs, log
from sparknlp_ft.secrecy import cleaned, cleaned_address
from sparknlp_ft.tables.delta import Pinned
from sparknlp_ft.tracking.addresses import keep_tracking_secret, make_room, param_value, sqlite_file, store_uri, tag_values, without_secrets
from sparknlp_ft.tracking.database import make_database
from sparknlp_ft.tracking.outbox import Outbox
from sparknlp_ft.tracking.patience import Answering, at_the_end, found, knock, patiently, quiet_mlflow, reason_of, unless_there, usable

#: Name of the model among a run's outputs: ``runs:/ID/model``.
MODEL_NAME = "model"

PARAMS_PER_CALL = 100


@dataclass(frozen=True)
class Store:
    """A connected MLflow store and the experiment that runs go to."""

    uri: str
    experiment: str
    experiment_id: str
    artifacts: str
    client: Answering  #: MLflow's client; a call is made again while the store does not answer.


@dataclass(frozen=True)
class ModelRef:
    """One concrete model: what an alias meant when it was resolved. ``version`` of an unregistered model is its run."""

    name: str
    version: str
    run_id: str
    uri: str

    @property
    def display(self) -> str:
        return f"{self.name}/{self.version}"

    @property
    def is_registered(self) -> bool:
        return self.version != self.run_id


@dataclass
class Run:
    """An open run. Metrics are gathered and sent in batches by a thread: a store that is gone fails and delays no job."""

    store: Store
    run_id: str
    _metrics: Outbox = field(init=False)

    def __post_init__(self) -> None:
        self._metrics = Outbox(self._send_metrics, f"metrics of run {self.run_id}")

    def _send_metrics(self, metrics: list[Any]) -> None:
        # Past the patient client: the outbox has a patience of its own.
        self.store.client.client.log_batch(self.run_id, metrics=metrics)

    def log_settings(self, settings: Mapping[str, object], whole: Mapping[str, Any] | None = None) -> None:
        """Log every resolved setting as a parameter, and the whole configuration as ``config.json`` if given.

        Values of ``launch.env`` may be secrets, and so may a password within an address: neither is logged. A run that goes on
        keeps those it has: MLflow lets no parameter change.
        """
        from mlflow.entities import Param

        there = self.store.client.get_run(self.run_id).data.params
        params = [Param(key, param_value(key, value)) for key, value in settings.items() if key not in there]
        for start in range(0, len(params), PARAMS_PER_CALL):
            self.store.client.log_batch(self.run_id, params=params[start : start + PARAMS_PER_CALL])
        if whole is not None:
            self.store.client.log_dict(self.run_id, without_secrets(whole), "config.json")

    def log_metrics(self, metrics: Mapping[str, float], *, step: int = 0) -> None:
        """Log metrics of a step or an epoch, in batches; what cannot be sent is kept, said once, and sent later."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._metrics.add([Metric(name, float(value), now, step) for name, value in metrics.items() if math.isfinite(value)])

    def last_step(self, metric: str) -> int:
        """Return the last step that a metric was logged at; -1 if at none."""
        return max((one.step for one in self.store.client.get_metric_history(self.run_id, metric)), default=-1)

    def flush(self) -> None:
        """Send the metrics gathered so far; where that takes too long, it is said, and goes on in the background."""
        if not self._metrics.flush():
            log.warning("metrics of run %s are not all sent yet", self.run_id)

    def close(self, *, failed: bool = False) -> None:
        """Send the last metrics; what cannot be sent in time is lost, and that is said."""
        self._metrics.close(hurry=failed)

    def log_table(self, table: Pinned, *, context: str = "training") -> None:
        """Log the pinned table as a dataset input: name, id and version, and the path if it has one."""
        from mlflow.data.delta_dataset_source import DeltaDatasetSource
        from mlflow.data.meta_dataset import MetaDataset
        from mlflow.entities import DatasetInput, InputTag

        path, name = table.ref.path and cleaned_address(table.ref.path), cleaned_address(table.ref.display)
        source = DeltaDatasetSource(
            path=path, delta_table_name=None if path else name, delta_table_version=table.version, delta_table_id=table.table_id
        )
        digest = f"{table.table_id[:20]}@{table.version}"
        dataset = MetaDataset(source, name=name[-500:], digest=digest)
        entity = dataset._to_mlflow_entity()
        self.store.client.log_inputs(self.run_id, [DatasetInput(entity, [InputTag("mlflow.data.context", context)])])

    def log_file(self, path: str | Path, folder: str | None = None) -> None:
        """Log a file as an artifact."""
        self.store.client.log_artifact(self.run_id, str(path), folder)

    def log_text(self, text: str, name: str) -> None:
        """Log a text as the artifact ``name``."""
        self.store.client.log_text(self.run_id, cleaned(text), name)

    def set_tags(self, tags: Mapping[str, object]) -> None:
        """Set tags of the run."""
        from mlflow.entities import RunTag

        self.store.client.log_batch(self.run_id, tags=[RunTag(key, value) for key, value in tag_values(tags).items()])


def connect(tracking: TrackingConfig, *, cwd: str | Path | None = None) -> Store:
    """Open the store and the experiment, making both where they are local and missing.

    Args:
        tracking: Address, artifact folder, experiment.
        cwd: Folder under which the default store is made.

    Raises:
        ConfigError: The experiment was deleted, the address is not one of MLflow's, or nobody answers there.
    """
    keep_tracking_secret(tracking)
    uri = store_uri(tracking, Path(cwd or Path.cwd()))
    database = sqlite_file(uri)
    make_room(database)
    mlflow = _mlflow_at(uri)
    with usable(uri, tracking.experiment):
        if database is not None:
            make_database(mlflow, database)
        client = Answering.at(uri, mlflow)
        experiment = client.get_experiment_by_name(tracking.experiment)
        if experiment is None:
            root = tracking.artifacts or (str(database.parent / "artifacts") if database is not None else None)
            folder = re.sub(r"[^\w.-]+", "_", tracking.experiment)
            location = None if root is None else f"{root.rstrip('/')}/{folder}"
            unless_there(lambda: client.create_experiment(tracking.experiment, artifact_location=location))
            experiment = client.get_experiment_by_name(tracking.experiment)
    assert experiment is not None
    if experiment.lifecycle_stage == "deleted":
        raise ConfigError(
            f"tracking.experiment: {tracking.experiment!r} was deleted in {cleaned_address(uri)!r}; restore it or choose another name"
        )
    return Store(uri, experiment.name, experiment.experiment_id, str(experiment.artifact_location), client)


def ask(tracking: TrackingConfig) -> None:
    """Ask a store that is not a local file whether it answers: before a cluster is started, which takes longer.

    Raises:
        ConfigError: It does not, or refuses.
    """
    keep_tracking_secret(tracking)
    uri = store_uri(tracking, Path.cwd())
    if sqlite_file(uri) is not None:
        return
    # MLflow's own tries to reach a database cannot be bounded.
    if not uri.startswith("http"):
        patiently(partial(knock, uri), uri)
    with usable(uri, tracking.experiment):
        Answering.at(uri, _mlflow_at(uri)).get_experiment_by_name(tracking.experiment)


def _mlflow_at(uri: str) -> Any:
    """Return mlflow, with ``uri`` as the address of what it does by itself."""
    quiet_mlflow()
    import mlflow

    for handler in logging.getLogger("mlflow").handlers:
        if not any(isinstance(one, CleanedLogs) for one in handler.filters):
            handler.addFilter(CleanedLogs())
    given = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(uri)
    # MLflow wrote it to the environment too, where the next call would take it for the user's wish.
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    os.environ |= {} if given is None else {"MLFLOW_TRACKING_URI": given}
    return mlflow


@contextmanager
def start_run(
    store: Store, name: str, *, tags: Mapping[str, object] | None = None, system_metrics: bool = True, earlier: str | None = None
) -> Iterator[Run]:
    """Open a run; it ends as FINISHED, as KILLED if it is interrupted, as FAILED if the block raises something else.

    Where the store does not answer at the end, the run stays RUNNING, which is said: what was done is done. One opened within
    another is that one's child.

    Args:
        store: The store.
        name: What the run is called in the user interface.
        tags: Tags to set.
        system_metrics: Whether MLflow records CPU, memory, disk, network and GPU while the run is open.
        earlier: A run that was cut off: it goes on, if it is there and has not finished.
    """
    import mlflow

    mlflow.set_system_metrics_sampling_interval(5)
    settings: dict[str, Any] = {"experiment_id": store.experiment_id, "log_system_metrics": system_metrics, "nested": True}
    settings |= {"run_id": earlier} if earlier is not None and _was_cut_off(store, earlier) else {"run_name": cleaned(name)}
    active = patiently(partial(mlflow.start_run, tags=tag_values(tags or {}), **settings), store.uri)
    run, status = Run(store, active.info.run_id), "FAILED"
    try:
        yield run
        status = "FINISHED"
    except (KeyboardInterrupt, Stopped):
        status = "KILLED"
        raise
    finally:
        run.close(failed=status != "FINISHED")
        _end_run(run, status)


def _end_run(run: Run, status: str) -> None:
    import mlflow
    from mlflow.tracking.fluent import run_id_to_system_metrics_monitor

    try:
        mlflow.end_run(status)
    except Exception as error:  # The job is at its end, and has its own error to tell, if any.
        log.warning("MLflow run %s could not be ended as %s (%s): it is shown as running", run.run_id, status, reason_of(error))
        if (monitor := run_id_to_system_metrics_monitor.pop(run.run_id, None)) is not None:
            monitor.finish()


def _was_cut_off(store: Store, run_id: str) -> bool:
    run = found(lambda: store.client.get_run(run_id))
    return run is not None and run.info.lifecycle_stage == "active" and run.info.status != "FINISHED"


def open_run(store: Store, run_id: str) -> Run:
    """Return a run that has ended, to log more to it (its status stays)."""
    return Run(store, run_id)


def make_child(store: Store, run_id: str, *, parent: str) -> bool:
    """Make a run that has ended the child of another one; returns whether it is still there."""
    run = found(lambda: store.client.get_run(run_id))
    if run is None or run.info.lifecycle_stage != "active":
        return False
    store.client.set_tag(run_id, "mlflow.parentRunId", parent)
    return True


@at_the_end()
def register(store: Store, model: ModelRef, name: str, *, tags: Mapping[str, object] | None = None) -> ModelRef:
    """Make a logged model a version of the registered model ``name``, unless it is one already; moves no alias."""
    import mlflow

    def once() -> ModelRef:
        # A job that was cut off, or a try that got no answer, may have done it.
        if (there := find_registered(store, name, model)) is not None:
            return there
        made = mlflow.register_model(model.uri, name, tags=tag_values(tags or {}))
        return ModelRef(name, str(made.version), model.run_id, f"models:/{name}/{made.version}")

    return patiently(once, store.uri)


def set_alias(store: Store, model: ModelRef, alias: str) -> None:
    """Point an alias at a registered version: the gate's to do once the version has proved better, or the user's own wish."""
    store.client.set_registered_model_alias(model.name, alias, model.version)


def find_alias(store: Store, name: str, alias: str) -> ModelRef | None:
    """Return the version an alias points at, or None if the model or the alias is not there yet."""
    return _registered(name, lambda: store.client.get_model_version_by_alias(name, alias))


def find_version(store: Store, name: str, number: str) -> ModelRef | None:
    """Return a version of a registered model, or None."""
    return _registered(name, lambda: store.client.get_model_version(name, number))


def find_registered(store: Store, name: str, model: ModelRef) -> ModelRef | None:
    """Return the latest version of ``name`` that was made of a run's model, or None."""
    # Unity Catalog takes one condition.
    versions = store.client.search_model_versions(f"run_id='{model.run_id}'")
    numbers = [int(version.version) for version in versions if version.name == name and version.source == model.uri]
    return find_version(store, name, str(max(numbers))) if numbers else None


def run_models(store: Store, run_id: str) -> dict[str, str] | None:
    """Return name → address of the models a run has logged, or None if there is no such run."""
    run = found(lambda: store.client.get_run(run_id))
    if run is None:
        return None
    outputs = run.outputs.model_outputs if run.outputs else []
    models = [store.client.get_logged_model(output.model_id) for output in outputs]
    # Of one that was cut off while it was sent, the files are not there.
    return {model.name: f"models:/{model.model_id}" for model in models if str(model.status) == "READY"}


def download_model(store: Store, model: ModelRef, folder: str | Path) -> Path:
    """Copy a model's files into ``folder``; returns the folder that holds ``MLmodel``.

    Raises:
        ModelError: The files are gone.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    try:
        fetch = partial(mlflow.artifacts.download_artifacts, artifact_uri=model.uri, dst_path=str(target))
        return Path(patiently(fetch, store.uri))
    except (MlflowException, OSError) as error:
        raise ModelError(f"the files of model {model.display} cannot be read ({error}); train and register it again") from error


def _registered(name: str, look_up: Callable[[], Any]) -> ModelRef | None:
    version = found(look_up)
    return None if version is None else ModelRef(name, str(version.version), version.run_id or "", f"models:/{name}/{version.version}")
