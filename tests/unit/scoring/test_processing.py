"""The user's own functions: called with rows that have text, held to what they must return, never able to fail a job."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sparknlp_ft.errors import ConfigError
from sparknlp_ft.scoring import udf
from sparknlp_ft.scoring.columns import Output
from sparknlp_ft.scoring.engine import Scored
from sparknlp_ft.scoring.processing import Processed, Processing, load_processing, rehearse
from sparknlp_ft.tasks import Setup, Task, get_task

FIELDS = "label string, length int"
TEXTS = ["one", None, "three", " ", "bad", "seven77"]


class Lengths:
    """An engine that says 'long' of texts of more than 4 characters, and counts what it was shown."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    @property
    def setup(self) -> Setup:
        return Setup(("short", "long"))

    @property
    def task(self) -> Task:
        return get_task("classification")

    def predict(self, texts: list[str], pairs: object = None, *, rows: object = None) -> Scored:
        self.shown += texts
        values = np.asarray([[4.5, float(len(text))] for text in texts], dtype=np.float32)
        return Scored(values, np.zeros(len(texts), bool), np.ones(len(texts), np.int64))


def upper(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(content=frame["content"].str.upper(), length=frame["content"].str.len())


def with_length(frame: pd.DataFrame, predictions: pd.DataFrame) -> pd.DataFrame:
    assert predictions["score"].dtype == float and list(predictions.columns) == ["label", "score", "scores"]
    return pd.DataFrame({"label": predictions["label"], "length": frame["length"]})


def processed(pre: object = None, post: object = None, fields: str | None = None) -> Processed:
    fields = fields or (get_task("classification").prediction_fields if post is None else FIELDS)
    return Processed(Lengths(), Processing(("content",), fields, pre, post))  # type: ignore[arg-type]


def test_texts_go_through_both_functions_and_rows_without_text_through_neither() -> None:
    model = processed(upper, with_length)
    result = model.score([TEXTS])
    assert model.engine.shown == ["ONE", "THREE", "BAD", "SEVEN77"]  # type: ignore[attr-defined]
    assert result.columns.tolist() == ["label", "length", "status", "error", "truncated"]
    assert result["status"].tolist() == ["ok", "empty", "ok", "empty", "ok", "ok"]
    assert result["length"].tolist() == [3, None, 5, None, 3, 7]
    assert result["label"].tolist() == ["short", None, "long", None, "short", "long"]


def test_either_function_alone_is_enough() -> None:
    assert processed(upper).score([TEXTS])["label"].tolist() == ["short", None, "long", None, "short", "long"]
    alone = processed(None, lambda frame, predictions: predictions[["label"]].assign(length=frame["content"].map(len)))
    assert alone.score([TEXTS])["length"].tolist() == [3, None, 5, None, 3, 7]
    assert len(processed(upper, with_length).score([[]])) == 0
    assert processed(upper, with_length).score([[None, ""]])["status"].tolist() == ["empty", "empty"]


def explode(frame: pd.DataFrame) -> pd.DataFrame:
    frame["content"] = frame["content"] + "!"  # In place: the next try must not see it.
    if frame["content"].str.contains("bad").any():
        raise KeyError("no bad words")
    return frame.assign(length=1)


def test_a_row_that_a_function_fails_at_is_marked_alone() -> None:
    model = processed(explode, with_length)
    result = model.score([TEXTS])
    assert result["status"].tolist() == ["ok", "empty", "ok", "empty", "error", "ok"]
    assert result["error"][4] == "preprocess raised KeyError: 'no bad words'"
    assert sorted(model.engine.shown) == ["one!", "seven77!", "three!"]  # type: ignore[attr-defined]
    late = processed(upper, lambda frame, predictions: with_length(frame, predictions) if "BAD" not in set(frame["content"]) else 1 / 0)
    assert late.score([TEXTS])["error"].tolist() == [None, None, None, None, "postprocess raised ZeroDivisionError: division by zero", None]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda frame: frame[frame["content"] != "bad"], "preprocess returned 0 rows for 1"),
        (lambda frame: frame.rename(columns={"content": "text"}), "preprocess returned no column 'content'; it returned text"),
        (lambda frame: frame["content"], "preprocess returned a Series; expected a DataFrame"),
        (lambda frame: frame.set_index("content", drop=False), "preprocess returned rows under an index of its own"),
        (lambda frame: None, "preprocess returned a NoneType"),
    ],
)
def test_what_preprocess_must_return(function: object, message: str) -> None:
    assert message in processed(function).score([["bad"]])["error"][0]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda f, p: p[["label"]], "postprocess returned no column 'length'; package.output is 'label string, length int'"),
        (lambda f, p: p.assign(length=1), "postprocess returned column 'score', which package.output does not declare"),
        (lambda f, p: p[["label"]].assign(length="x"), "postprocess returned in column 'length' (int) a str where a number is expected"),
        (lambda f, p: pd.concat([p, p]), "postprocess returned 2 rows for 1"),
    ],
)
def test_what_postprocess_must_return(function: object, message: str) -> None:
    assert message in processed(None, function).score([["bad"]])["error"][0]


