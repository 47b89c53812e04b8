"""Every engine gives what torch gives in float32, for every family that it can run, and is exported once."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from sparknlp_ft.errors import ModelError
from sparknlp_ft.scoring.engine import load_engine
from sparknlp_ft.scoring.engines import exported
from sparknlp_ft.scoring.rows import score_rows
from sparknlp_ft.tasks import Setup, get_task
from tests.tiny import tiny_texts, tiny_trained_dir

LABELS = ("bad", "good", "ugly")
TEXTS = [None, *tiny_texts(20, longest=90), ""]
PACKAGES = {"openvino": "openvino", "onnx": "onnxruntime"}


@pytest.fixture(autouse=True)
def own_exports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(exported.tempfile, "gettempdir", lambda: str(tmp_path))
    return tmp_path


def rows_of(folder: Path, columns: list[list[str | None]], **settings: object) -> list[dict]:
    engine = load_engine(folder, batch_tokens=512, device="cpu", **settings)
    return score_rows(engine, columns).to_dict("records")


@pytest.mark.parametrize(
    ("engine", "name"),
    [("openvino", "classification"), ("openvino", "token_classification"), ("onnx", "classification"), ("onnx", "question_answering")],
)
def test_an_exported_model_scores_as_torch_does(tmp_path: Path, engine: str, name: str) -> None:
    folder = tiny_trained_dir(tmp_path, name, () if name == "question_answering" else LABELS)
    columns = [TEXTS] if name != "question_answering" else [TEXTS[::-1], TEXTS]
    usual, found = (rows_of(folder, columns, engine=one, precision="float32") for one in ("torch", engine))
    for one, other in zip(usual, found, strict=True):
        assert one.keys() == other.keys() and one["status"] == other["status"] and one["truncated"] == other["truncated"]
        decided = next(iter(one))
        if name == "token_classification" and one[decided]:
            keep = [[{key: value for key, value in entity.items() if key != "score"} for entity in row[decided]] for row in (one, other)]
            assert keep[0] == keep[1]
        else:
            assert one[decided] == other[decided]
        if name == "classification" and one["scores"]:
            np.testing.assert_allclose(list(one["scores"].values()), list(other["scores"].values()), atol=1e-4)


def test_a_model_is_exported_once(tmp_path: Path, own_exports: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tiny_trained_dir(tmp_path, "classification", LABELS)
    first = rows_of(folder, [TEXTS], engine="openvino", precision="float32")
    assert sys.modules["openvino_telemetry"] is None, "nothing is told to anybody"
    monkeypatch.setattr(exported, "load_model", lambda *_, **__: pytest.fail("exported again"))
    assert rows_of(folder, [TEXTS], engine="openvino", precision="float32") == first
    [root] = own_exports.glob("sparknlp_ft-engines-*")
    assert root.stat().st_mode & 0o077 == 0 and len(list(root.iterdir())) == 1


@pytest.mark.parametrize("engine", PACKAGES)
def test_int8_is_near_float32(tmp_path: Path, engine: str) -> None:
    folder = tiny_trained_dir(tmp_path, "classification", LABELS)
    calibration = [(text,) for text in TEXTS if text]
    usual = rows_of(folder, [TEXTS], precision="float32")
    found = rows_of(folder, [TEXTS], engine=engine, precision="int8", calibration=calibration)
    gaps = [abs(one["score"] - other["score"]) for one, other in zip(usual, found, strict=True) if one["status"] == "ok"]
    assert 0 < max(gaps) < 0.3


@pytest.mark.parametrize("engine", PACKAGES)
def test_a_missing_library_is_named(tmp_path: Path, engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tiny_trained_dir(tmp_path, "classification", LABELS)
    for name in (PACKAGES[engine], engine):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ModelError, match=r"score.engine: .* needs the package .*sparknlp-ft\[engines\].*score.engine=torch"):
        load_engine(folder, engine=engine)


def test_what_is_written_token_by_token_needs_torch(tmp_path: Path) -> None:
    folder = tiny_trained_dir(tmp_path, "summarization", arch="t5")
    with pytest.raises(ModelError, match="only torch does"):
        load_engine(folder, engine="openvino")


@pytest.mark.parametrize("name", ["classification", "multi_label", "token_classification"])
def test_a_cascade_gives_narrow_decisions_of_the_sure_engine_and_clear_ones_of_the_quick_one(tmp_path: Path, name: str) -> None:
    folder, texts = tiny_trained_dir(tmp_path, name, LABELS), [text for text in TEXTS if text]
    calibration = [(text,) for text in texts]
    given = {"batch_tokens": 512, "device": "cpu"}
    quick, sure = (
        load_engine(folder, engine="openvino", precision=one, calibration=calibration, **given).predict(texts)
        for one in ("int8", "float32")
    )
    engine = load_engine(folder, precision="float32", **given)
    margins = engine.task.margins(quick.results, engine.setup)
    for margin in (0.0, float(np.median(margins)), np.inf):
        deferral = {"engine": "openvino", "precision": "float32", "margin": margin}
        cascade = load_engine(folder, engine="openvino", precision="int8", calibration=calibration, deferral=deferral, **given)
        found = cascade.predict(texts)
        for i in range(len(texts)):
            wanted = sure if margins[i] < margin else quick
            np.testing.assert_allclose(found.results[i], wanted.results[i], atol=1e-4)
        assert (found.truncated == sure.truncated).all() and (found.tokens == sure.tokens).all()


def test_margins_say_how_far_a_decision_is_from_another() -> None:
    setup = Setup(("a", "b"), {"thresholds": {"a": 0.5, "b": 0.9}})
    outputs = np.asarray([[1.0, 3.0], [0.2, 0.0]], dtype=np.float32)
    np.testing.assert_allclose(get_task("classification").margins(outputs, setup), [2.0, 0.2], atol=1e-6)
    np.testing.assert_allclose(get_task("multi_label").margins(outputs, setup), [3.0 - np.log(9), 0.2], atol=1e-6)
    assert get_task("regression").margins(outputs[:, :1], setup) is None


def test_openvino_leaves_its_processes_on_any_core(tmp_path: Path) -> None:
    folder = tiny_trained_dir(tmp_path, "classification", LABELS)
    compiled = load_engine(folder, engine="openvino", precision="float32", threads=1).runtime.compiled
    assert compiled.get_property("ENABLE_CPU_PINNING") is False and compiled.get_property("INFERENCE_NUM_THREADS") == 1
