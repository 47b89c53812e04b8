"""A student of the model that is measured: taught by this project's ``train`` on labelled texts, and on more of the mix without labels."""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.score_ways.material import MAX_LENGTH, labelled, texts
from bench.score_ways.whole import Lake
from sparknlp_ft.models.meta import load_meta

#: Engines that teacher and student are measured with: those that ``auto`` tries.
WAYS = ("torch_float32", "torch_bfloat16", "openvino_float32", "openvino_bfloat16", "openvino_int8", "onnx_float32", "onnx_int8")


def teach(folder: Path, teacher: Path, target: Path, unseen: Collection[str], options: argparse.Namespace) -> dict[str, Any]:
    """Teach a student and keep its folder; returns what it took.

    Args:
        folder: An empty place.
        teacher: Its model folder.
        target: Where the student goes.
        unseen: Texts that it is not shown.
        options: Layers, epochs, rows.
    """
    from sparknlp_ft.config import Config
    from sparknlp_ft.pipelines.train import run_train
    from sparknlp_ft.tables.session import get_session

    (folder / "teaching").mkdir()
    lake, spark = Lake(folder / "teaching", teacher), get_session("bench")
    hidden, known = set(unseen), set(load_meta(teacher).labels)
    rows = [(text, label) for text, label in labelled("train") if text not in hidden and label in known]
    rows = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))[: options.student_rows]]
    rows += [(text, None) for text in texts(options.rows, seed=1) if text not in hidden]
    frame = pd.DataFrame([(i, *row) for i, row in enumerate(rows)], columns=["id", "text", "label"])
    spark.createDataFrame(frame, "id long, text string, label string").write.format("delta").save(str(lake.folder / "taught"))
    config = {
        **lake.config("taught"),
        "data": {"root": str(lake.folder), "table": "taught", "validation_fraction": 0.05, "test_fraction": 0.0},
        "tracking": {**lake.tracking, "gate": "alias"},
        "model": {"tuning": "distil", "distil": {"layers": options.student_layers}},
        "text": {"max_length": MAX_LENGTH},
        "train": {"epochs": options.student_epochs, "patience": None},
        "launch": {"backend": "solo", "ranks": 1, "run_dir": str(folder / "teaching" / "runs")},
    }
    started = time.perf_counter()
    outcome = run_train(Config.model_validate(config), spark)
    print(outcome, flush=True)
    shutil.copytree(outcome.result.best_dir, target)
    counts = {"rows": len(rows), "labelled": sum(label is not None for _, label in rows), "epochs": options.student_epochs}
    return counts | {"seconds": time.perf_counter() - started, "validation": outcome.verdict.new}
