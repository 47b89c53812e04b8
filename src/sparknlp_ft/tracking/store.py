"""MLflow: where the store is, runs, the registry, a model's files. How a model is logged stands in ``logged``.

Only the driver calls ``connect`` and what follows from it. A scoring worker calls ``load_logged_engine`` alone, with a local
folder, which reads files and talks to no server.
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
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparknlp_ft.config import TrackingConfig
from sparknlp_ft.errors import ConfigError, ModelError, Stopped
from sparknlp_ft.tables.delta import Pinned
from sparknlp_ft.tracking.addresses import param_value, sqlite_file, store_uri, without_password, without_secrets

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from sparknlp_ft.scoring.engine import Engine
    from sparknlp_ft.scoring.processing import Processed

#: Name of the model among a run's outputs: ``runs:/ID/model``.
MODEL_NAME = "model"

PARAMS_PER_CALL = 100

#: A metric costs 3–5 ms by itself, so they are sent together: this many, or those of this many seconds.
METRICS_PER_CALL = 1000
METRIC_SECONDS = 5.0


@dataclass(frozen=True)
class Store:
    """A connected MLflow store and the experiment that runs go to."""

    uri: str
    experiment: str
    experiment_id: str
    artifacts: str
    client: MlflowClient


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
    """An open run. Metrics are gathered and sent in batches; ``flush`` sends what is left."""

    store: Store
    run_id: str
    _pending: list[Any] = field(default_factory=list)
    _sent: float = field(default_factory=time.monotonic)

    def log_settings(self, settings: Mapping[str, object], whole: Mapping[str, Any] | None = None) -> None:
        """Log every resolved setting as a parameter, and the whole configuration as ``config.json`` if given.

        Values of ``launch.env`` may be secrets, and so may a password within an address: neither is logged.
        """
        from mlflow.entities import Param

        params = [Param(key, param_value(key, value)) for key, value in settings.items()]
        for start in range(0, len(params), PARAMS_PER_CALL):
            self.store.client.log_batch(self.run_id, params=params[start : start + PARAMS_PER_CALL])
        if whole is not None:
            self.store.client.log_dict(self.run_id, without_secrets(whole), "config.json")

    def log_metrics(self, metrics: Mapping[str, float], *, step: int = 0) -> None:
        """Log metrics of a step or an epoch, in batches."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._pending += [Metric(name, float(value), now, step) for name, value in metrics.items() if math.isfinite(value)]
        if len(self._pending) >= METRICS_PER_CALL or time.monotonic() - self._sent > METRIC_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Send the metrics gathered so far."""
        for start in range(0, len(self._pending), METRICS_PER_CALL):
            self.store.client.log_batch(self.run_id, metrics=self._pending[start : start + METRICS_PER_CALL])
        self._pending.clear()
        self._sent = time.monotonic()

    def log_table(self, table: Pinned, *, context: str = "training") -> None:
        """Log the pinned table as a dataset input: name, id and version, and the path if it has one."""
        from mlflow.data.delta_dataset_source import DeltaDatasetSource
        from mlflow.data.meta_dataset import MetaDataset
        from mlflow.entities import DatasetInput, InputTag

        path, name = table.ref.path, table.ref.display
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
        self.store.client.log_text(self.run_id, text, name)

    def set_tags(self, tags: Mapping[str, object]) -> None:
        """Set tags of the run."""
        from mlflow.entities import RunTag

        self.store.client.log_batch(self.run_id, tags=[RunTag(key, str(value)) for key, value in tags.items()])


def connect(tracking: TrackingConfig, *, cwd: str | Path | None = None) -> Store:
    """Open the store and the experiment, making both where they are local and missing.

    Args:
        tracking: Address, artifact folder, experiment.
        cwd: Folder under which the default store is made.

    Raises:
        ConfigError: The experiment was deleted, or the address is not one of MLflow's.
    """
    quiet_mlflow()
    import mlflow
    from mlflow.exceptions import MlflowException

    uri = store_uri(tracking, Path(cwd or Path.cwd()))
    database = sqlite_file(uri)
    if database is not None:
        database.parent.mkdir(parents=True, exist_ok=True)
    given = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(uri)
    # MLflow wrote it to the environment too, where the next call would take it for the user's wish.
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    os.environ |= {} if given is None else {"MLFLOW_TRACKING_URI": given}
    client = mlflow.MlflowClient(tracking_uri=uri)
    try:
        experiment = client.get_experiment_by_name(tracking.experiment)
        if experiment is None:
            root = tracking.artifacts or (str(database.parent / "artifacts") if database is not None else None)
            folder = re.sub(r"[^\w.-]+", "_", tracking.experiment)
            location = None if root is None else f"{root.rstrip('/')}/{folder}"
            client.create_experiment(tracking.experiment, artifact_location=location)
            experiment = client.get_experiment_by_name(tracking.experiment)
    except MlflowException as error:
        raise ConfigError(
            f"tracking.uri: {without_password(uri)!r} cannot be used for experiment {tracking.experiment!r}: {error}"
        ) from error
    assert experiment is not None
    if experiment.lifecycle_stage == "deleted":
        raise ConfigError(
            f"tracking.experiment: {tracking.experiment!r} was deleted in {without_password(uri)!r}; restore it or choose another name"
        )
    return Store(uri, experiment.name, experiment.experiment_id, str(experiment.artifact_location), client)


@contextmanager
def start_run(
    store: Store, name: str, *, tags: Mapping[str, object] | None = None, system_metrics: bool = True, earlier: str | None = None
) -> Iterator[Run]:
    """Open a run; it ends as FINISHED, as KILLED if it is interrupted, as FAILED if the block raises something else.

    One opened within another is that one's child.

    Args:
        store: The store.
        name: What the run is called in the user interface.
        tags: Tags to set.
        system_metrics: Whether MLflow records CPU, memory, disk, network and GPU while the run is open.
        earlier: A run that was cut off: it goes on, if it is there and has not finished.
    """
    import mlflow

    mlflow.set_system_metrics_sampling_interval(5)
    texts = {key: str(value) for key, value in (tags or {}).items()}
    settings: dict[str, Any] = {"experiment_id": store.experiment_id, "tags": texts, "log_system_metrics": system_metrics, "nested": True}
    settings |= {"run_id": earlier} if earlier is not None and _was_cut_off(store, earlier) else {"run_name": name}
    run: Run | None = None
    try:
        with mlflow.start_run(**settings) as active:
            run = Run(store, active.info.run_id)
            try:
                yield run
            finally:
                run.flush()
    except (KeyboardInterrupt, Stopped):
        if run is not None:
            store.client.set_terminated(run.run_id, "KILLED")
        raise


def _was_cut_off(store: Store, run_id: str) -> bool:
    run = _found(lambda: store.client.get_run(run_id))
    return run is not None and run.info.lifecycle_stage == "active" and run.info.status != "FINISHED"


def open_run(store: Store, run_id: str) -> Run:
    """Return a run that has ended, to log more to it (its status stays)."""
    return Run(store, run_id)


def make_child(store: Store, run_id: str, *, parent: str) -> bool:
    """Make a run that has ended the child of another one; returns whether it is still there."""
    run = _found(lambda: store.client.get_run(run_id))
    if run is None or run.info.lifecycle_stage != "active":
        return False
    store.client.set_tag(run_id, "mlflow.parentRunId", parent)
    return True


def register(store: Store, model: ModelRef, name: str, *, tags: Mapping[str, object] | None = None) -> ModelRef:
    """Make a logged model a version of the registered model ``name``; moves no alias."""
    import mlflow

    made = mlflow.register_model(model.uri, name, tags={key: str(value) for key, value in (tags or {}).items()})
    return ModelRef(name, str(made.version), model.run_id, f"models:/{name}/{made.version}")


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
    run = _found(lambda: store.client.get_run(run_id))
    if run is None:
        return None
    outputs = run.outputs.model_outputs if run.outputs else []
    models = [store.client.get_logged_model(output.model_id) for output in outputs]
    return {model.name: f"models:/{model.model_id}" for model in models}


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
        return Path(mlflow.artifacts.download_artifacts(artifact_uri=model.uri, dst_path=str(target)))
    except (MlflowException, OSError) as error:
        raise ModelError(f"the files of model {model.display} cannot be read ({error}); train and register it again") from error


def model_folder(downloaded: str | Path) -> Path:
    """Return the model folder inside a downloaded MLflow model."""
    import yaml

    conf = yaml.safe_load((Path(downloaded) / "MLmodel").read_text(encoding="utf-8"))["flavors"]["python_function"]
    return Path(downloaded) / conf["data"]


def load_logged_engine(device: str | None = None, *, downloaded: str, **settings: Any) -> Engine | Processed:
    """Load a downloaded MLflow model and return its engine, with the user's functions around it: what a scoring worker calls.

    Args:
        device: Where to compute; None: the engine's choice.
        downloaded: Local folder that holds ``MLmodel``.
        settings: As in ``scoring.engine.load_engine``.
    """
    quiet_mlflow()
    import mlflow.pyfunc

    return mlflow.pyfunc.load_model(downloaded, suppress_warnings=True).get_raw_model().engine(device=device, **settings)


def quiet_mlflow() -> None:
    """Keep MLflow's and its migrations' progress notes out of the job's log; warnings stay."""
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")  # Read when mlflow is imported, which sets the levels anew.
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _registered(name: str, look_up: Callable[[], Any]) -> ModelRef | None:
    found = _found(look_up)
    return None if found is None else ModelRef(name, str(found.version), found.run_id or "", f"models:/{name}/{found.version}")


def _found(look_up: Callable[[], Any]) -> Any | None:
    """Return what MLflow finds, or None where it says that there is no such thing."""
    from mlflow.exceptions import MlflowException

    try:
        return look_up()
    except MlflowException as error:
        # SQLite stores call an alias that is not there an invalid parameter.
        if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "NOT_FOUND"}:
            return None
        raise
