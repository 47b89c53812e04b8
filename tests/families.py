"""A small, learnable data set of each task family, and a training job on it: written by the workers' own encode step."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from sparknlp_ft.config import Config, TextConfig
from sparknlp_ft.scoring.teacher import teach
from sparknlp_ft.snapshot.encode import EncodePlan, Teacher, encode_files
from sparknlp_ft.snapshot.manifest import Manifest, SnapshotFile, Split
from sparknlp_ft.tasks import Statistics
from sparknlp_ft.text.encoder import TextEncoder
from sparknlp_ft.training.job import TrainJob
from tests.tiny import WORDS, tiny_model_dir, tiny_trained_dir

#: Labels of each family.
LABELS: dict[str, tuple[str, ...]] = {
    "classification": ("bad", "good"),
    "multi_label": ("card", "fee", "phone"),
    "regression": (),
    "token_classification": ("place", "thing"),
    "question_answering": (),
    "summarization": (),
}
COUNTS = {"question_answering": {"answered": 1, "no answer": 1}}


def rows_of(family: str, count: int, *, seed: int = 0, longest: int = 20) -> list[tuple[str, str | None, str]]:
    """Return (text, second text, target as ``tables.targets`` writes it) of made-up rows."""
    rng = np.random.default_rng(seed)
    return [_row(family, rng, longest) for _ in range(count)]


def _row(family: str, rng: np.random.Generator, longest: int) -> tuple[str, str | None, str]:
    words = [str(word) for word in rng.choice(WORDS, size=rng.integers(3, longest))]
    text = " ".join(words)
    if family == "classification":
        label = LABELS[family][int(rng.integers(2))]
        return f"{text} {label}", None, label
    if family == "multi_label":
        kept = [word for word in words if word not in LABELS[family]]
        chosen = sorted(label for label in LABELS[family] if rng.random() < 0.4)
        return " ".join([*kept, *chosen]), None, json.dumps(chosen)
    if family == "regression":
        score = int(rng.integers(0, 6))
        return f"{text} {score}", None, str(float(score))
    if family == "token_classification":
        return text, None, json.dumps(_entities(text, words))
    if family == "question_answering":
        return "where is it", *_answered(words, rng)
    topic = ("card declined", "fee charged twice", "phone lost")[int(rng.integers(3))]
    return f"{topic.split()[0]} {text}", None, json.dumps([topic])


def _entities(text: str, words: Sequence[str]) -> list[dict[str, Any]]:
    """card and phone are things, account is a place, and so is 'account transfer' as a whole."""
    found, at = [], 0
    for i, word in enumerate(words):
        end = at + len(word)
        if word in ("card", "phone"):
            found.append({"start": at, "end": end, "label": "thing"})
        elif word == "account":
            if i + 1 < len(words) and words[i + 1] == "transfer":
                end += 1 + len("transfer")
            found.append({"start": at, "end": end, "label": "place"})
        at += len(word) + 1
    return found


def _answered(words: list[str], rng: np.random.Generator) -> tuple[str, str]:
    kept = [word for word in words if word != "phone"]
    if rng.random() < 0.3:
        return " ".join(kept), "[]"
    at = int(rng.integers(0, len(kept) + 1))
    context = " ".join([*kept[:at], "phone", *kept[at:]])
    start = sum(len(word) + 1 for word in kept[:at])
    return context, json.dumps([{"text": "phone", "start": start}])


def family_job(
    tmp_path: Path,
    family: str,
    *,
    arch: str = "bert",
    rows: int = 96,
    lanes: int = 4,
    layers: int = 2,
    text: dict[str, Any] | None = None,
    **train: Any,
) -> TrainJob:
    """A training job of a family on a tiny model, its snapshot written by ``encode_files``; no dropout."""
    base = tiny_model_dir(tmp_path, "t5" if family == "summarization" else arch, layers=layers)
    manifest = _snapshot(tmp_path / "snapshot", family, base, rows, lanes=lanes)
    config = Config.model_validate(
        {
            "data": {"table": "test", "task": family},
            "model": {"dropout": 0.0},
            "text": {"max_length": 24, **(text or {})},
            "train": {
                "batch_size": 16,
                "lanes": lanes,
                "epochs": 2,
                "learning_rate": 0.01,
                "patience": None,
                "precision": "float32",
                **train,
            },
            "generate": {"max_new_tokens": 6, "beams": 2},
            "launch": {"backend": "horovod", "ranks": 2, "threads": 1},
        }
    )
    # A base with a head: ranks that are threads share torch's generator, and so could not draw the same one.
    with_head = base if family == "summarization" else tiny_trained_dir(tmp_path, family, LABELS[family], arch=arch, layers=layers)
    return TrainJob(str(tmp_path / "run"), manifest.path, str(with_head), config.model_dump(mode="json"))


def student_job(
    tmp_path: Path, family: str, teacher: Path, *, rows: int = 96, distil: dict[str, Any] | None = None, **train: Any
) -> TrainJob:
    """A job that teaches a student of a family by a teacher that was trained here; every second row of train has no target."""
    lesson = partial(teach, find=partial(str, teacher), digest=str(teacher), precision="float32")
    taught = Teacher("teacher", "digest", LABELS[family], ("text",), max(1, len(LABELS[family])), lesson)
    manifest = _snapshot(tmp_path / "taught", family, teacher, rows, teacher=taught)
    job = family_job(tmp_path, family, **train)
    config = {**job.config, "model": {"dropout": 0.0, "tuning": "distil", "distil": distil or {}}}
    return replace(job, run_dir=str(tmp_path / "student"), base_dir=str(teacher), manifest_path=manifest.path, config=config)


def _snapshot(folder: Path, family: str, base: Path, rows: int, *, lanes: int = 4, teacher: Teacher | None = None) -> Manifest:
    encoder = TextEncoder.load(base, TextConfig(max_length=24))
    splits: dict[str, list[tuple[str, str | None, str | None]]] = {
        "train": [*rows_of(family, rows, seed=1)], "validation": [*rows_of(family, max(8, rows // 4), seed=2)]
    }  # fmt: skip
    if teacher is not None:
        splits["train"] = [(text, pair, target if i % 2 else None) for i, (text, pair, target) in enumerate(splits["train"])]
    files = [(split, lane) for split in splits for lane in range(lanes)]
    paths = tuple(f"split={split}/lane={lane}/part" for split, lane in files)
    plan = EncodePlan(str(folder), paths, family, LABELS[family], "none", teacher)
    columns: list[list[Any]] = [[], [], [], [], []]
    for number, (split, lane) in enumerate(files):
        for i, row in enumerate(splits[split]):
            if i % lanes == lane:
                for column, value in zip(columns, (number, 1000 * number + i, *row), strict=True):
                    column.append(value)
    kinds = (pa.int32(), pa.int64(), pa.string(), pa.string(), pa.string())
    arrays = [pa.array(column, kind) for column, kind in zip(columns, kinds, strict=True)]
    batch = pa.RecordBatch.from_arrays(arrays, ["file", "row", "text", "pair", "target"])
    infos = [json.loads(value) for part in encode_files(iter([batch]), plan, encoder) for value in part.column(0).to_pylist()]
    found = {info["file"]: SnapshotFile(info["path"], tuple(info["row_groups"])) for info in infos}
    written = {split: Split(tuple((found[n],) for n, (of, _) in enumerate(files) if of == split), {}) for split in splits}
    labels = LABELS[family]
    statistics = Statistics(rows, COUNTS.get(family, dict.fromkeys(labels, 1)))
    if family == "regression":
        values = [float(row[2]) for row in splits["train"] if row[2] is not None]
        statistics = Statistics(rows, mean=float(np.mean(values)), deviation=float(np.std(values)))
    manifest = Manifest(
        path=str(folder), table="test", table_id="0", version=0, task=family, tokenizer="none",
        has_pair=family == "question_answering", labels=labels, statistics=statistics, splits=written,
        lessons=0 if teacher is None else teacher.values,
    )  # fmt: skip
    manifest.save()
    return manifest
