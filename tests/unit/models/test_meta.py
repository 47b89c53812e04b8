"""What a folder says of its model is read as it was written, and so is what the version before wrote."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sparknlp_ft.config import TextConfig
from sparknlp_ft.models.meta import META_FILE, load_meta, new_meta, write_meta
from sparknlp_ft.scoring.engine import load_engine
from sparknlp_ft.scoring.rows import score_rows
from sparknlp_ft.tasks import get_task

#: A folder that the version before wrote, with what it scored.
OLD = Path(__file__).parents[2] / "assets" / "model_format_1"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(OLD, tmp_path / "model"))


def test_a_folder_of_the_version_before_scores_as_it_did(folder: Path) -> None:
    meta = load_meta(folder)
    assert (meta.task, meta.labels, meta.text) == ("classification", ("bad", "good", "ugly"), TextConfig(max_length=64))
    assert (meta.text_roles, meta.seed, meta.epoch, meta.step) == (("text",), 42, 3, 120)
    assert meta.validation == {"accuracy": 0.75, "loss": 0.5} and "label_smoothing" in meta.settings
    assert (dict(meta.columns), meta.packaged, meta.fields) == ({}, None, get_task("classification").prediction_fields)
    rows = json.loads((folder / "scored.json").read_text())
    result = score_rows(load_engine(folder, precision="float32", device="cpu"), [[row["text"] for row in rows]])
    assert result["label"].tolist() == [row["label"] for row in rows]
    for found, row in zip(result["scores"], rows, strict=True):
        np.testing.assert_allclose([found[label] for label in meta.labels], [row["scores"][label] for label in meta.labels], rtol=1e-5)


def test_what_was_packaged_with_the_version_before_is_known(folder: Path) -> None:
    shutil.copyfile(folder / "packaged.json", folder / META_FILE)
    meta = load_meta(folder)
    assert (meta.columns, meta.processing, meta.fields) == ({"text": "content"}, "processing.py", "label string, n int")
    assert meta.packaged == {"model": "some/model", "revision": None} and meta.seed is None


def test_what_is_written_is_read(folder: Path) -> None:
    task, text = get_task("multi_label"), TextConfig(max_length=20, window="ht", window_params=[3, 4])
    meta = new_meta(task, ["a", "b"], text, text_roles=["text", "text_pair"], settings={"thresholds": {"a": 0.3}}, seed=1)
    write_meta(folder, meta)
    read = load_meta(folder)
    assert replace(read, versions={}) == meta and "torch" in read.versions
    values = json.loads((folder / META_FILE).read_text())
    assert values["format"] == 2 and values["settings"] == {"thresholds": {"a": 0.3}}, "flat: nothing is nested"
    (folder / META_FILE).write_text(json.dumps({**values, "of_a_later_version": 1}))
    assert load_meta(folder) == read
