"""Reading ahead: a thread makes the next window ready while the model computes; nothing else changes, and no thread is left."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa
import pytest

from sparknlp_ft.scoring import udf
from sparknlp_ft.scoring.columns import Output, score_structs
from sparknlp_ft.scoring.engine import load_engine
from sparknlp_ft.scoring.engines.protocol import Ready, Scored
from sparknlp_ft.scoring.udf import score_arrays
from sparknlp_ft.tasks import get_task
from sparknlp_ft.text.packed import PackedWindows
from tests.tiny import tiny_classifier_dir, tiny_texts
from tests.unit.scoring.test_rows import Picky

OUTPUT = Output(get_task("classification").prediction_fields)


class Ahead(Picky):
    """An engine that makes ready: of its texts it keeps only the lengths, and so shows whose ready it was given."""

    def __init__(self, bad: Sequence[str] = (), unreadable: Sequence[str] = ()) -> None:
        super().__init__(bad)
        self.unreadable, self.threads, self.computed = set(unreadable), set[str](), threading.Event()

    def ready(self, texts: Sequence[str], pairs: Sequence[str] | None = None, *, rows: Sequence[int] | None = None) -> Ready:
        self.threads.add(threading.current_thread().name.rstrip("_0123456789"))
        if self.unreadable & set(texts):
            raise ValueError("cannot tokenise this")
        return Ready(cast("PackedWindows", None), np.asarray([len(text) for text in texts]))

    def compute(self, ready: Ready) -> Scored:
        self.computed.set()
        values = np.asarray([[0.0, float(size)] for size in ready.tokens], dtype=np.float32)
        return Scored(values, np.zeros(len(values), bool), ready.tokens)

    def predict(self, texts: Sequence[str], pairs: Sequence[str] | None = None, *, rows: Sequence[int] | None = None) -> Scored:
        if self.unreadable & set(texts):
            raise ValueError("cannot tokenise this")
        return super().predict(texts, pairs, rows=rows)


@pytest.fixture(autouse=True)
def small_windows(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(udf, "WINDOW_ROWS", 8)
    yield
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("read-ahead")], "no thread is left"


def batches(texts: Sequence[str | None], size: int = 4) -> Iterator[tuple[pa.Array, ...]]:
    for start in range(0, len(texts), size):
        some = texts[start : start + size]
        yield pa.array(range(start, start + len(some)), pa.int64()), pa.array([False] * len(some)), pa.array(some, pa.string())


def scored(engine: object, given: Iterator[tuple[pa.Array, ...]]) -> Iterator[pa.StructArray]:
    return score_arrays(given, lambda _: engine, f"ahead {id(engine)}", OUTPUT)  # type: ignore[arg-type, return-value]


def test_windows_that_were_read_ahead_come_to_what_all_rows_at_once_come_to(tmp_path: Path) -> None:
    engine = load_engine(tiny_classifier_dir(tmp_path), batch_tokens=512, precision="float32", device="cpu")
    texts = [*tiny_texts(20), None, "", "\0", *tiny_texts(7)]
    found = [one for part in scored(engine, batches(texts)) for one in part.to_pylist()]
    rows, mended = pa.array(range(len(texts)), pa.int64()), pa.array([False] * len(texts))
    whole = score_structs(engine, [pa.array(texts, pa.string())], rows, mended, OUTPUT).to_pylist()
    assert [one["status"] for one in found] == [one["status"] for one in whole]
    assert [one["label"] for one in found] == [one["label"] for one in whole]
    assert [one["score"] for one in found if one["score"]] == pytest.approx([one["score"] for one in whole if one["score"]], abs=1e-6)


def test_the_next_window_is_made_ready_while_the_model_computes() -> None:
    engine, read = Ahead(), [threading.Event() for _ in range(6)]

    def given() -> Iterator[tuple[pa.Array, ...]]:
        for number, batch in enumerate(batches(["a", "bb", "ccc", "d"] * 6)):
            read[number].set()
            yield batch

    found = scored(engine, given())
    assert len(next(found)) == 4
    # Two batches are a window: while its first batch is handed on, the thread reads the third and the fourth.
    assert read[3].wait(60) and not read[4].is_set()
    rest = list(found)
    assert engine.threads == {"read-ahead"} and engine.computed.is_set()
    assert [len(part) for part in rest] == [4] * 5


def test_what_goes_wrong_in_the_thread_is_raised_in_its_place() -> None:
    def given() -> Iterator[tuple[pa.Array, ...]]:
        yield from batches(["a"] * 16)
        raise OSError("the stream broke")

    found = scored(Ahead(), given())
    assert [len(next(found)) for _ in range(4)] == [4] * 4, "what came before is scored"
    with pytest.raises(OSError, match="the stream broke"):
        next(found)


@pytest.mark.parametrize("engine", [Ahead(unreadable=["no"]), Ahead(bad=["no"], unreadable=["no"])])
def test_a_row_that_cannot_be_made_ready_is_marked_and_no_other(engine: Ahead) -> None:
    texts = [*["yes"] * 8, *"abc", "no", *"defg", *["yes"] * 8]
    found = [one for part in scored(engine, batches(texts)) for one in part.to_pylist()]
    assert [number for number, one in enumerate(found) if one["status"] == "error"] == [11]
    assert found[11]["error"].startswith("ValueError") and all(one["label"] == "yes" for one in found if one["status"] == "ok")


def test_a_reader_that_stops_early_leaves_no_thread() -> None:
    found = scored(Ahead(), batches(["a"] * 40))
    next(found)
    found.close()  # type: ignore[attr-defined]
