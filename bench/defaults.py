"""Default settings against the cheap baseline, on small tables: which wins, and whether the alias knows.

    python -m bench.defaults [--sets banking77 snips] [--rows 100 600] [--splits 0] [--seconds 200] [--set train.epochs=8]

Each set of conf/ is ingested once; a cell is a table of so many rows drawn from its train rows (by hash, another draw each split),
without validation rows of its own, and up to ``--tests`` test rows. It is trained with nothing set but what the columns mean. Cells
that are finished are kept in ``--json``, and the same command goes on with those that are not; cells of other defaults go. One
process, one Spark session, one rank; ``--seconds`` is how long new cells are begun. What a cell leaves on disk goes with it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from sparknlp_ft.config import Config

RESULTS = Path(__file__).parent / "results" / "defaults.json"


@dataclass(frozen=True)
class Set:
    """A data set: its file in conf/, what its table is, and its columns in the table that ingest writes."""

    conf: str
    task: str
    target: str
    texts: tuple[str, ...] = ("text",)


SETS = {
    "banking77": Set("banking77", "classification", "label"),
    "snips": Set("snips", "classification", "label"),
    "sms_spam": Set("sms_spam", "classification", "label"),
    "snli": Set("snli", "classification", "label", ("text", "text_pair")),
    "paws_wiki": Set("paws_wiki", "classification", "label", ("text", "text_pair")),
    "goemotions": Set("goemotions", "multi_label", "labels"),
    "wnut17": Set("wnut17", "token_classification", "entities"),
    "squad": Set("squad", "question_answering", "answers", ("question", "context")),
}


def main() -> None:
    options = parse()
    from sparknlp_ft.progress import setup_logging
    from sparknlp_ft.tables.session import MASTER_VARIABLE, get_session

    os.environ.setdefault(MASTER_VARIABLE, "local[2]")
    setup_logging()
    cells = {name: cell for name, cell in read(options.json).items() if cell["defaults"] == defaults(cell["rows"], cell["set"])}
    wanted = [(rows, split, name) for rows in options.rows for split in options.splits for name in options.sets]
    left = [one for one in wanted if key(*one, options.label) not in cells]
    if left:
        spark, begun = get_session("sparknlp_ft bench.defaults"), time.monotonic()
        for rows, split, name in left:
            if time.monotonic() - begun > options.seconds:
                break
            cells[key(rows, split, name, options.label)] = measure(spark, options, name, rows, split)
            write(options.json, cells)
    print(table([cells[key(*one, options.label)] for one in wanted if key(*one, options.label) in cells]))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--rows", nargs="+", type=int, default=[100, 600, 2000])
    parser.add_argument("--splits", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--tests", type=int, default=600, help="test rows, at most")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="no cell is begun after")
    parser.add_argument("--set", nargs="+", default=[], metavar="section.key=value", help="settings that are not the defaults")
    parser.add_argument("--label", default="", help="name of a variant, which has cells of its own")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "sparknlp_ft-defaults", help="folder for tables")
    parser.add_argument("--json", type=Path, default=RESULTS, help="file that keeps the cells")
    return parser.parse_args()


def key(rows: int, split: int, name: str, label: str) -> str:
    return f"{name}-{rows}-{split}" + (f"-{label}" if label else "")


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def write(path: Path, cells: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(dict(sorted(cells.items())), indent=1) + "\n", encoding="utf-8")


def defaults(rows: int, name: str) -> str:
    """Return what tells these defaults from others: the settings that decide a model, and what is planned where they leave it open.

    What concerns some cells alone is a part of theirs: what picks among epochs by few validation rows, how thresholds are chosen, and
    what is seen of two texts.
    """
    from sparknlp_ft.config import Config
    from sparknlp_ft.identity import fingerprint
    from sparknlp_ft.models.pooling import DIFFERENCE
    from sparknlp_ft.tables import cut
    from sparknlp_ft.tasks.families.multi_label import SHARED_ROWS
    from sparknlp_ft.training import head, plan
    from sparknlp_ft.training.picking import luck

    config = Config.model_validate({"data": {"table": "cell"}})
    constants = {
        f"{module.__name__}.{name}": value
        for module in (cut, head, plan)
        for name, value in vars(module).items()
        if name.isupper() and name != "TELLING" and isinstance(value, int | float | tuple)
    }
    one = SETS[name]
    pooled = (DIFFERENCE, head.TELLING) if one.task == "classification" and len(one.texts) > 1 else ()
    own = [luck(0.5, cut.validation_rows(rows, 0)), SHARED_ROWS if one.task == "multi_label" else 0, pooled]
    return fingerprint([config.model_settings(), constants, *filter(None, own)], length=8)


def measure(spark: SparkSession, options: argparse.Namespace, name: str, rows: int, split: int) -> dict[str, Any]:
    """Make the table of a cell, train on it, and return what came of it."""
    from sparknlp_ft.pipelines.train import run_train
    from sparknlp_ft.tasks.task import signed

    config = make_table(spark, options, name, rows, split)
    start = time.monotonic()
    outcome = run_train(config, spark)
    seconds = time.monotonic() - start
    shutil.rmtree(folder_of(options, name, rows, split))
    metric, result = outcome.verdict.metric, outcome.result
    best = max(
        (one for one in outcome.verdict.baselines if metric in one.validation), key=lambda one: signed(metric, one.validation[metric])
    )
    return {
        "defaults": defaults(rows, name),
        "set": name,
        "rows": rows,
        "split": split,
        "settings": options.set,
        "metric": metric,
        "baseline": best.name,
        "baseline_validation": best.validation[metric],
        "baseline_test": best.test[metric],
        "model_validation": outcome.verdict.new,
        "model_test": outcome.verdict.test[metric],
        "moved": outcome.verdict.moved,
        "verdict": str(outcome.verdict),
        "validation_rows": outcome.verdict.validation_rows,
        "test_rows": outcome.verdict.test_rows,
        "epochs": len(result.epochs),
        "best_epoch": result.best_epoch,
        "calibration": result.calibration,
        "steps": result.steps,
        "training_seconds": result.seconds,
        "seconds": seconds,
    }


def make_table(spark: SparkSession, options: argparse.Namespace, name: str, rows: int, split: int) -> Config:
    """Write the table of a cell and return the configuration that trains on it: defaults, but for names and places."""
    from pyspark.sql import functions as F

    from sparknlp_ft.config import load_config

    source, one = ingested(spark, options.work, name), SETS[name]
    drawn = F.xxhash64(*[F.col(text) for text in one.texts], F.lit(split))
    train = source.where("split = 'train'").orderBy(drawn).limit(rows).cache()
    tests = known(source.where("split = 'test'"), train, one).orderBy(drawn).limit(options.tests)
    folder = folder_of(options, name, rows, split)
    path = str(folder / "lake" / "cell")
    train.unionByName(tests).coalesce(1).write.format("delta").mode("overwrite").save(path)
    train.unpersist()
    return load_config(
        None,
        [
            f"data={{task: {one.task}, table: cell, root: {folder / 'lake'}, key: {json.dumps(keys(source))}}}",
            f"launch={{backend: solo, ranks: 1, run_dir: {folder / 'runs'}}}",
            f"tracking.uri=sqlite:///{folder}/mlflow.db",
            f"tracking.artifacts={folder / 'artifacts'}",
            *options.set,
        ],
    )


def folder_of(options: argparse.Namespace, name: str, rows: int, split: int) -> Path:
    work: Path = options.work
    return work / "cells" / key(rows, split, name, options.label)


def known(tests: DataFrame, train: DataFrame, one: Set) -> DataFrame:
    """Return the test rows whose labels train has: of 100 rows with 77 labels, not all are there."""
    from pyspark.sql import functions as F

    if one.task == "classification":
        return tests.join(train.select(one.target).distinct(), one.target, "left_semi")
    if one.task == "question_answering":
        return tests
    labels = F.col(one.target) if one.task == "multi_label" else F.transform(one.target, lambda entity: entity["label"])
    have = [row[0] for row in train.select(F.explode(labels)).distinct().collect()]
    return tests.where(F.size(F.array_except(labels, F.array(*map(F.lit, have)))) <= 0)


def keys(source: DataFrame) -> list[str]:
    return ["id"] if "id" in source.columns else ["row_id"]


def ingested(spark: SparkSession, work: Path, name: str) -> DataFrame:
    """Return a set's table, ingesting it first where it is not there yet."""
    from sparknlp_ft.config import load_config
    from sparknlp_ft.pipelines.ingest import run_ingest

    config = load_config(Path("conf") / f"{SETS[name].conf}.yaml", [f"data.root={work / 'lake'}"])
    path = Path(config.data.root) / config.data.table
    if not path.is_dir():
        run_ingest(config, spark)
    return spark.read.format("delta").load(str(path))


