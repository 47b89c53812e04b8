"""The notebook as its reader runs it, cell by cell: ingest, train, evaluate, score on a table of one's own; what results show."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import sparknlp_ft as ft
from tests.tiny import tiny_model_dir

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def ran(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], list[Any], str]:
    """Names that the quickstart leaves, what its cells show, and what they print; on a tiny model."""
    folder = tmp_path_factory.mktemp("notebook")
    own: dict[str, Any] = {"FOLDER": str(folder), "TICKETS": str(ROOT / "examples" / "tickets.csv"), "BASE": str(tiny_model_dir(folder))}
    quick = {"train.epochs": 3, "train.learning_rate": 0.005, "model.dropout": 0.0, "text.max_length": 32, "data.validation_fraction": 0.2}
    own |= {"settings": quick}
    cells = json.loads((ROOT / "notebooks" / "quickstart.ipynb").read_text(encoding="utf-8"))["cells"]
    names: dict[str, Any] = {}
    shown: list[Any] = []
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        for cell in cells:
            if cell["cell_type"] == "code":
                tree = ast.parse("".join(cell["source"]))
                last = ast.Expression(tree.body.pop().value) if tree.body and isinstance(tree.body[-1], ast.Expr) else None
                exec(compile(tree, "quickstart", "exec"), names)  # noqa: S102  the project's own notebook
                names |= {name: value for name, value in own.items() if name in names}
                shown += [] if last is None else [eval(compile(last, "quickstart", "eval"), names)]  # noqa: S307
    return names, shown, printed.getvalue()


def test_train_evaluate_and_score_work_on_a_table_that_says_nothing_of_splits(ran: tuple[dict[str, Any], list[Any], str]) -> None:
    names, _, printed = ran
    splits = {name: split.rows for name, split in names["trained"].manifest.splits.items()}
    assert set(splits) == {"train", "validation", "test"} and sum(splits.values()) == 240
    assert names["evaluation"].rows == splits["test"] == names["trained"].verdict.test_rows
    assert names["evaluation"].metrics["accuracy"] == pytest.approx(names["trained"].verdict.test["accuracy"])
    assert names["scored"].scored == 240 and "model_version" in printed
    assert "Did you mean 'ticket_id'?" in printed


def test_what_a_cell_shows_is_a_page_without_scripts_and_a_plain_text(ran: tuple[dict[str, Any], list[Any], str]) -> None:
    _, shown, _ = ran
    pages = [one for one in shown if hasattr(one, "_repr_html_") and not hasattr(one, "toPandas")]
    assert [type(one).__name__ for one in pages] == ["Profile", "TrainOutcome", "Evaluation", "ScoreResult"]
    for one in pages:
        html = one._repr_html_()
        assert html.startswith('<div class="sparknlp-ft">') and "<script" not in html and "http" not in re.sub(r'href="[^"]*"', "", html)
        assert "<" not in str(one)[:1] and len(str(one).splitlines()) > 2


def test_a_training_leaves_its_report_with_the_run_and_beside_the_run_folder(ran: tuple[dict[str, Any], list[Any], str]) -> None:
    names, _, _ = ran
    folder, run_id = Path(names["FOLDER"]), names["trained"].run_id
    [page] = (folder / "runs" / "reports").glob("train-*.html")
    text, twin = page.read_text(encoding="utf-8"), json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))
    assert len(text) < 1_000_000 and run_id in text
    assert {"facts", "table", "chart", "bars"} <= {block["kind"] for block in twin["blocks"]}
    titles = [block["title"] for block in twin["blocks"]]
    assert {"Quality, test", "Quality, validation", "Labels, test", "Confidence and coverage", "Loss", "Where it comes from"} <= set(titles)
    from sparknlp_ft.config import TrackingConfig
    from sparknlp_ft.tracking.store import connect

    client = connect(TrackingConfig(uri=f"sqlite:///{folder}/mlflow.db", experiment="quickstart")).client
    logged = {file.path for file in client.list_artifacts(run_id)}
    assert {"report.html", "report.json"} <= logged


def test_the_session_is_the_notebooks_own_and_goes_on(spark: SparkSession, ran: tuple[dict[str, Any], list[Any], str]) -> None:
    with pytest.raises(ft.DataError, match=r"no 'validation2'|is not there|no version"):
        ft.score(spark, table="nowhere", root=str(ran[0]["FOLDER"]), tracking={"uri": f"sqlite:///{ran[0]['FOLDER']}/mlflow.db"})
    assert spark.range(3).count() == 3
