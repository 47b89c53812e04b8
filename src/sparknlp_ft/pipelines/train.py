"""Train: a pinned table becomes a snapshot, ranks fine-tune on it, the model is tracked, registered and judged."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from sparknlp_ft.config import Config, fingerprint
from sparknlp_ft.models.folder import load_meta
from sparknlp_ft.models.size import weights_of
from sparknlp_ft.pipelines.base import pin_base
from sparknlp_ft.pipelines.checks import check_metric
from sparknlp_ft.pipelines.gate import Verdict, judge, of_manifest
from sparknlp_ft.progress import Bar, log, step
from sparknlp_ft.tables.delta import Pinned, TableRef, pin
from sparknlp_ft.tables.session import is_local, slots
from sparknlp_ft.tables.snapshot import build_snapshot
from sparknlp_ft.tasks import get_task
from sparknlp_ft.text.manifest import Manifest
from sparknlp_ft.tracking.logged import log_model
from sparknlp_ft.tracking.pyfunc import text_roles
from sparknlp_ft.tracking.store import ModelRef, Run, connect, register, start_run
from sparknlp_ft.tracking.tensorboard import EventFiles
from sparknlp_ft.training.job import TrainJob, TrainResult
from sparknlp_ft.training.launch import check_slots, launch

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

STEP_METRICS = ("loss", "learning_rate", "gradient_norm", "rows_per_second")

#: Libraries whose versions a run is tagged with.
LIBRARIES = ("pyspark", "delta-spark", "torch", "transformers", "petastorm")

#: The input example that is logged with the model: no text of the table leaves it.
EXAMPLE = ("Where is my order?", "Please change the address on my account.")


@dataclass(frozen=True)
class TrainOutcome:
    """What a training job came to."""

    source: Pinned
    manifest: Manifest
    result: TrainResult
    model: ModelRef
    verdict: Verdict
    run_id: str

    def __str__(self) -> str:
        splits = ", ".join(f"{split.rows:,} {name}" for name, split in self.manifest.splits.items())
        result, metric = self.result, self.result.metric
        best = f"best epoch {result.best_epoch}: {metric} {result.best_metrics.get(metric, float('nan')):.4f} on validation"
        speed = f"{result.steps:,} steps in {result.seconds:.0f} s, {result.train_rows_per_second:.0f} rows/s"
        share = "" if result.trained_share == 1 else f", {result.trained_share:.2%} of the parameters trained"
        lines = [
            f"table     {self.source.ref.display} version {self.source.version}: {splits} rows",
            f"training  {result.ranks} rank(s), {result.precision}{share}, {speed}; {best}",
            f"model     {self.model.display} (run {self.run_id})",
            f"alias     {self.verdict}",
        ]
        return "\n".join(lines)


def run_train(config: Config, spark: SparkSession) -> TrainOutcome:
    """Fine-tune on ``data.table`` and register the model.

    Raises:
        UserError: Configuration, table, model or cluster do not fit; says which and what to do.
        RankError: A rank failed for another reason.
    """
    store = connect(config.tracking)
    config, base = pin_base(config, store)
    source = pin(spark, TableRef.parse(config.data.table, config.data.root), config.data.version)
    check_slots(config.launch, slots(spark, wanted=config.launch.ranks))
    manifest = build_snapshot(spark, source, config, get_task(config.data.task), base)
    with start_run(store, f"train {config.model_name}", tags=lineage(source, manifest)) as run:
        result = fine_tune(run, config, spark, source=source, manifest=manifest, base=base)
        with step("logging and registering the model"):
            model = register(store, log_result(run, result), config.model_name, tags=lineage(source, manifest))
        verdict = judge(config, spark, store, source=source, model=model, **of_manifest(manifest))
        run.log_metrics(verdict.as_metrics())
    result = close_run_folder(result, run.run_id)
    return TrainOutcome(source, manifest, result, model, verdict, run.run_id)


def fine_tune(run: Run, config: Config, spark: SparkSession, *, source: Pinned, manifest: Manifest, base: Path) -> TrainResult:
    """Log settings and table to a run, start the ranks, and log what they tell while they work."""
    check_metric(config, get_task(config.data.task), manifest.labels)
    run.log_settings(config.flat(), config.model_dump(mode="json"))
    run.set_tags(runtime())
    run.log_table(source.ref.display, table_id=source.table_id, table_version=source.version, path=source.ref.path)
    job = make_job(config, spark, manifest, base)
    with step(f"training on {config.launch.ranks} rank(s)", spark), closing(Follower(run, manifest, config)) as follower:
        result = launch(job, config.launch, spark, slots=slots(spark), on_event=follower)
    run.log_metrics(run_metrics(result, manifest))
    return result


def runtime() -> dict[str, str]:
    """Return the versions of Python and of the libraries that a result hangs on."""
    return {"version.python": platform.python_version()} | {f"version.{name}": version(name) for name in LIBRARIES}


def run_metrics(result: TrainResult, manifest: Manifest) -> dict[str, float]:
    """Return what a training took, as metrics of its run."""
    parameters, size = weights_of(result.best_dir)
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
    }


def log_result(run: Run, result: TrainResult) -> ModelRef:
    """Log the best model of a training to its run."""
    meta = load_meta(result.best_dir)
    roles = text_roles(meta, get_task(meta.task).text_roles)
    return log_model(run, result.best_dir, text_roles=roles, example=example(roles))


def lineage(source: Pinned, manifest: Manifest) -> dict[str, object]:
    """Tags that lead from a run or a model version back to the table version and the snapshot it was trained on."""
    return {**source_tags(source), "snapshot": Path(manifest.path).name}


def source_tags(source: Pinned) -> dict[str, object]:
    """Tags that name a table version."""
    return {"source_table": source.ref.display, "source_table_id": source.table_id, "source_version": source.version}


def example(roles: Sequence[str]) -> pd.DataFrame:
    """Return two made-up input rows."""
    return pd.DataFrame({role: list(EXAMPLE) for role in roles})


def make_job(config: Config, spark: SparkSession, manifest: Manifest, base: Path) -> TrainJob:
    """Describe the job to the ranks. The run's folder is named by all that decides the result.

    So a job that is started again after it was killed finds its checkpoint, and one with other settings does not.
    """
    name = fingerprint(config.model_settings() | {"snapshot": Path(manifest.path).name})
    run_dir = Path(config.launch.run_dir) / f"{config.model_name}-{name}"
    # Ranks on other machines see the shared run folder, but not necessarily the base model's.
    if not is_local(spark) and not (run_dir / "base" / "config.json").exists():
        shutil.copytree(base, run_dir / "base", dirs_exist_ok=True)
    base_dir = base if is_local(spark) else run_dir / "base"
    return TrainJob(str(run_dir), manifest.path, str(base_dir), config.model_dump(mode="json"), resume=True)


def close_run_folder(result: TrainResult, run_id: str) -> TrainResult:
    """Rename a finished run's folder after its MLflow run, so that the same job can be run again from the start."""
    best = Path(result.best_dir)
    kept = Path(f"{best.parent}-{run_id[:8]}")
    best.parent.rename(kept)
    for name in ("base", "checkpoint"):
        shutil.rmtree(kept / name, ignore_errors=True)
    return replace(result, best_dir=str(kept / best.name))