def table(cells: list[dict[str, Any]]) -> str:
    """Return the cells as a table of Markdown, and how many were won."""
    head = "| set | rows | split | metric | test rows | baseline | model | better | alias | epochs | steps | seconds |\n|" + "---|" * 12
    lines = [
        f"| {c['set']} | {c['rows']} | {c['split']} | {c['metric']} | {c['test_rows']} | {c['baseline_test']:.4f} | {c['model_test']:.4f} "
        f"| {'yes' if c['model_test'] > c['baseline_test'] else 'no'} | {'moved' if c['moved'] else 'stays'} "
        f"| {c['epochs']} | {c['steps']} | {c['seconds']:.0f} |"
        for c in cells
    ]
    better = [c["model_test"] > c["baseline_test"] for c in cells]
    wrong = sum(c["moved"] and not won for c, won in zip(cells, better, strict=True))
    return "\n".join([head, *lines, f"\n{sum(better)} of {len(better)} cells better than the baseline; {wrong} moved and are not."])


def section(cells: Mapping[str, dict[str, Any]]) -> str:
    """Return the cells as a section of docs/BENCHMARKS.md; of 72 there may be fewer."""
    whole = len(SETS) * 9
    own = [cell for name, cell in cells.items() if name == key(cell["rows"], cell["split"], cell["set"], "")]
    earlier = sorted({cell["set"] for cell in own if cell["defaults"] != defaults(cell["rows"], cell["set"])})
    stale = f" Cells of {' and '.join(earlier)} were run with earlier settings, and are run anew by the same command." if earlier else ""
    partial = "" if len(own) >= whole else f" **Partial: {len(own)} of {whole} cells have run**; the same command goes on with the others."
    return (
        "### Default settings against the cheap baseline\n\n"
        "`.venv/bin/python -m bench.defaults`: nothing is set but what the columns mean; MiniLM, one rank. A cell is a table drawn from a "
        "set's train rows, of which some become validation rows, and up to so many test rows as its figures tell. "
        "Test rows decide nothing. "
        "Seconds are of a whole `train`, on a machine that was not kept free of other work."
        f"{partial}{stale}\n\n{table(own)}\n"
    )


if __name__ == "__main__":
    main()
