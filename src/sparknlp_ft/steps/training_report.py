"""The report of a training: what was asked, what came out, how it went, where it comes from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from sparknlp_ft.config import Config, given_settings
from sparknlp_ft.findings.finding import Finding
from sparknlp_ft.reports.blocks import Block, Cell, Chart, Facts, Line, Report, Table
from sparknlp_ft.reports.quality import Quality, length_bars, quality_blocks, with_interval
from sparknlp_ft.snapshot.manifest import Manifest
from sparknlp_ft.steps.base_model import address_of_base, is_taught
from sparknlp_ft.steps.evaluation import Evaluation
from sparknlp_ft.steps.gate import Verdict
from sparknlp_ft.steps.job import Job
from sparknlp_ft.steps.reporting import keep_report, lineage_block
from sparknlp_ft.tracking.store import Run
from sparknlp_ft.training.job import TrainResult
from sparknlp_ft.training.run_folder import RunFolder


@dataclass(frozen=True)
class Trained:
    """What a training left."""

    manifest: Manifest
    result: TrainResult
    verdict: Verdict
    findings: Sequence[Finding]


def log_training(job: Job, run: Run, trained: Trained) -> Report:
    """Log what the gate measured and the report of a training; returns the report."""
    run.log_metrics(trained.verdict.as_metrics())
    report = training_report(job, run, trained)
    keep_report(run, report, job.config, f"train-{job.config.model_name}-{run.run_id[:8]}")
    return report


def training_report(job: Job, run: Run, trained: Trained) -> Report:
    """Return the report of a training."""
    manifest, result, verdict = trained.manifest, trained.result, trained.verdict
    blocks: list[Block] = [
        *_quality(trained),
        *_curves(result),
        _work(job.config, result),
        *_lengths(job, trained),
        lineage_block(job.store, job.source, verdict.model, run.run_id, manifest.name),
        Facts.of("What was asked", _asked(job.config), "Settings that are not the defaults."),
    ]
    if trained.findings:
        rows: list[list[Cell]] = [[one.severity, one.kind, one.message, one.count, one.cure] for one in trained.findings]
        blocks.append(Table("Found in the rows", ["severity", "what", "found", "rows", "cure"], rows))
    return Report("train", f"{job.config.model_name} on {job.source.ref.readable}", list(_said(job, trained)), blocks)


def verdict_blocks(verdict: Verdict) -> list[Block]:
    """Return what the gate measured: the new model beside the cheap baselines and, on validation rows, the aliased model."""
    blocks: list[Block] = []
    for one in verdict.evaluations:
        blocks += quality_blocks(_beside(one.quality(), one, verdict))
    return blocks


def _beside(quality: Quality, one: Evaluation, verdict: Verdict) -> Quality:
    """Add the baselines that were fitted, and what of other models the gate kept: the deciding metric on validation rows."""
    on_validation = one is verdict.evaluations[0]
    fitted = {entry.name: entry.validation if on_validation else entry.test for entry in verdict.baselines if entry.error is None}
    models = {rival.name: {verdict.metric: rival.value} for rival in verdict.rivals if on_validation and not rival.is_baseline}
    # Where baselines were fitted, the constant answer is one of them.
    rest = {} if fitted else quality.rivals
    return replace(quality, rivals={**{name: metrics for name, metrics in fitted.items() if metrics}, **rest, **models})


def _said(job: Job, trained: Trained) -> Iterator[str]:
    manifest, result, verdict = trained.manifest, trained.result, trained.verdict
    rows = ", ".join(f"{split.rows:,} {name}" for name, split in manifest.splits.items())
    done = "taught a student" if is_taught(job.config) else "was fine-tuned"
    yield (
        f"{address_of_base(job.config)} {done} for {job.task.name} on {job.source.ref.readable} version {job.source.version} "
        f"({rows} rows{f', {len(manifest.labels)} labels' if manifest.labels else ''})."
    )
    early = ", where patience ran out" if result.stopped_early else ""
    yield (
        f"It took {result.steps:,} steps and {result.seconds:,.0f} s on {result.ranks} rank(s){early}; epoch {result.best_epoch} of "
        f"{len(result.epochs)} was kept, by {result.metric} on validation rows."
    )
    *_, last = verdict.evaluations
    quality = last.quality(manifest.statistics)
    yield f"On the {last.rows:,} {last.title} rows it reaches {with_interval(quality, verdict.metric)}."
    yield f"{verdict}."


def _quality(trained: Trained) -> list[Block]:
    verdict, blocks = trained.verdict, list[Block]()
    for one in reversed(verdict.evaluations):
        quality = one.quality(trained.manifest.statistics)
        found = quality_blocks(_beside(quality, one, verdict))
        # Labels and confusions are told once: of test rows where there are any.
        blocks += found if not blocks else found[:1]
    return blocks


def _curves(result: TrainResult) -> list[Block]:
    steps = [event for event in RunFolder.of_best(result.best_dir).events() if event["event"] == "step"]
    blocks: list[Block] = []
    if steps:
        loss = Line("training loss", [(float(event["step"]), float(event["loss"])) for event in steps])
        ends = [(float(entry["step"]), entry["metrics"]["loss"]) for entry in result.epochs if "loss" in entry["metrics"]]
        blocks.append(Chart("Loss", "step", "loss", [loss, *([Line("validation loss", ends)] if ends else [])]))
    values = [(float(entry["epoch"]), entry["metrics"][result.metric]) for entry in result.epochs if result.metric in entry["metrics"]]
    if len(values) > 1:
        note = f"The model of epoch {result.best_epoch} was kept."
        blocks.append(Chart("Validation", "epoch", result.metric, [Line(result.metric, values)], note))
    return blocks


def _work(config: Config, result: TrainResult) -> Facts:
    rows: dict[str, object] = {
        "ranks": result.ranks,
        "device": result.device,
        "precision": result.precision,
        "threads of a rank": result.threads,
        "steps": result.steps,
        "rows per step": config.train.step_rows,
        "seconds": result.seconds,
        "rows per second, in steps": result.train_rows_per_second,
        "share of parameters trained": result.trained_share,
    }
    if error := result.calibration:
        rows |= {"calibration error as trained": error["ece_before"], "with its temperature": error["ece_after"]}
    return Facts.of("Work", rows)


def _lengths(job: Job, trained: Trained) -> list[Block]:
    blocks: list[Block] = []
    split = trained.manifest.splits.get("train")
    if split is not None and split.length_histogram:
        blocks.append(length_bars(split.length_histogram, "Tokens of train's rows"))
    evaluated = sum(one.rows for one in trained.verdict.evaluations)
    cut = sum(one.cut for one in trained.verdict.evaluations)
    facts = {
        "window": job.config.text.window or job.task.default_window,
        "tokens of a window": job.config.text.max_length,
        "rows evaluated": evaluated,
        "of these longer than the window": cut,
        "share longer than the window": cut / evaluated if evaluated else 0.0,
    }
    blocks.append(Facts.of("Window", facts))
    return blocks


def _asked(config: Config) -> dict[str, object]:
    """Return the settings that are not the defaults by their dotted names, but those that may hold a secret."""
    hidden = ("tracking.", "launch.env", "data.sources")
    changed = given_settings(config)
    return {
        name: value
        for name, value in config.flat().items()
        if name.partition(".")[0] in changed and name.split(".")[1] in changed[name.split(".")[0]] and not name.startswith(hidden)
    }
