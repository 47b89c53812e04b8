"""Answers: EM and F1 as SQuAD defines them, spans that slice to their text, and the threshold for "no answer"."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparknlp_ft.errors import DataError
from sparknlp_ft.tasks import Rows, Setup, get_task
from sparknlp_ft.tasks.answers import best_spans, exact_match_and_f1
from sparknlp_ft.tasks.task import objects
from sparknlp_ft.text.encoder import Tokens

task = get_task("question_answering")


@pytest.mark.parametrize(
    ("prediction", "answers", "exact", "f1"),
    [
        ("The Eiffel Tower!", ["eiffel tower"], 1, 1),
        ("in Paris, France", ["Paris"], 0, 0.5),
        ("a cat", ["the dog", "cats", "cat"], 1, 1),
        ("", [], 1, 1),
        ("something", [], 0, 0),
        ("", ["something"], 0, 0),
        ("the", ["a"], 1, 1),  # both are articles alone: equal, and as SQuAD's script has it, F1 is exact match
        ("北京大学", ["北京"], 0, 2 / 3),
        ("「東京」", ["東京"], 1, 1),
        ("في القاهرة", ["القاهرة"], 0, 2 / 3),
    ],
)
def test_exact_match_and_f1(prediction: str, answers: list[str], exact: float, f1: float) -> None:
    assert exact_match_and_f1(prediction, answers) == (exact, pytest.approx(f1))


@given(st.integers(1, 12), st.integers(1, 6), st.integers(0, 2**31))
def test_best_spans_are_those_of_trying_all(tokens: int, most: int, seed: int) -> None:
    logits = np.random.default_rng(seed).normal(size=(tokens, 2))
    spans = best_spans(logits, most_tokens=most, count=144)
    every = sorted((logits[i, 0] + logits[j, 1] for i in range(tokens) for j in range(i, min(i + most, tokens))), reverse=True)
    assert spans[:, 2].tolist() == pytest.approx(every)
    assert all(0 <= first <= last < tokens and last - first < most for first, last, _ in spans)


@given(st.lists(st.text("ab é日", min_size=1, max_size=6), min_size=1, max_size=10), st.data())
def test_an_answer_goes_through_tokens_and_back(parts: list[str], data: st.DataObject) -> None:
    """Where an answer begins and ends with tokens, it comes back; elsewhere what comes back holds it."""
    text = "".join(parts)
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    answer = text[start:end]
    offsets = np.asarray([(i, i + 1) for i in range(len(text)) if not text[i].isspace()], dtype=np.int32).reshape(-1, 2)
    tokens = Tokens(np.zeros(len(offsets), np.int32), offsets)
    value = json.dumps([{"text": answer, "start": start}])
    target = task.decode_target(task.encode_targets([value], (), tokens=[tokens], texts=[text], encoder=None)[0])  # type: ignore[arg-type]
    assert (target["context"], target["answers"]) == (text, [answer])
    ((first, last),) = target["spans"].tolist()
    assert (first < 0) == (not answer.strip())
    if first >= 0:
        assert text[offsets[first, 0] : offsets[last, 1]] == answer.strip()


def test_an_answer_that_does_not_stand_there_is_refused() -> None:
    with pytest.raises(DataError, match="does not stand at character 1"):
        task.encode_targets(
            ['[{"text": "cat", "start": 1}]'], (), tokens=[Tokens(np.zeros(1), np.asarray([[0, 3]]))], texts=["cat"], encoder=None
        )  # type: ignore[arg-type]


@given(st.lists(st.tuples(st.floats(-5, 5), st.booleans(), st.floats(0, 1)), min_size=1, max_size=30))
def test_the_threshold_is_the_best_there_is(rows: list[tuple[float, bool, float]]) -> None:
    margin, none, f1 = (np.asarray(column, dtype=np.float64) for column in zip(*rows, strict=True))
    outcomes = {
        "margin": margin,
        "none": none,
        "f1": np.where(none == 1, 0, f1),
        "exact": np.zeros(len(f1)),
        "may_be_none": np.ones(len(f1)),
    }

    def reached(settings: dict[str, float]) -> float:
        return task.metrics(task.counted(outcomes, (), settings), ())["f1"]

    assert reached(task.tune(outcomes, ())) >= max(reached({"none_margin": at}) for at in [-10.0, *margin.tolist(), 10.0]) - 1e-12


def test_no_answer_is_given_only_where_training_knew_it() -> None:
    result = np.asarray([[-1, -1, 9.0], [0, 0, 5.0], [1, 1, 4.0]])
    rows = Rows([], texts=["cat dog"], offsets=[np.asarray([[0, 3], [3, 7]])])
    silent = task.decode(objects([result]), rows, Setup((), {"may_be_none": True}))
    assert silent["answer"].tolist() == [""] and silent["start"].tolist() == [None]
    bold = task.decode(objects([result]), rows, Setup((), {"may_be_none": True, "none_margin": 4.5}))
    assert bold["answer"].tolist() == ["cat"]
    never = task.decode(objects([result]), rows, Setup((), {}))
    assert never["answer"].tolist() == ["cat"] and never["end"].tolist() == [3]
    assert [one["text"] for one in never["candidates"][0]] == ["cat", "dog"]
    assert sum(one["score"] for one in never["candidates"][0]) == pytest.approx(1.0)


def test_an_answer_seen_in_two_windows_counts_once() -> None:
    from sparknlp_ft.tasks.families.question_answering import _row_spans
    from sparknlp_ft.text.encoder import Inputs

    def window(first: int) -> tuple[Inputs, np.ndarray]:
        output = np.full((6, 2), -9.0)
        output[1 + 4 - first] = 5.0  # token 4 of the context
        return Inputs(np.zeros(6, np.int32), None, False, at=1, kept=np.arange(first, first + 4)), output

    one, two = (_row_spans(windows, most_tokens=5) for windows in ([window(2)], [window(2), window(3)]))
    assert len({(a, b) for a, b, _ in two.tolist()}) == len(two)
    assert two[1].tolist() == one[1].tolist() == [4.0, 4.0, 10.0]
