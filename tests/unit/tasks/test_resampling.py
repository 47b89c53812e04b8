"""Whether a lead is more than luck with the rows."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparknlp_ft.config import TrackingConfig
from sparknlp_ft.tasks import get_task, resampling
from sparknlp_ft.tasks.resampling import Measured, lead

LABELS = ("no", "yes")


def measured(right: list[bool], *, first: int = 0) -> Measured:
    targets = ["yes" if i % 2 else "no" for i in range(len(right))]
    predictions = [target if one else "neither" for target, one in zip(targets, right, strict=True)]
    outcomes = get_task("classification").outcomes_of_values(targets, predictions, LABELS, [1] * len(right))
    return Measured(np.arange(first, first + len(right)), outcomes, LABELS)


@pytest.mark.parametrize("metric", ["accuracy", "fn"])
def test_a_clear_lead_is_sure_and_no_lead_is_even(metric: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resampling, "MEASURED_DRAWS", 20)
    task = get_task("classification")
    good, bad = measured([True] * 95 + [False] * 5), measured([False] * 40 + [True] * 60)
    found = lead(task, metric, good, bad)
    assert found is not None and found.confidence > 0.99 and 0 < found.low < found.high
    back = lead(task, metric, bad, good)
    assert back is not None and back.confidence == pytest.approx(1 - found.confidence)
    same = lead(task, metric, good, good)
    assert same is not None and (same.low, same.high, same.confidence) == (0.0, 0.0, 0.5)


def test_one_row_more_of_thirty_is_no_proof() -> None:
    good, bad = measured([True] * 28 + [False] * 2), measured([True] * 26 + [False, False, True, False])
    found = lead(get_task("classification"), "accuracy", good, bad)
    assert found is not None and 0.5 < found.confidence < 0.9
    assert found.low <= 0 < found.high


@pytest.mark.parametrize("rows", [20, 100, 1000])
def test_one_row_moves_no_alias_by_default_and_two_do(rows: int) -> None:
    least = TrackingConfig().min_confidence
    others = measured([False] * 2 + [True] * (rows - 2))
    for ahead in (1, 2):
        found = lead(get_task("classification"), "accuracy", measured([False] * (2 - ahead) + [True] * (rows - 2 + ahead)), others)
        assert found is not None and (found.confidence >= least) == (ahead == 2)


def test_a_gain_that_is_asked_for_is_taken_off_first() -> None:
    good, bad = measured([True] * 100), measured([True] * 90 + [False] * 10)
    sure = lead(get_task("classification"), "accuracy", good, bad)
    less = lead(get_task("classification"), "accuracy", good, bad, gain=0.1)
    assert sure is not None and less is not None and less.confidence < 0.6 < sure.confidence


@settings(max_examples=5)
@given(st.permutations(range(20)), st.lists(st.booleans(), min_size=20, max_size=20))
def test_the_order_of_rows_decides_nothing_and_rows_of_one_alone_are_left_out(order: list[int], right: list[bool]) -> None:
    task, one, other = get_task("classification"), measured(right), measured([True] * 20)
    mixed = Measured(other.row[order], {name: values[order] for name, values in other.outcomes.items()}, LABELS)
    assert lead(task, "accuracy", one, mixed) == lead(task, "accuracy", one, other)
    assert lead(task, "accuracy", one, measured([True] * 25, first=0)) == lead(task, "accuracy", one, other)
    assert lead(task, "accuracy", one, measured([True], first=99)) is None


FAMILIES = {
    "classification": (["a", "b", "a"], ["a", "b", "b"]),
    "multi_label": (['["a"]', "[]", '["a", "b"]'], ['["a"]', '["b"]', '["a"]']),
    "regression": (["1", "2", "4"], ["1.5", "2", "3"]),
    "question_answering": ([json.dumps([{"text": "a fee", "start": 0}])] * 3, ["fee", "a fee", "none"]),
    "summarization": (['["a card was lost"]'] * 3, ["a card", "the card was lost", "nothing"]),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_scores_of_rows_have_the_metric_as_their_mean(family: str) -> None:
    task, (targets, predictions) = get_task(family), FAMILIES[family]
    outcomes = task.outcomes_of_values(targets, predictions, ("a", "b"), [1] * 3)
    for metric, value in task.metrics(outcomes, ("a", "b")).items():
        scores = task.row_scores(outcomes, metric)
        assert scores is None or scores.mean() == pytest.approx(value)
    assert task.row_scores(outcomes, "loss") is None
    same = Measured(np.arange(3), outcomes, ("a", "b"))
    found = lead(task, task.default_metric, same, same)
    assert found is not None and found.confidence == 0.5
