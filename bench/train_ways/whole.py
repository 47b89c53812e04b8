"""What a whole ``sparknlp-ft train`` takes beside its epochs: Spark, snapshot, launching, gate, registering."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench.train_ways.data import Source


def measure(folder: Path, source: Source) -> dict[str, Any]:
    """Ingest the rows, train on them for one epoch with the settings that nobody gave, and return the seconds.

    Args:
        folder: Folder for table, runs and store; the command is given new ones.
        source: All rows.
    """
    with (folder / "train.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text", "label"])
        writer.writerows(source.rows)
    settings = [
        f"data.root={folder / 'lake'}",
        f"data.table={source.name}",
        f"launch.run_dir={folder / 'runs'}",
        f"tracking.uri=sqlite:///{folder / 'mlflow.db'}",
        f"tracking.artifacts={folder / 'artifacts'}",
        "text.max_length=128",
        "train.epochs=1",
    ]
    command(folder, "ingest", f"data.sources=[{{format: csv, path: {folder / 'train.csv'}}}]", *settings)
    seconds = command(folder, "train", *settings)
    results = list((folder / "runs").rglob("result.json"))
    if len(results) != 1:
        raise SystemExit(f"{len(results)} results of one training lie in {folder / 'runs'}: {results}")
    result = json.loads(results[0].read_text(encoding="utf-8"))
    in_epochs = sum(epoch["seconds"] for epoch in result["epochs"])
    kept = ("rows", "ranks", "threads", "precision", "train_rows_per_second", "seconds")
    return {
        "rows_of_table": len(source.rows),
        "command_seconds": seconds,
        "epoch_seconds": in_epochs,
        "fixed_seconds": seconds - in_epochs,
        "result": {name: result[name] for name in kept},
    }


def command(folder: Path, name: str, *settings: str) -> float:
    """Run a command of this project and return its seconds."""
    started = time.perf_counter()
    run = subprocess.run([sys.executable, "-m", "sparknlp_ft.cli", name, *settings], cwd=folder, capture_output=True, text=True)
    if run.returncode:
        raise SystemExit(f"sparknlp-ft {name} ended with {run.returncode}:\n{run.stderr[-3000:]}")
    return time.perf_counter() - started
