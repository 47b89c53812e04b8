"""A bare loop with length buckets: what a good engineer writes by hand on torch alone."""

from __future__ import annotations

import random
from pathlib import Path

import torch
from transformers import get_linear_schedule_with_warmup

from bench.train_ways.common import MEGA_BATCH, Prepared, evaluate, padded
from bench.train_ways.meter import Meter


def train(folder: Path, out: Path) -> None:
    """Train, and leave what was measured."""
    prepared, meter = Prepared.load(folder), Meter()
    train, rows, labels = prepared.config.train, prepared.train["input_ids"], torch.tensor(prepared.train["labels"])
    network = prepared.network().train()
    meter.watch(network)
    parameters = list(network.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": train.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    adamw = torch.optim.AdamW(groups, lr=train.rate, fused=True)
    steps = train.length * -(-len(rows) // train.step_rows)
    schedule = get_linear_schedule_with_warmup(adamw, int(train.warmup_fraction * steps), steps)
    for epoch in range(train.length):
        meter.begin_epoch()
        for index in bucketed([len(row) for row in rows], train.step_rows, random.Random(train.seed + epoch)):
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=prepared.dtype is torch.bfloat16):
                logits = network(**padded([rows[i] for i in index])).logits
                loss = torch.nn.functional.cross_entropy(logits, labels[index])
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, train.max_grad_norm)
            adamw.step()
            schedule.step()
            adamw.zero_grad()
            meter.step(loss.item())
        meter.end_epoch()
    meter.write(out, 0, evaluate(network, prepared))


def bucketed(lengths: list[int], batch_size: int, rng: random.Random) -> list[list[int]]:
    """Return the batches of an epoch: shuffled rows, sorted by length within mega-batches, batches in random order."""
    order = list(range(len(lengths)))
    rng.shuffle(order)
    room = MEGA_BATCH * batch_size
    batches = []
    for start in range(0, len(order), room):
        mega = sorted(order[start : start + room], key=lambda i: lengths[i])
        batches += [mega[i : i + batch_size] for i in range(0, len(mega), batch_size)]
    rng.shuffle(batches)
    return batches
