"""What a small job comes to, step by step: written once, held by every launcher, reader and number of ranks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sparknlp_ft.training.job import TrainJob
from sparknlp_ft.training.launch import launch
from sparknlp_ft.training.run_folder import RunFolder
from tests.training_jobs import tiny_job

FILE = Path(__file__).parent / "assets" / "losses" / "tiny.json"

#: Sums over ranks and lanes are taken in another order, which moves a float32 loss of about 1 by some 1e-7; AdamW divides by the
#: root of small squares and enlarges that step by step. An error in what is summed shows in the first steps, at 1e-2 and more.
TOLERANCE = 1e-4

#: Digits that are written; as many as the tolerance can need.
DIGITS = 8


def golden_job(folder: Path) -> TrainJob:
    """Ten lanes, so that seven ranks share them unevenly; one of them is empty."""
    return tiny_job(
        folder, train_rows=(20, 17, 0, 13, 9, 11, 14, 8, 12, 10), validation_rows=(3, 1, 4, 0, 2, 5, 2, 1, 3, 2), learning_rate=0.001
    )


def with_launch(job: TrainJob, **launch: Any) -> TrainJob:
    return replace(job, config={**job.config, "launch": {**job.config["launch"], "restarts": 0, **launch}})


def trained(job: TrainJob, spark: Any, **changes: Any) -> dict[str, Any]:
    """Train through a launcher, and return what the run folder tells of it."""
    job = with_launch(job, **changes)
    launch(job, job.resolved.launch, spark, slots=lambda: 2, on_event=lambda event: None)
    return figures(job.folder)


def figures(run: RunFolder) -> dict[str, Any]:
    """Losses and gradient norms of all steps, metrics of all epochs."""
    events = list(run.events())
    steps = [event for event in events if event["event"] == "step"]
    return {
        "steps": [event["step"] for event in steps],
        "losses": [event["loss"] for event in steps],
        "gradient_norms": [event["gradient_norm"] for event in steps],
        "metrics": [event["metrics"] for event in events if event["event"] == "epoch"],
    }


def write(found: Mapping[str, Any]) -> None:
    rounded = json.loads(json.dumps(found), parse_float=lambda text: round(float(text), DIGITS))
    FILE.write_text(json.dumps(rounded, indent=1) + "\n", encoding="utf-8")


def assert_golden(found: Mapping[str, Any]) -> None:
    golden = json.loads(FILE.read_text(encoding="utf-8"))
    assert found["steps"] == golden["steps"]
    for name in ("losses", "gradient_norms"):
        assert found[name] == pytest.approx(golden[name], abs=TOLERANCE, rel=TOLERANCE), name
    assert found["metrics"] == [pytest.approx(metrics, abs=TOLERANCE) for metrics in golden["metrics"]]
