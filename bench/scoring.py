"""Scoring, side by side: the usual ways and this project's, in a bare loop and in Spark.

    python -m bench.scoring --texts test.csv --labels train.csv --rows 600 --json scoring.json

All ways score the same texts with the same model; the repetitions are interleaved, so that what else the machine does
falls on all of them alike. Prints medians, ratios to the first way of its group, and the share of decisions equal to
float32; ``--json`` keeps every repetition.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from sparknlp_ft.config import ModelConfig, TextConfig
from sparknlp_ft.models.device import has_bfloat16, pick_device
from sparknlp_ft.models.folder import build_network, quiet_transformers, save_model
from sparknlp_ft.models.meta import new_meta
from sparknlp_ft.models.origin import resolve_base
from sparknlp_ft.scoring.engine import TorchEngine, load_engine
from sparknlp_ft.tasks import get_task
from sparknlp_ft.text.batching import by_token_budget, pad
from sparknlp_ft.text.encoder import TextEncoder

MAX_LENGTH = 256

Way = Callable[[list[str]], np.ndarray]


def main() -> None:
    args = parse()
    texts = read_texts(args)
    with tempfile.TemporaryDirectory() as folder:
        model = Path(args.model) if args.model else fitted_model(Path(folder), args)
        report = {"machine": machine(args), "rows": len(texts), "mean_tokens": mean_tokens(model, texts)}
        print(f"{report['machine']}\n{len(texts)} texts, {report['mean_tokens']:.1f} tokens on average, at most {MAX_LENGTH}\n", flush=True)
        if not args.only_spark:
            report["loop"] = measure(loop_ways(model, args), texts, args.repeats, "in a loop")
        if not args.no_spark:
            report["spark"] = measure(spark_ways(model, args), texts, args.repeats, "in Spark")
    if args.json:
        Path(args.json).write_text(json.dumps(report, indent=1))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="model folder saved by training; default: MiniLM with a head fitted on --labels")
    parser.add_argument("--texts", help="CSV with a column 'text' to score; default: the demo's messages")
    parser.add_argument("--labels", help="CSV with 'text' and a label column, to fit the head on; default: the demo's messages")
    parser.add_argument("--label-column", default="category")
    parser.add_argument("--long", help="JSON file in SQuAD's form; its contexts are mixed in as long texts")
    parser.add_argument("--long-share", type=float, default=0.15)
    parser.add_argument("--rows", type=int, default=600)
    parser.add_argument("--fit-rows", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--bfloat16", action="store_true", help="measure bfloat16 where the device only emulates it, too")
    parser.add_argument("--no-spark", action="store_true")
    parser.add_argument("--only-spark", action="store_true")
    parser.add_argument("--json", help="file for all repetitions")
    return parser.parse_args()


def read_texts(args: argparse.Namespace) -> list[str]:
    """Return the texts in random order, long ones mixed in."""
    rng = np.random.default_rng(0)
    short = [row["text"] for row in read_csv(args.texts)] if args.texts else [text for text, _ in demo_rows("test")]
    count = args.rows
    long: list[str] = []
    if args.long:
        articles = json.loads(Path(args.long).read_text(encoding="utf-8"))["data"]
        contexts = [paragraph["context"] for article in articles for paragraph in article["paragraphs"]]
        long = [contexts[i] for i in rng.choice(len(contexts), int(count * args.long_share), replace=False)]
    chosen = [short[i] for i in rng.choice(len(short), count - len(long), replace=count - len(long) > len(short))]
    mixed = [*chosen, *long]
    return [mixed[i] for i in rng.permutation(len(mixed))]


def read_csv(path: str) -> list[dict[str, str]]:
    with Path(path).open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def demo_rows(split: str) -> list[tuple[str, str]]:
    from sparknlp_ft.demo.messages import messages

    return [(row.text, row.intent) for row in messages() if row.split == split]


def fitted_model(folder: Path, args: argparse.Namespace) -> Path:
    """Return MiniLM with a head fitted to its features: quick to make, and its decisions mean something."""
    import torch
    from sklearn.linear_model import LogisticRegression

    rows = [(row["text"], row[args.label_column]) for row in read_csv(args.labels)] if args.labels else demo_rows("train")
    rows = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))[: args.fit_rows]]
    labels = sorted({label for _, label in rows})
    base, task, text = resolve_base(ModelConfig()), get_task("classification"), TextConfig(max_length=MAX_LENGTH)
    network, encoder = build_network(base, task, labels).eval(), TextEncoder.load(base, text)
    inputs = [encoder.assemble(ids) for ids in encoder.tokenize([text for text, _ in rows])]
    features = np.zeros((len(rows), network.config.hidden_size), dtype=np.float32)
    with torch.inference_mode():
        for batch in by_token_budget([len(row) for row in inputs], 2048):
            arrays = pad([inputs[i] for i in batch], encoder.pad_id)
            features[batch] = network.bert(**{name: torch.from_numpy(values) for name, values in arrays.items()}).pooler_output.numpy()
    fit = LogisticRegression(C=30, max_iter=300).fit(features, [label for _, label in rows])
    with torch.no_grad():
        network.classifier.weight.copy_(torch.from_numpy(fit.coef_))
        network.classifier.bias.copy_(torch.from_numpy(fit.intercept_))
    save_model(network, folder / "fitted", base_dir=base, meta=new_meta(task, labels, text))
    return folder / "fitted"


def loop_ways(model: Path, args: argparse.Namespace) -> dict[str, Way]:
    import torch

    torch.set_num_threads(args.threads)
    ways: dict[str, Way] = {
        "transformers pipeline, batch 1": partial(run_pipeline, make_pipeline(model), batch_size=1),
        "transformers pipeline, batch 32": partial(run_pipeline, make_pipeline(model), batch_size=32),
        "padded batches of 64 (mlflow.transformers)": partial(run_pipeline, make_pipeline(model), batch_size=64),
    }
    engines = {f"engine float32, {a}, {t} tokens": ("float32", a, t) for a in ("sdpa", "eager") for t in (1024, 2048, 4096)}
    if args.bfloat16 or has_bfloat16(pick_device()):
        engines |= {f"engine bfloat16, {a}, {t} tokens": ("bfloat16", a, t) for a in ("sdpa", "eager") for t in (2048, 4096)}
    for name, (precision, attention, tokens) in engines.items():
        engine = load_engine(model, precision=precision, attention=attention, batch_tokens=tokens, threads=args.threads)
        ways[name] = partial(run_engine, engine)
    return ways


def make_pipeline(model: Path) -> object:
    from transformers import pipeline

    with quiet_transformers():
        return pipeline("text-classification", model=str(model), top_k=1)


def run_pipeline(pipe: Callable, texts: list[str], *, batch_size: int) -> np.ndarray:
    found = pipe(texts, batch_size=batch_size, truncation=True, max_length=MAX_LENGTH)
    index = pipe.model.config.label2id  # type: ignore[attr-defined]
    return np.asarray([index[one[0]["label"] if isinstance(one, list) else one["label"]] for one in found])


def run_engine(engine: TorchEngine, texts: list[str]) -> np.ndarray:
    return engine.predict(texts).results.argmax(axis=1)


def spark_ways(model: Path, args: argparse.Namespace) -> dict[str, Way]:
    from pyspark.sql import functions as F

    from sparknlp_ft.scoring.columns import Output
    from sparknlp_ft.scoring.incremental import SCORED, with_scores
    from sparknlp_ft.scoring.udf import scoring_udf
    from sparknlp_ft.tables.contracts import Roles
    from sparknlp_ft.tables.session import get_session, slots

    spark = get_session("bench")
    label_index = {label: i for i, label in enumerate(json.loads((model / "sparknlp_ft.json").read_text())["labels"])}
    roles = Roles(texts=(("text", "text"),), target=None, key=("id",), split=None)

    def run(score: Callable, texts: list[str]) -> np.ndarray:
        frame = spark.createDataFrame(pd.DataFrame({"id": range(len(texts)), "text": texts}))
        rows = score(frame).toPandas().sort_values("id")
        return rows["label"].map(label_index).to_numpy()

    def naive(batch_size: int) -> Way:
        udf = naive_udf(str(model), batch_size)
        return partial(run, lambda frame: frame.repartition(slots(spark)).select("id", udf("text").alias("label")))

    def ours(precision: str) -> Way:
        settings = {"precision": precision, "threads": 1}
        udf = scoring_udf(
            partial(engine_in_worker, model=str(model), **settings),
            f"{model} {settings}",
            Output(get_task("classification").prediction_fields),
        )
        return partial(
            run, lambda frame: with_scores(frame, roles, udf, partitions=slots(spark)).select("id", F.col(SCORED)["label"].alias("label"))
        )

    ways = {"pandas_udf, pipeline batch 1": naive(1), "pandas_udf, pipeline batch 32": naive(32), "scoring_udf, float32": ours("float32")}
    return ways | ({"scoring_udf, bfloat16": ours("bfloat16")} if args.bfloat16 or has_bfloat16(pick_device()) else {})


def naive_udf(model: str, batch_size: int) -> Callable:
    """Return the pandas_udf one writes first: a pipeline kept in the worker, batches in the order the rows come."""
    from pyspark.sql.functions import pandas_udf

    def score(batches: Iterator[pd.Series]) -> Iterator[pd.Series]:
        import transformers

        if not hasattr(transformers, "_kept"):
            transformers._kept = transformers.pipeline("text-classification", model=model, top_k=1)
        for batch in batches:
            found = transformers._kept(batch.to_list(), batch_size=batch_size, truncation=True, max_length=256)
            yield pd.Series([one[0]["label"] if isinstance(one, list) else one["label"] for one in found])

    return pandas_udf(score, "string").asNondeterministic()


def engine_in_worker(device: str | None, *, model: str, **settings: object) -> TorchEngine:
    return load_engine(model, device=device, **settings)  # type: ignore[arg-type]


def measure(ways: dict[str, Way], texts: list[str], repeats: int, group: str) -> list[dict]:
    """Time all ways, interleaved, after one short run of each; print the table."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    decisions: dict[str, np.ndarray] = {}
    for way in ways.values():
        way(texts[:32])
    for _ in range(repeats):
        for name, way in ways.items():
            start = time.perf_counter()
            decisions[name] = way(texts)
            seconds[name].append(time.perf_counter() - start)
    reference = decisions[next(name for name in ways if "float32" in name)]
    first = statistics.median(seconds[next(iter(ways))])
    rows = []
    print(f"{group:<45} rows/s  ratio  equal to float32   (median of {repeats})")
    for name, taken in seconds.items():
        middle, equal = statistics.median(taken), float((decisions[name] == reference).mean())
        rows.append({"way": name, "seconds": taken, "rows_per_second": len(texts) / middle, "equal": equal})
        print(f"{name:<45} {len(texts) / middle:6.0f}  {first / middle:5.2f}  {equal:.4f}", flush=True)
    print()
    return rows


def mean_tokens(model: Path, texts: list[str]) -> float:
    encoder = TextEncoder.load(model, TextConfig(max_length=MAX_LENGTH))
    return float(np.mean([len(encoder.assemble(ids)) for ids in encoder.tokenize(texts)]))


def machine(args: argparse.Namespace) -> str:
    import torch

    device = pick_device()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    kind = torch.backends.cpu.get_cpu_capability()
    return f"{name}, {args.threads} threads, {kind}, bfloat16 {'native' if has_bfloat16(device) else 'emulated'}, torch {torch.__version__}"


if __name__ == "__main__":
    sys.exit(main())
