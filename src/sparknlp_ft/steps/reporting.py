"""Reports kept: as a page and its JSON twin, in the MLflow run and beside the run folders."""

from __future__ import annotations

import json

from sparknlp_ft.config import Config
from sparknlp_ft.progress import log
from sparknlp_ft.reports.blocks import Facts, Link, Report
from sparknlp_ft.reports.page import as_page
from sparknlp_ft.secrecy import cleaned, cleaned_address
from sparknlp_ft.tables.delta import Pinned
from sparknlp_ft.tracking.store import ModelRef, Run, Store
from sparknlp_ft.training.run_folder import Runs

PAGE, TWIN = "report.html", "report.json"


def keep_report(run: Run, report: Report, config: Config, name: str, folder: str = "") -> None:
    """Log a report to a run, and keep it under ``launch.run_dir``; a folder that cannot be written stops nothing.

    Args:
        run: The run.
        report: What to keep.
        config: Says where run folders are.
        name: Of the files beside the run folders.
        folder: Folder of the run's artifacts.
    """
    page, twin = as_page(report), cleaned(json.dumps(report.as_json(), ensure_ascii=False, indent=1))
    for file, text in ((PAGE, page), (TWIN, twin)):
        run.log_text(text, f"{folder}/{file}" if folder else file)
    try:
        log.info("report: %s", Runs.at(config.launch.run_dir).write_report(name, page, twin))
    except OSError as error:
        log.warning("the report is in run %s alone: launch.run_dir cannot be written (%s)", run.run_id, error)


def run_link(store: Store, run_id: str) -> Link:
    """Return a run's id, which leads to MLflow's page about it where its store has one."""
    return Link(run_id, f"{cleaned_address(store.uri).rstrip('/')}/#/experiments/{store.experiment_id}/runs/{run_id}")


def model_link(store: Store, model: ModelRef) -> Link:
    """Return a model's name and version, which lead to MLflow's page about it where its store has one."""
    path = f"/#/models/{model.name}/versions/{model.version}" if model.is_registered else ""
    return Link(model.display, f"{cleaned_address(store.uri).rstrip('/')}{path}")


def lineage_block(store: Store, source: Pinned, model: ModelRef, run_id: str, snapshot: str) -> Facts:
    """Return what leads from the table to the predictions."""
    return Facts(
        "Where it comes from",
        [
            ("table", source.ref.readable),
            ("table version", f"{source.version} (id {source.table_id})"),
            ("snapshot", snapshot),
            ("run", run_link(store, run_id)),
            ("model", model_link(store, model)),
            ("predictions", f"each row names model {model.display}, run and table version it was made with"),
        ],
    )
