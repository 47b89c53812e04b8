"""The demo: write the data, ingest, train and hold against the cheap baseline, score, evaluate, and say what came of it.

Each step is the pipeline that the command of the same name runs; nothing here is a short cut.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from sparknlp_ft.config import Config, load_config
from sparknlp_ft.demo.messages import Message, messages, write_csv
from sparknlp_ft.demo.summary import CONFIG, Prediction, Summary
from sparknlp_ft.errors import EXIT_OTHER, EXIT_USER, UserError
from sparknlp_ft.progress import setup_logging, step

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: Predictions that are shown, spread over the table.
SHOWN = 6


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m sparknlp_ft.demo", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--config", metavar="FILE", default="conf/demo.yaml")
    parser.add_argument("--out", metavar="FOLDER", default="demo_run", help="where data, tables, runs and the MLflow store go")
    parser.add_argument("overrides", nargs="*", metavar="section.key=value")
    args = parser.parse_args(argv)
    setup_logging()
    try:
        out = Path(args.out).absolute()
        config = load_config(args.config, [*places(out), *args.overrides])
        out.mkdir(parents=True, exist_ok=True)
        (out / CONFIG).write_text(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False), encoding="utf-8")
        print(run_demo(config, out))
        return 0
    except UserError as error:
        print(f"demo: {error}", file=sys.stderr)
        return EXIT_USER
    except Exception:  # the last stop before the shell: the traceback is the message
        traceback.print_exc()
        return EXIT_OTHER


def places(out: Path) -> list[str]:
    """Return the overrides that keep everything the demo writes within one folder."""
    sources = ", ".join(f"{{format: csv, path: '{out}/data/{split}.csv', split: {split}}}" for split in ("train", "test"))
    return [
        f"data.root={out}/lake",
        f"data.sources=[{sources}]",
        f"launch.run_dir={out}/runs",
        f"tracking.uri=sqlite:///{out}/mlflow/mlflow.db",
        f"tracking.artifacts={out}/mlflow/artifacts",
    ]


def run_demo(config: Config, out: Path) -> Summary:
    """Run all steps in one Spark session.

    Args:
        config: A configuration whose places lie in ``out``.
        out: Folder for everything that is written.

    Raises:
        UserError: A step cannot be done, and says what to do.
    """
    from sparknlp_ft.pipelines.evaluate import run_evaluate
    from sparknlp_ft.pipelines.ingest import run_ingest
    from sparknlp_ft.pipelines.score import run_score
    from sparknlp_ft.pipelines.train import run_train
    from sparknlp_ft.steps.baselines import measure_baselines
    from sparknlp_ft.steps.job import open_job
    from sparknlp_ft.tables.session import get_session

    start = time.monotonic()
    rows = write_data(out / "data")
    with step("starting Spark"):
        spark = get_session("sparknlp_ft demo")
    print(run_ingest(config, spark))
    trained = run_train(config, spark)
    if not trained.verdict.moved:  # No better than TF-IDF here: the alias stays, and what comes next scores with the model by its version.
        config = config.model_copy(update={"score": config.score.model_copy(update={"model": trained.model.display})})
    scoring = time.monotonic()
    scored = run_score(config, spark)
    scoring = time.monotonic() - scoring
    again = run_score(config, spark)
    evaluated = run_evaluate(config, spark, split="test")
    return Summary(
        rows=len(rows),
        tests=sum(row.split == "test" for row in rows),
        intents=len({row.intent for row in rows}),
        baselines=list(trained.verdict.baselines) or measure_baselines(open_job(config, spark)),
        trained=trained,
        scored=scored,
        scoring_seconds=scoring,
        again=again,
        evaluated=evaluated,
        predictions=some_predictions(config, spark),
        seconds=time.monotonic() - start,
        out=out,
        config=config,
    )


def write_data(folder: Path) -> list[Message]:
    """Write the data set as one CSV file per split, and return its rows."""
    rows = messages()
    folder.mkdir(parents=True, exist_ok=True)
    for split in ("train", "test"):
        write_csv([row for row in rows if row.split == split], folder / f"{split}.csv")
    return rows


def some_predictions(config: Config, spark: SparkSession) -> list[Prediction]:
    """Return a few predictions of test rows with their texts and where they came from."""
    from sparknlp_ft.tables.delta import TableRef, pin, read

    key = config.data.key[0]
    source = read(spark, pin(spark, TableRef.parse(config.data.table, config.data.root)))
    scored = read(spark, pin(spark, TableRef.parse(f"{config.data.table}_predictions", config.data.root)))
    tests = source.where(source["split"] == "test").select(key, "text", source["label"].alias("truth"))
    fields = ("text", "truth", "label", "score", "model_version", "source_version")
    found = tests.join(scored, key).orderBy(key).select(*fields).collect()
    return [Prediction(*row) for row in found[:: max(1, len(found) // SHOWN)][:SHOWN]]
