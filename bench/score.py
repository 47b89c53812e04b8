"""Scoring, side by side: this project, and what people write with Spark, transformers and MLflow; whole jobs and their parts.

    python -m bench.score --parts engines jobs equal machinery table cold student --json bench/results

All ways score the same texts with the same model, a MiniLM with a head fitted to Banking77 (or to the demo's messages); rounds
are interleaved, so that what else the machine does falls on all alike. ``--json`` names a file or a folder; a file that is there
is added to, part by part and round by round, so that a long measurement can be made in slices: other parts keep their figures, and
with ``--fresh`` the parts that are run lose those they had. It is written after each part. ``scripts/write_benchmarks.py`` writes
the docs.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.score_ways import report
from bench.score_ways.material import MIXES, fitted_model, free_model, texts
from bench.train import processor

PACKAGES = ("torch", "transformers", "pyspark", "delta-spark", "mlflow", "openvino", "onnxruntime")
PARTS = ("engines", "jobs", "equal", "machinery", "table", "cold", "student")


#: One run of a way: its seconds and rows, and what it decided.
Run = Callable[[], tuple[dict[str, float], Any]]


def main() -> None:
    options = parse()
    path = options.json and (options.json if options.json.suffix else options.json / f"{report.slug({'processor': processor()})}.json")
    found = json.loads(path.read_text(encoding="utf-8")) if path and path.is_file() else {}
    found |= {
        "benchmark": "score",
        "date": time.strftime("%Y-%m-%d"),
        "processor": processor(),
        "versions": versions(),
        "threads": options.threads,
    }
    for part in options.parts if options.fresh else ():
        found.pop(part, None)
    with tempfile.TemporaryDirectory(prefix="bench-score-") as name:
        for part in options.parts:
            globals()[f"measure_{part}"](Path(name), found, options)
            found["ratios"] = report.ratios(found)
            keep(path, found)
    print(f"\n{report.section(found)}")


def keep(path: Path | None, found: dict[str, Any]) -> None:
    """Write what was found so far: a part that fails costs no other."""
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(found, indent=1), encoding="utf-8")
        print(f"written: {path}", flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--ways", nargs="+", default=[], help="of engines and jobs only these")
    parser.add_argument("--mixes", nargs="+", choices=list(MIXES), default=["mixed"], help="of lengths, for engines")
    parser.add_argument("--model", type=Path, help="folder of a model to score with; default: MiniLM with a fitted head")
    parser.add_argument("--rows", type=int, default=600, help="rows that engines, jobs and students score")
    parser.add_argument("--others-rows", type=int, help="rows that the usual ways score in jobs, the first of the table; default: all")
    parser.add_argument("--table-rows", type=int, default=1_000_000, help="rows of the table that a model that costs nothing scores")
    parser.add_argument("--machinery-rows", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1, help="of the process that measures engines alone; Spark's workers have 1")
    parser.add_argument("--student", type=Path, help="folder of a student: where there is one it is measured, else it is kept there")
    parser.add_argument("--student-layers", type=int, help="layers of a student; default: half of its teacher's")
    parser.add_argument("--student-epochs", type=int, default=8, help="passes over the texts that a student is taught on")
    parser.add_argument("--student-rows", type=int, help="labelled texts that a student is taught on, at most; default: all there are")
    parser.add_argument("--fresh", action="store_true", help="forget what the file has of the parts that are run")
    parser.add_argument("--json", type=Path, help="file to add all figures to, or a folder, which names it by processor")
    return parser.parse_args()


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def model_of(folder: Path, options: argparse.Namespace) -> Path:
    """Return the model to score with; it is fitted once a call."""
    if options.model:
        return options.model
    return folder / "fitted" if (folder / "fitted").is_dir() else fitted_model(folder / "fitted")


def measure_engines(folder: Path, found: dict[str, Any], options: argparse.Namespace) -> None:
    """Measure engines by themselves on each mix of lengths."""
    from bench.score_ways import alone

    model = model_of(folder, options)
    for mix in options.mixes:
        given = texts(options.rows, mix=mix)
        ways = alone.ways(model, given, options.threads, options.ways)
        runs = {name: timed(way, given) for name, way in ways.items()}
        decisions = interleaved(found.setdefault("engines", {}).setdefault(mix, {}), runs, options.rounds, mix)
        agreements(found["engines"][mix], decisions, "torch_float32")
        if mix == "mixed" and "auto" in ways:
            found["agreement"] = alone.agreement(model, ways["auto"], options.threads)
    found["peaks"] = alone.peaks()


def timed(way: Callable[[list[str]], np.ndarray], given: list[str]) -> Callable[[], tuple[dict[str, float], np.ndarray]]:
    way(given[:32])

    def run() -> tuple[dict[str, float], np.ndarray]:
        started = time.perf_counter()
        decided = way(given)
        return {"seconds": time.perf_counter() - started, "rows": len(given)}, decided

    return run


def interleaved(
    kept: dict[str, Any], ways: dict[str, Callable[[], tuple[dict[str, float], Any]]], rounds: int, group: str
) -> dict[str, Any]:
    """Run all ways in turn and keep each run; returns what each decided in the end."""
    decisions: dict[str, Any] = {}
    for number in range(rounds):
        for name, way in ways.items():
            run, decisions[name] = way()
            kept.setdefault(name, {"runs": [], "equal": None})["runs"].append(run)
            print(f"{group}  round {number + 1}/{rounds}  {name:<22} {run['rows'] / run['seconds']:9.1f} rows/s", flush=True)
    return decisions


def agreements(kept: dict[str, Any], decisions: dict[str, Any], reference: str) -> None:
    for name, decided in decisions.items():
        if reference in decisions:
            common = min(len(decided), len(decisions[reference]))
            kept[name]["equal"] = float((np.asarray(decided)[:common] == np.asarray(decisions[reference])[:common]).mean())


def measure_jobs(folder: Path, found: dict[str, Any], options: argparse.Namespace) -> None:
    """Measure whole jobs: Delta in, Delta out."""
    from bench.score_ways import whole
    from sparknlp_ft.tables.session import get_session

    (folder / "jobs").mkdir()
    lake, spark = whole.Lake(folder / "jobs", model_of(folder, options)), get_session("bench")
    given, fewer = texts(options.rows), options.others_rows or options.rows
    for table, rows in (("source", given), ("first", given[:fewer]), ("few", texts(64))):
        lake.write(spark, table, rows)

    def ours(settings: dict[str, Any], table: str, output: str) -> dict[str, float]:
        return lake.run(spark, table, output=output, **settings)

    every = whole.others(spark, lake)
    every["ours_float32"] = lambda table, output: ours({"precision": "float32"}, table, output)
    every["ours_auto"] = lambda table, output: ours({"engine": "auto"}, table, output)
    chosen = {name: way for name, way in every.items() if not options.ways or name in options.ways}
    number = iter(range(10**6))

    def job(name: str, way: Callable[[str, str], dict[str, float]], table: str) -> tuple[dict[str, float], np.ndarray]:
        output = f"{name}_{next(number)}"
        run, labels = way(table, output), lake.labels(spark, output)
        return {**run, "rows": len(labels)}, labels

    for name, way in chosen.items():
        job(name, way, "few")
    tables = {name: "source" if name.startswith("ours") else "first" for name in chosen}
    runs = {name: (lambda name=name, way=way: job(name, way, tables[name])) for name, way in chosen.items()}
    agreements(found.setdefault("jobs", {}), interleaved(found["jobs"], runs, options.rounds, "jobs"), "ours_float32")


def measure_equal(folder: Path, found: dict[str, Any], options: argparse.Namespace) -> None:
    """Measure whole jobs in float32 on tables of which 0, 30 and 90 % of the rows repeat the text of another."""
    from bench.score_ways import whole
    from sparknlp_ft.tables.session import get_session

    (folder / "equal").mkdir()
    lake, spark = whole.Lake(folder / "equal", model_of(folder, options)), get_session("bench")
    shares = (0, 30, 90)
    for share in shares:
        lake.write(spark, f"equal_{share}", texts(options.rows, equal=share / 100))
    lake.run(spark, "equal_90", output="warm", precision="float32")
    number = iter(range(10**6))
    runs = {
        str(share): (lambda share=share: (lake.run(spark, f"equal_{share}", output=f"out_{next(number)}", precision="float32"), None))
        for share in shares
    }
    interleaved(found.setdefault("equal", {}), runs, options.rounds, "equal texts, %")


def measure_machinery(folder: Path, found: dict[str, Any], options: argparse.Namespace) -> None:
    """Measure the path around the model, without the JVM."""
    from bench.score_ways import machinery

    found["machinery"] = machinery.measure(folder, options.machinery_rows, options.rounds)


def measure_table(folder: Path, found: dict[str, Any], options: argparse.Namespace) -> None:
    """Measure the commands on a large table with a model that costs nothing: first run, nothing changed, 0.1 % changed."""
    from delta.tables import DeltaTable
    from pyspark.sql import functions as F

    from bench.score_ways import whole
    from sparknlp_ft.tables.session import get_session

    (folder / "table").mkdir()
    lake, spark = whole.Lake(folder / "table", free_model(folder / "free")), get_session("bench")
    lake.write(spark, "few", texts(64, mix="short"))
    lake.run(spark, "few", precision="float32")
    short = spark.createDataFrame([(i, text) for i, text in enumerate(texts(3000, mix="short"))], "number long, body string")
    rows = spark.range(options.table_rows).withColumn("number", F.col("id") % 3000).join(F.broadcast(short), "number")
    rows = rows.select("id", F.concat_ws(" ", "body", F.col("id").cast("string")).alias("text"))
    kept: dict[str, Any] = {"rows": options.table_rows}
    for table in TABLES:
        feed = {"delta.enableChangeDataFeed": "true"} if table == "fed" else {}
        rows.write.format("delta").options(**feed).save(str(folder / "table" / table))
        kept[TABLES[table] + "first"] = lake.run(spark, table, precision="float32")["seconds"]
        print(f"table  first run of {options.table_rows:,} rows, {table}: {kept[TABLES[table] + 'first']:.1f} s", flush=True)
    runs: dict[str, list[float]] = {}
    for number in range(options.rounds):
        for table, named in TABLES.items():
            unchanged = lake.run(spark, table, precision="float32")["seconds"]
            changed = {"text": F.concat(F.col("text"), F.lit(" again"))}
            DeltaTable.forPath(spark, str(folder / "table" / table)).update(F.col("id") % 1000 == 7 + number, changed)
            permille = lake.run(spark, table, precision="float32")["seconds"]
            for name, seconds in (("unchanged", unchanged), ("one_permille", permille)):
                runs.setdefault(named + name, []).append(seconds)
            print(f"table  round {number + 1}/{options.rounds}  {table}: {unchanged:.1f} s unchanged, {permille:.1f} s changed", flush=True)
    found["table"] = kept | {name: statistics.median(each) for name, each in runs.items()} | {"runs": runs}


#: Tables of many rows, and what their figures' names begin with: one that keeps a change feed, and one that does not.
TABLES = {"fed": "", "plain": "without_feed_"}


def measure_cold(folder: Path, found: dict[str, Any], options: argparse.Namespace) -> None:
    """Measure the command on 100 rows in processes of their own."""
    from bench.score_ways import whole
    from sparknlp_ft.tables.session import get_session

    (folder / "cold").mkdir()
    lake, spark = whole.Lake(folder / "cold", model_of(folder, options)), get_session("bench")
    for number in range(options.rounds):
        lake.write(spark, f"cold_{number}", texts(100))
    spark.stop()
    for number in range(options.rounds):
        found.setdefault("cold", []).append(lake.command(f"cold_{number}"))
        print(f"cold  round {number + 1}/{options.rounds}  {found['cold'][-1]:.1f} s", flush=True)


def measure_student(folder: Path, found: dict[str, Any], options: argparse.Namespace) -> None:
    """Measure a student beside its teacher, both with whatever engine is fastest and decides as float32; teach it if there is none.

    It is taught on labelled texts and on others of the mix that is scored, and held against its teacher on texts it was not shown.
    """
    from bench.score_ways import alone, student

    teacher, given = model_of(folder, options), texts(options.rows)
    kept = options.student or folder / "student"
    taught = {} if kept.is_dir() else student.teach(folder, teacher, kept, given, options)
    part = found.setdefault("student", {"teacher": {}, "student": {}, "taught": taught})
    part["taught"] = taught or part["taught"]
    runs, names = {}, {}
    for who, model in (("teacher", teacher), ("student", kept)):
        for name, way in alone.ways(model, given, options.threads, options.ways or student.WAYS).items():
            runs[f"{who} {name}"], names[f"{who} {name}"] = timed(way, given), (who, name)
    measured: dict[str, Any] = {f"{who} {name}": part[who][name] for who, name in names.values() if name in part[who]}
    decisions = interleaved(measured, runs, options.rounds, "student")
    for full, (who, name) in names.items():
        part[who][name] = measured[full]
    for who in ("teacher", "student"):
        agreements(part[who], {name: decisions[full] for full, (of, name) in names.items() if of == who}, "torch_float32")
    best = f"student {report.fastest({name: part[who][name] for who, name in names.values() if who == 'student'})}"
    part["agreement"] = float((np.asarray(decisions[best]) == np.asarray(decisions["teacher torch_float32"])).mean())


if __name__ == "__main__":
    main()
