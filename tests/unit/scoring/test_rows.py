"""Bad rows are marked, the failing row alone is found, and no other row changes because of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from sparknlp_ft.scoring import udf
from sparknlp_ft.scoring.columns import Output
from sparknlp_ft.scoring.engine import Scored, TorchEngine, load_engine
from sparknlp_ft.scoring.rows import ERROR_CHARS, MENDED, score_rows
from sparknlp_ft.tasks import Setup, Task, get_task
from tests.tiny import tiny_classifier_dir, tiny_texts

OUTPUT = Output(get_task("classification").prediction_fields)

ODD = [None, "", "  \t\n ", "\u2003", "🙂🙃", "שלום עולם", "a\0b card", "\0", "x" * 100_000, "card " * 20_000, "¿", "\ufeff"]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> TorchEngine:
    return load_engine(tiny_classifier_dir(tmp_path_factory.mktemp("model")), batch_tokens=512, precision="float32", device="cpu")


class Picky:
    """An engine that fails on some texts, and counts its calls."""

    labels = ("no", "yes")

    def __init__(self, bad: Sequence[str], message: str = "cannot read this") -> None:
        self.bad, self.message, self.calls = set(bad), message, 0

    @property
    def setup(self) -> Setup:
        return Setup(self.labels)

    @property
    def task(self) -> Task:
        return get_task("classification")

    def predict(self, texts: Sequence[str], pairs: Sequence[str] | None = None, *, rows: Sequence[int] | None = None) -> Scored:
        self.calls += 1
        if self.bad & set(texts):
            raise ValueError(self.message)
        values = np.asarray([[0.0, float(len(text))] for text in texts], dtype=np.float32)
        return Scored(values, np.zeros(len(texts), bool), np.ones(len(texts), np.int64))


def test_odd_texts_are_scored_or_marked_and_change_no_other_row(engine: TorchEngine) -> None:
    usual = tiny_texts(50)
    alone = score_rows(engine, [usual])
    mixed = score_rows(engine, [[*usual[:25], *ODD, *usual[25:]]])
    others = pd.concat([mixed[:25], mixed[25 + len(ODD) :]], ignore_index=True)
    assert others["label"].equals(alone["label"]) and (others["status"] == "ok").all()
    np.testing.assert_allclose(others["score"].astype(float), alone["score"].astype(float), atol=1e-5)
    odd = mixed[25 : 25 + len(ODD)]
    assert odd["status"].tolist() == ["empty"] * 4 + ["ok", "ok", "ok", "empty", "ok", "ok", "ok", "empty"]
    assert odd["truncated"].tolist() == [False] * 9 + [True, False, False]
    marked = odd[odd["status"] == "empty"]
    assert marked[["label", "score", "scores"]].isna().all(axis=None)


def test_only_the_failing_rows_are_in_error() -> None:
    texts = [f"text {i}" for i in range(100)]
    picky = Picky([texts[17], texts[80]])
    result = score_rows(picky, [texts])
    assert result.index[result["status"] == "error"].tolist() == [17, 80]
    assert result["error"][17] == "ValueError: cannot read this" and result["error"][18] is None
    assert result["label"][[0, 17, 99]].tolist() == ["yes", None, "yes"]
    assert picky.calls < 40


def test_a_row_is_in_error_when_the_model_returns_nan() -> None:
    class Nan(Picky):
        def predict(self, texts, pairs=None, *, rows=None):  # type: ignore[no-untyped-def]
            result = super().predict(texts, pairs, rows=rows)
            result.results[1] = np.nan
            return result

    result = score_rows(Nan([]), [["a", "b", "c"]])
    assert result["status"].tolist() == ["ok", "error", "ok"] and "not finite" in result["error"][1]


def test_error_text_is_short() -> None:
    result = score_rows(Picky(["a"], "x" * 5000 + "\nsecond line"), [["a"]])
    assert len(result["error"][0]) == ERROR_CHARS


def test_a_missing_second_text_makes_a_row_empty(engine: TorchEngine) -> None:
    result = score_rows(engine, [["card", "card", None], ["pin", None, "pin"]])
    assert result["status"].tolist() == ["ok", "empty", "empty"]


def test_batches_come_back_as_they_were_and_the_engine_is_loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(udf, "WINDOW_ROWS", 5)
    monkeypatch.setattr(udf, "_ENGINES", {})
    loads: list[str | None] = []

    def load(device: str | None) -> Picky:
        loads.append(device)
        return Picky([])

    texts = [["a", "bb"], [], ["ccc", "dddd", "eeeee", None], ["f"]]
    batches = [
        (pd.Series(range(len(t)), dtype="int64"), pd.Series([x == "bb" for x in t], dtype=bool), pd.Series(t, dtype=object)) for t in texts
    ]
    results = list(udf.score_batches(iter(batches), load, "one", OUTPUT))
    assert [len(result) for result in results] == [2, 0, 4, 1]
    assert results[0]["error"].tolist() == [None, MENDED]
    assert results[2]["status"].tolist() == ["ok", "ok", "ok", "empty"]
    assert results[3]["score"].tolist()[0] == pytest.approx(1 / (1 + np.exp(-1)))
    list(udf.score_batches(iter(batches), load, "one", OUTPUT))
    assert loads == [None]
    list(udf.score_batches(iter(batches), load, "another", OUTPUT))
    assert loads == [None, None] and list(udf._ENGINES) == ["another"]


def test_without_rows_no_engine_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(udf, "_ENGINES", {})
    assert list(udf.score_batches(iter([]), lambda device: pytest.fail("loaded"), "none", OUTPUT)) == []
