"""What the UDF hands back: the same values as the frames, as Arrow, with each different input scored once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from sparknlp_ft.scoring import ddl
from sparknlp_ft.scoring.columns import Output, arrow_type, distinct, output_of, score_structs, to_arrow
from sparknlp_ft.scoring.engine import load_engine
from sparknlp_ft.scoring.faults import WITNESSES
from sparknlp_ft.scoring.rows import MENDED, score_rows
from sparknlp_ft.tasks import Rows, Setup, Task, get_task
from tests.tiny import tiny_texts, tiny_trained_dir
from tests.unit.scoring.test_rows import Picky

LABELS = ("bad", "good", "ugly")
TEXTS = [None, *tiny_texts(30, longest=100), "", "\0", *tiny_texts(5)]


def structs(engine: Any, *columns: list[str | None], output: Output | None = None) -> pa.StructArray:
    size = len(columns[0])
    given = [pa.array(column, pa.string()) for column in columns]
    rows, mended = pa.array(range(size), pa.int64()), pa.array([False] * size)
    return score_structs(engine, given, rows, mended, output or Output(engine.task.prediction_fields))


@pytest.mark.parametrize("name", ["classification", "multi_label", "regression", "token_classification", "question_answering"])
def test_structs_hold_what_the_frames_hold(tmp_path: Path, name: str) -> None:
    labels = () if name in ("regression", "question_answering") else LABELS
    settings = {"mean": 3.0, "deviation": 2.0} if name == "regression" else {}
    folder = tiny_trained_dir(tmp_path, name, labels, **settings)
    engine = load_engine(folder, batch_tokens=512, precision="float32", device="cpu")
    columns = [TEXTS] if len(engine.task.text_roles) == 1 else [TEXTS[::-1], TEXTS]
    found, frame = structs(engine, *columns), score_rows(engine, columns)
    assert found.type.names == [*ddl.names(engine.task.prediction_fields), "status", "error", "truncated"]
    for column, values in zip(found.type.names, found.flatten(), strict=True):
        kind = dict(ddl.fields(Output(engine.task.prediction_fields).schema))[column]
        assert values.type == arrow_type(kind)
        alike(values.to_pylist(), to_arrow(frame[column].tolist(), kind).to_pylist())


def alike(one: Any, other: Any) -> None:
    """Equal, up to rounding: equal texts are in other batches."""
    if isinstance(one, list | tuple):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            alike(a, b)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            alike(one[key], other[key])
    else:
        assert one == (pytest.approx(other, abs=1e-5) if isinstance(one, float) else other)


@pytest.mark.parametrize("name", ["classification", "multi_label"])
def test_scores_may_be_the_highest_ones_or_left_out(name: str) -> None:
    task, logits = get_task(name), np.asarray([[0.1, 3.0, 1.0], [9.0, 0.0, 2.0]], dtype=np.float32)
    whole, some = (task.arrays(logits, Rows([]), Setup(LABELS), most_scores=most) for most in (None, 2))
    assert whole is not None and some is not None
    kept = some["scores"].to_pylist()
    assert [[label for label, _ in row] for row in kept] == [["good", "ugly"], ["bad", "ugly"]]
    assert all(set(row) <= set(other) for row, other in zip(kept, whole["scores"].to_pylist(), strict=True))
    assert "scores" not in (task.arrays(logits, Rows([]), Setup(LABELS), most_scores=0) or {})
    assert "scores" not in output_of(task.prediction_fields, 0).fields and "scores" in output_of(task.prediction_fields, 1).fields
    found = structs(Picky([]), ["a", "bb"], output=output_of(get_task("classification").prediction_fields, 0))
    assert found.type.names == ["label", "score", "status", "error", "truncated"]


def test_each_different_input_is_scored_once_and_an_error_is_that_of_all_its_rows() -> None:
    texts = ["a", None, "bad", "a", "", "bad", "b", None, "a"]
    good, picky = Counting([]), Counting(["bad"])
    structs(good, [text for text in texts if text != "bad"])
    assert sorted(good.seen) == ["a", "b"]
    found = structs(picky, texts).to_pylist()
    assert sorted(set(picky.seen)) == ["a", "b"] and len(picky.seen) <= 2 + WITNESSES  # Before a row is blamed others are asked.
    assert [row["status"] for row in found] == ["ok", "empty", "error", "ok", "empty", "error", "ok", "empty", "ok"]
    assert found[0] == found[3] == found[8] and found[2] == found[5]
    alone = [structs(Picky(["bad"]), [text]).to_pylist()[0] for text in texts]
    assert found == alone


class Counting(Picky):
    """Remembers the texts it has scored."""

    def __init__(self, bad: list[str]) -> None:
        super().__init__(bad)
        self.seen: list[str] = []

    def predict(self, texts, pairs=None, *, rows=None):  # type: ignore[no-untyped-def]
        result = super().predict(texts, pairs, rows=rows)
        self.seen += texts
        return result


def test_pairs_are_equal_if_both_texts_are() -> None:
    one, other = pa.array(["a", "a", "b", None, "a", None]), pa.array(["x", "y", "x", "x", "x", None])
    first, codes = distinct([one, other])
    assert first.tolist() == [0, 1, 2, 3, 5] and codes.tolist() == [0, 1, 2, 3, 0, 4]
    assert distinct([pa.array([], pa.string())])[1].tolist() == []


def test_rows_whose_windows_are_drawn_by_their_keys_are_scored_one_by_one(tmp_path: Path) -> None:
    from sparknlp_ft.config import TextConfig
    from sparknlp_ft.models.folder import build_network, save_model
    from sparknlp_ft.models.meta import new_meta
    from tests.tiny import tiny_model_dir

    base, task = tiny_model_dir(tmp_path), get_task("classification")
    meta = new_meta(task, LABELS, TextConfig(max_length=16, window="rs", window_params=[2]), seed=5)
    save_model(build_network(base, task, LABELS), tmp_path / "random", base_dir=base, meta=meta)
    engine = load_engine(tmp_path / "random", precision="float32", device="cpu")
    text = tiny_texts(1, seed=2, longest=300)[0]
    found = [row["score"] for row in structs(engine, [text] * 4).to_pylist()]
    assert len(set(found)) > 1
    np.testing.assert_allclose(found, score_rows(engine, [[text] * 4], rows=range(4))["score"].astype(float), atol=1e-6)


def test_a_mended_text_is_noted_where_it_could_be_scored() -> None:
    given = [pa.array(["a", "bad", "", "a"])]
    mended = pa.array([True, True, True, False])
    output = Output(get_task("classification").prediction_fields)
    found = score_structs(Picky(["bad"]), given, pa.array(range(4)), mended, output)
    assert found.field("error").to_pylist() == [MENDED, "ValueError: cannot read this", None, None]


def test_a_task_without_arrays_of_its_own_goes_by_its_frame() -> None:
    class Plain(Picky):
        @property
        def task(self) -> Task:
            task = get_task("classification")
            task.arrays = lambda *_, **__: None  # type: ignore[method-assign]
            return task

    usual = structs(Picky([]), ["a", None, "ccc"])
    task = get_task("classification")
    try:
        assert structs(Plain([]), ["a", None, "ccc"]).to_pylist() == usual.to_pylist()
    finally:
        task.__dict__.pop("arrays", None)


def test_maps_may_stand_anywhere_in_a_type() -> None:
    kind = "array<struct<name:string,parts:map<string,float>>>"
    values = [[{"name": "a", "parts": {"x": 0.5}}], None, []]
    assert to_arrow(values, kind).to_pylist() == [[{"name": "a", "parts": [("x", 0.5)]}], None, []]
    with pytest.raises(ValueError, match="is not a type"):
        arrow_type("decimal(10,2)")