def test_a_frame_in_another_order_is_put_back_by_its_index() -> None:
    turned = processed(lambda frame: upper(frame)[::-1], lambda f, p: with_length(f, p).sample(frac=1, random_state=0))
    pd.testing.assert_frame_equal(turned.score([TEXTS]), processed(upper, with_length).score([TEXTS]))


def test_the_udf_scores_through_the_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    def batches() -> Iterator[tuple[pd.Series, ...]]:
        for part in (TEXTS[:2], TEXTS[2:]):
            yield pd.Series(range(len(part))), pd.Series([False] * len(part)), pd.Series(part, dtype=object)

    monkeypatch.setattr(udf, "engine_of", lambda loader, key: processed(upper, with_length))
    first, second = udf.score_batches(batches(), lambda device: processed(), "key", Output(FIELDS))
    assert first["length"].tolist() == [3, None] and second["status"].tolist() == ["ok", "empty", "ok", "ok"]


def test_functions_come_from_the_file_and_two_files_do_not_mix(tmp_path: Path) -> None:
    for name, mark in (("a", "?"), ("b", "!")):
        text = f"from dataclasses import dataclass\n\n@dataclass\nclass M:\n    mark: str = '{mark}'\n\n"
        text += "def preprocess(frame):\n    return frame.assign(content=frame['content'] + M().mark)\n"
        (tmp_path / f"{name}.py").write_text(text)
    one, other = (load_processing(tmp_path / f"{name}.py", columns=["content"], fields=FIELDS) for name in "ab")
    frame = pd.DataFrame({"content": ["x"]})
    assert one.prepare(frame)["content"][0] == "x?" and other.prepare(frame)["content"][0] == "x!"
    assert one.postprocess is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def preproces(frame): pass", "Did you mean 'preprocess'"),
        ("preprocess = 3", "defines neither preprocess"),
        ("1 / 0", "cannot be run: ZeroDivisionError"),
        ("def preprocess(", "cannot be run: SyntaxError"),
    ],
)
def test_a_file_without_functions_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_processing(tmp_path / "mine.py", columns=["content"], fields=FIELDS)


def test_a_rehearsal_says_where_a_function_fails(tmp_path: Path) -> None:
    frame = pd.DataFrame({"content": ["one", "three"]})
    assert rehearse(processed(upper, with_length), frame, file="mine.py")["status"].tolist() == ["ok", "ok"]
    (tmp_path / "processing.py").write_text("def preprocess(frame):\n    return frame['contents']\n")
    broken = load_processing(tmp_path / "processing.py", columns=["content"], fields=FIELDS)
    with pytest.raises(ConfigError, match=r"'mine.py', line 2, in preprocess: KeyError: 'contents'"):
        rehearse(Processed(Lengths(), broken), frame, file="mine.py")
    for pre, post, message in (
        (lambda f: f.assign(content=""), None, "text 1 of package.example cannot be scored: no text is left of it"),
        (lambda f: f.assign(content=f["content"] + str(len(f))), None, "preprocess makes something else of a row by itself"),
        (None, lambda f, p: p[["label"]].assign(length=len(p)), "postprocess makes something else of a row by itself"),
        (lambda f: f[:1], None, "preprocess returned 1 rows for 2"),
    ):
        with pytest.raises(ConfigError, match=message):
            rehearse(processed(pre, post), frame, file="mine.py")