class Follower:
    """Shows the ranks' events as they come, and logs them to the MLflow run. Called on the driver while ranks work."""

    def __init__(self, run: Run, manifest: Manifest, config: Config) -> None:
        self.run, self.task = run, get_task(config.data.task)
        self.bar = Bar("training", manifest.splits["train"].rows * config.train.epochs)
        folder = config.tracking.tensorboard
        self.events = EventFiles(folder, model=config.model_name, task=self.task.name, run_id=run.run_id) if folder else None

    def __call__(self, event: dict[str, Any]) -> None:
        if event["event"] == "step":
            self._log({f"train/{name}": event[name] for name in STEP_METRICS}, event["step"])
            self.bar.update(min(event["rows"], self.bar.total), f"loss {event['loss']:.3f}")
        elif event["event"] == "epoch":
            metrics = event["metrics"]
            self._log({f"validation/{name}": value for name, value in metrics.items()}, event["epoch"])
            shown = ", ".join(f"{name} {metrics[name]:.4f}" for name in self.task.shown_metrics if name in metrics)
            log.info("epoch %d: %s%s", event["epoch"], shown, " (best so far)" if event["best"] else "")

    def _log(self, metrics: dict[str, float], step: int) -> None:
        self.run.log_metrics(metrics, step=step)
        if self.events is not None:
            self.events.log_metrics(metrics, step=step)

    def close(self) -> None:
        """End the bar and the event files."""
        self.bar.close()
        if self.events is not None:
            self.events.close()
