"""The path around the model, without Spark's JVM: Arrow batches in, Arrow structs out, with a model that costs nothing."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pyarrow as pa

from bench.score_ways.material import free_model, texts
from sparknlp_ft.scoring.columns import Output
from sparknlp_ft.scoring.engine import load_engine
from sparknlp_ft.scoring.udf import score_arrays

#: Rows of an Arrow batch, as Spark cuts them.
BATCH = 10_000


def measure(folder: Path, rows: int, rounds: int) -> list[dict[str, Any]]:
    """Return rows a second of one core (CPU time), with few and with many labels; texts are short and all different."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    given = pa.array(texts(rows, mix="short"))
    found = []
    for labels in (3, 77):
        engine = load_engine(free_model(folder / f"free-{labels}", labels), precision="float32", threads=1, device="cpu")
        output = Output(engine.task.prediction_fields)
        runs = []
        for _ in range(rounds):
            batches = [given[start : start + BATCH] for start in range(0, rows, BATCH)]
            arrow = ((pa.array(range(len(one)), pa.int64()), pa.array([False] * len(one)), one) for one in batches)
            wall, cpu = time.perf_counter(), time.process_time()
            count = sum(len(one) for one in score_arrays(arrow, lambda device, engine=engine: engine, f"free {labels}", output))
            assert count == rows
            runs.append({"cpu_seconds": time.process_time() - cpu, "wall_seconds": time.perf_counter() - wall})
        best = sorted(one["cpu_seconds"] for one in runs)[len(runs) // 2]
        found.append({"labels": labels, "rows": rows, "runs": runs, "rows_per_second_per_core": rows / best})
    return found
