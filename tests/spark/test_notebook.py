"""The notebook as its reader runs it, cell by cell: ingest, train, evaluate, score on a table of one's own; what results show."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import sparknlp_ft as ft
from sparknlp_ft.config import TrackingConfig, load_config
from sparknlp_ft.notebook import settings_of
from sparknlp_ft.pipelines.clean import run_clean
from sparknlp_ft.pipelines.reproduce import run_reproduce
from sparknlp_ft.pipelines.status import run_status
from sparknlp_ft.tracking.store import connect
from sparknlp_ft.training.leftovers import left_in
from sparknlp_ft.training.run_folder import RunFolder
from tests.notebooks import Ran, run_notebook
from tests.tiny import tiny_model_dir

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def ran(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Names that the quickstart leaves, what its cells show, and what they print; on a tiny model."""
    folder = tmp_path_factory.mktemp("notebook")
    own: dict[str, Any] = {"FOLDER": str(folder), "TICKETS": str(ROOT / "examples" / "tickets.csv"), "BASE": str(tiny_model_dir(folder))}
    quick = {"train.epochs": 3, "train.learning_rate": 0.005, "model.dropout": 0.0, "text.max_length": 32, "data.validation_fraction": 0.2}
    own |= {"settings": quick}
    return run_notebook("quickstart", own)


def test_train_evaluate_and_score_work_on_a_table_that_says_nothing_of_splits(ran: Ran) -> None:
    names, _, printed = ran
    splits = {name: split.rows for name, split in names["trained"].manifest.splits.items()}
    assert set(splits) == {"train", "validation", "test"} and sum(splits.values()) == 240
    assert names["evaluation"].rows == splits["test"] == names["trained"].verdict.test_rows
    assert names["evaluation"].metrics["accuracy"] == pytest.approx(names["trained"].verdict.test["accuracy"])
    assert names["scored"].scored == 240 and "model_version" in printed
    assert "Did you mean 'ticket_id'?" in printed


def test_what_a_cell_shows_is_a_page_without_scripts_and_a_plain_text(ran: Ran) -> None:
    _, shown, _ = ran
    pages = [one for one in shown if hasattr(one, "_repr_html_") and not hasattr(one, "toPandas")]
    assert [type(one).__name__ for one in pages] == ["Profile", "TrainOutcome", "Evaluation", "ScoreResult"]
    for one in pages:
        html = one._repr_html_()
        assert html.startswith('<div class="sparknlp-ft">') and "<script" not in html and "http" not in re.sub(r'href="[^"]*"', "", html)
        assert "<" not in str(one)[:1] and len(str(one).splitlines()) > 2


def test_a_training_leaves_its_report_with_the_run_and_beside_the_run_folder(ran: Ran) -> None:
    names, _, _ = ran
    folder, run_id = Path(names["FOLDER"]), names["trained"].run_id
    [page] = (folder / "runs" / "reports").glob("train-*.html")
    text, twin = page.read_text(encoding="utf-8"), json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))
    assert len(text) < 1_000_000 and run_id in text
    assert {"facts", "table", "chart", "bars"} <= {block["kind"] for block in twin["blocks"]}
    titles = [block["title"] for block in twin["blocks"]]
    assert {"Quality, test", "Quality, validation", "Labels, test", "Confidence and coverage", "Loss", "Where it comes from"} <= set(titles)
    client = connect(TrackingConfig(uri=f"sqlite:///{folder}/mlflow.db", experiment="quickstart")).client
    logged = {file.path for file in client.list_artifacts(run_id)}
    assert {"report.html", "report.json"} <= logged


def test_the_session_is_the_notebooks_own_and_goes_on(spark: SparkSession, ran: Ran) -> None:
    with pytest.raises(ft.DataError, match=r"no 'validation2'|is not there|no version"):
        ft.score(spark, table="nowhere", root=str(ran[0]["FOLDER"]), tracking={"uri": f"sqlite:///{ran[0]['FOLDER']}/mlflow.db"})
    assert spark.range(3).count() == 3


def test_a_finished_training_can_be_repeated_and_comes_out_the_same(spark: SparkSession, ran: Ran) -> None:
    names, _, _ = ran
    common, trained = names["common"], names["trained"]
    config = load_config(settings=settings_of("train", {"table": "", "launch": common["launch"], "tracking": common["tracking"]}))
    again = run_reproduce(config, spark, run_id=trained.run_id)
    assert again.again != trained.run_id and again.table.endswith("tickets version 0")
    assert again.then == pytest.approx(trained.result.best_metrics) and again.largest_difference < 1e-6
    assert "the largest difference is" in str(again) and "difference" in again._repr_html_()
    with pytest.raises(ft.ConfigError, match="there is no run"):
        run_reproduce(config, spark, run_id="0" * 32)


def test_status_tells_runs_models_tables_and_rows_that_wait(spark: SparkSession, ran: Ran) -> None:
    names, _, _ = ran
    config = load_config(settings=settings_of("score", names["common"]))
    waiting = RunFolder.at(f"{names['FOLDER']}/runs/tickets-cut-off")
    waiting.track("f" * 32)
    told = run_status(config, spark, rows=True)
    assert names["trained"].run_id in {run.run_id for run in told.runs}
    assert [(one.name, dict(one.aliases)) for one in told.models] == [("classification-tickets", {"champion": "1"})]
    assert {Path(one.path).name for one in told.tables} == {"tickets", "tickets_predictions"}
    assert told.stale == (0, 240)
    text = str(told)
    assert "cut off, 0 checkpoint(s); the same command goes on: its settings are in config.json of run fff" in text
    assert "champion → 1" in told._repr_html_()


def test_clean_lists_and_then_deletes_what_nothing_needs(ran: Ran) -> None:
    names, _, _ = ran
    config = load_config(settings=settings_of("score", names["common"]))
    left = Path(config.data.root) / f"tickets_predictions__scoring_{'a' * 12}"
    left.mkdir()
    (left / "part.parquet").write_text("x")
    assert run_clean(config, days=7).spare == ()
    listed = run_clean(config, days=0)
    assert left.is_dir() and "would be deleted: give --yes" in str(listed)
    kinds = {one.what.partition(",")[0] for one in listed.spare}
    assert kinds == {"run folder", "snapshot", "left by a job that was killed"}
    run_clean(config, days=0, delete=True)
    assert not left.exists() and (Path(config.data.root) / "tickets" / "_delta_log").is_dir()
    assert [one.run.folder.name for one in left_in(config.launch.run_dir)] in ([], ["tickets-cut-off"])
