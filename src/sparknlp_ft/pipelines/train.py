"""Train: a pinned table becomes a snapshot, ranks fine-tune on it, the model is tracked, registered and judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sparknlp_ft.config import Config
from sparknlp_ft.findings.finding import Finding
from sparknlp_ft.progress import step
from sparknlp_ft.reports.blocks import Report
from sparknlp_ft.reports.page import Viewed
from sparknlp_ft.snapshot.manifest import Manifest
from sparknlp_ft.steps.checks import (
    check_base,
    check_folders,
    check_libraries,
    check_loss,
    check_metric,
    check_task,
    look_at_table,
    together,
)
from sparknlp_ft.steps.command import Command
from sparknlp_ft.steps.facts import TableFacts
from sparknlp_ft.steps.findings import find_all, keep
from sparknlp_ft.steps.fine_tuning import close_run, fine_tune, log_result, prepare, training_run
from sparknlp_ft.steps.gate import Verdict, judge
from sparknlp_ft.steps.job import Job, open_job
from sparknlp_ft.steps.lineage import lineage
from sparknlp_ft.steps.ranks import with_ranks
from sparknlp_ft.steps.training_report import Trained, log_training
from sparknlp_ft.tables.contracts import VALIDATION
from sparknlp_ft.tables.delta import Pinned
from sparknlp_ft.tracking.store import ModelRef, Run, register
from sparknlp_ft.training.job import TrainResult
from sparknlp_ft.training.picking import FEW_ROWS

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True)
class TrainOutcome(Viewed):
    """What a training job came to."""

    source: Pinned
    manifest: Manifest
    result: TrainResult
    model: ModelRef
    verdict: Verdict
    run_id: str
    findings: tuple[Finding, ...] = ()  #: What was found in the rows before.
    page: Report | None = None  #: What is shown in notebooks, and was logged as ``report.html``.

    def report(self) -> Report:
        """Return what is shown in notebooks, and was logged as ``report.html``."""
        return self.page or Report("train", self.source.ref.readable, str(self).splitlines())

    def __str__(self) -> str:
        splits = ", ".join(f"{split.rows:,} {name}" for name, split in self.manifest.splits.items())
        result, metric = self.result, self.result.metric
        value = result.best_metrics.get(metric, float("nan"))
        best = f"best epoch {result.best_epoch}: {metric} {value:.4f} on validation{self._luckier()}"
        speed = f"{result.steps:,} steps in {result.seconds:.0f} s, {result.train_rows_per_second:.0f} rows/s"
        share = "" if result.trained_share == 1 else f", {result.trained_share:.2%} of the parameters trained"
        lines = [
            f"table     {self.source.ref.readable} version {self.source.version}: {splits} rows",
            f"training  {result.ranks} rank(s), {result.precision}{share}, {speed}; {best}",
            *self._advice(),
            f"model     {self.model.display} (run {self.run_id})",
            f"alias     {self.verdict}",
        ]
        return "\n".join(lines)

    def _luckier(self) -> str:
        found, rows = self.result.luckier, self.manifest.splits[VALIDATION].rows if VALIDATION in self.manifest.splits else 0
        if found is None or rows > FEW_ROWS:
            return ""
        return f" (epoch {found[0]} had {found[1]:.4f}, but {rows} rows do not tell them apart)"

    def _advice(self) -> list[str]:
        found = []
        if (falling := self.result.still_falling) is not None:
            more = f"it may learn more with train.epochs={2 * len(self.result.epochs)}"
            found += [f"          the loss was still falling at the end ({falling[0]:.4f}, then {falling[1]:.4f} on validation): {more}"]
        if error := self.result.calibration:
            fitted = f"{error['ece_before']:.4f} as trained, {error['ece_after']:.4f} with the temperature that was fitted"
            found += [f"scores    calibration error on validation {fitted}"]
        return found


def run_train(config: Config, spark: SparkSession) -> TrainOutcome:
    """Fine-tune on ``data.table`` and register the model.

    Raises:
        UserError: Configuration, table, model or cluster do not fit; says which and what to do.
        RankError: A rank failed for another reason.
    """
    job = open_job(with_ranks(config, spark), spark)
    findings = find_all(job)
    job, base, manifest = prepare(job)
    with training_run(job, manifest, f"train {config.model_name}") as run:
        keep(findings, run)
        result = fine_tune(job, run, manifest, base)
        model = _registered(job, run, result, manifest)
        verdict = judge(job, model, TableFacts.of_manifest(manifest))
        page = log_training(job, run, Trained(manifest, result, verdict, findings))
    close_run(result, run.run_id)
    return TrainOutcome(job.source, manifest, result, model, verdict, run.run_id, tuple(findings), page)


def _registered(job: Job, run: Run, result: TrainResult, manifest: Manifest) -> ModelRef:
    with step("logging and registering the model"):
        return register(job.store, log_result(run, result), job.config.model_name, tags=lineage(job.source, manifest))


def check_train(config: Config) -> list[str]:
    """Check task, base model, loss and metric, and that what is learnt can be kept."""
    return together(config, check_task, check_base, check_libraries, check_loss, check_metric, check_folders)


COMMAND = Command(
    place=2,
    help="Delta table → fine-tuned model, tracked and registered",
    check=check_train,
    look=look_at_table,
    run=lambda config, spark, arguments: run_train(config, spark),
)
