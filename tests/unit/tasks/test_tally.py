"""Sums in place of rows: the same metrics however rows are dealt to ranks or tasks, and no more of them in one place than is allowed."""

from __future__ import annotations

import json
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparknlp_ft.tasks import Outcomes, Task, get_task, tally
from sparknlp_ft.tasks.outcomes import entries_of, join_outcomes
from sparknlp_ft.tasks.tally import Counting, Part, Tally, distinct, handed_on, merged, packed, unpacked
from tests.families import LABELS, rows_of

ROWS = 120


def predicted(family: str, target: str) -> str:
    """Return a prediction as a table holds it, that would be right for a target."""
    if family == "summarization":
        return json.loads(target)[0]
    if family == "question_answering":
        return next((answer["text"] for answer in json.loads(target)), "")
    return target


def pairs_of(family: str, *, seed: int = 0) -> tuple[list[str], list[str | None]]:
    """Return targets, and predictions of which some are wrong and some missing."""
    rng, targets = np.random.default_rng(seed), [row[2] for row in rows_of(family, ROWS, seed=seed)]
    guesses = [predicted(family, targets[int(rng.integers(ROWS))] if rng.random() < 0.3 else target) for target in targets]
    return targets, [None if rng.random() < 0.05 else guess for guess in guesses]


def whole(family: str) -> tuple[Task, Outcomes, np.ndarray]:
    task, hashes = get_task(family), np.random.default_rng(7).integers(-(2**63), 2**63 - 1, size=ROWS)
    return task, task.outcomes_of_values(*pairs_of(family), LABELS[family], [1] * ROWS), hashes


@pytest.mark.parametrize("family", LABELS)
@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_metrics_are_the_same_in_any_number_of_parts(family: str, parts: int) -> None:
    task, outcomes, row = whole(family)
    held = []
    for index in np.array_split(np.random.default_rng(parts).permutation(ROWS), parts):
        one = Tally(task)
        for some in np.array_split(index, 3):
            one.add(handed_on(task, {name: values[some] for name, values in outcomes.items()}, row[some], rows=ROWS))
        held.append(unpacked(packed(one.entries())))
    found = join_outcomes(held)
    assert task.metrics(found, LABELS[family]) == pytest.approx(task.metrics(outcomes, LABELS[family]), rel=1e-9, abs=1e-9)
    if task.keys is not None:
        assert entries_of(found) <= parts * 6, "what is handed on does not grow with the rows"
        assert task.metrics(task.summed(found), LABELS[family]) == pytest.approx(task.metrics(outcomes, LABELS[family]), abs=1e-9)
        if task.constant is not None:
            statistics: Any = mock.Mock(label_counts=dict.fromkeys(LABELS[family], 1))
            constant = [task.majority_outcomes(one, statistics, LABELS[family]) for one in (outcomes, found)]
            one, other = (task.metrics(some, LABELS[family]) for some in constant)
            assert one == pytest.approx(other, abs=1e-9)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(1, 5)), min_size=1, max_size=30), st.randoms())
def test_equal_outcomes_share_an_entry_whatever_their_order(rows: list[tuple[int, int, int]], shuffled: Any) -> None:
    def outcomes(some: list[tuple[int, int, int]]) -> Outcomes:
        target, prediction, weight = (np.asarray(column) for column in zip(*some, strict=True))
        return {"target": target, "prediction": prediction, "weight": weight}

    found = distinct(outcomes(rows))
    assert len(set(zip(found["target"].tolist(), found["prediction"].tolist(), strict=True))) == entries_of(found)
    assert found["weight"].sum() == sum(row[2] for row in rows)
    again = list(rows)
    shuffled.shuffle(again)
    for name, values in distinct(outcomes(again)).items():
        np.testing.assert_array_equal(values, found[name])


def batches(targets: list[str | None], predictions: list[str | None], size: int) -> list[pa.RecordBatch]:
    columns = {
        "row": pa.array(np.random.default_rng(3).integers(-(2**63), 2**63 - 1, size=len(targets))),
        "target": pa.array(targets, pa.string()),
        "prediction": pa.array(predictions, pa.string()),
        "unscored": pa.array([one is None for one in predictions]),
        "cut": pa.array([i % 10 == 0 for i in range(len(targets))]),
    }
    return pa.table(columns).to_batches(max_chunksize=size)


@pytest.mark.parametrize("each", [True, False], ids=["each", "sums"])
@pytest.mark.parametrize("family", [family for family in LABELS if family != "classification"])
def test_tasks_of_spark_count_their_own_rows(family: str, each: bool) -> None:
    task, labels = get_task(family), LABELS[family]
    targets, predictions = pairs_of(family)
    expected = task.metrics(task.outcomes_of_values(targets, predictions, labels, [1] * ROWS), labels)
    with_gaps = [*targets, None, None]
    counting = Counting(task, labels, ROWS, ROWS if each else 1, each)
    all_batches = batches([*with_gaps], [*predictions, None, "x"], 17)
    parts = []
    for some in (all_batches[:3], all_batches[3:], []):
        [batch] = counting.parts(some)
        parts.append(Part.of_bytes(batch.column("part")[0].as_py()))
    found = merged(task, parts, labels, most=ROWS if each else 1)
    outcomes = {name: values for name, values in found.outcomes.items() if name != "row"}
    assert task.metrics(outcomes, labels) == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert found.facts == (2, predictions.count(None), sum(i % 10 == 0 for i in range(ROWS)))
    assert found.whole == each and ("row" in found.outcomes) == (each or task.keys is None)
    if each:
        assert (np.diff(found.outcomes["row"]) > 0).all() and entries_of(outcomes) == ROWS
    if task.label_table(outcomes, labels) is not None:
        table = task.label_table(task.outcomes_of_values(targets, predictions, labels, [1] * ROWS), labels)
        assert table is not None and table.equals(task.label_table(outcomes, labels))


def test_labels_that_only_some_parts_know_have_a_column_in_all() -> None:
    task, labels = get_task("multi_label"), ("a", "b")
    targets = ['["a", "zoo"]', '["b"]', '["old", "b"]', '["zoo"]']
    predictions: list[str | None] = ['["a"]', '["b"]', '["a"]', None]
    parts = [Counting(task, labels, 4, 0, False).count([batch]) for batch in batches([*targets], predictions, 1)]
    found = merged(task, parts, labels, most=0)
    assert found.labels == ("a", "b", "old", "zoo")
    expected = task.metrics(task.outcomes_of_values(targets, predictions, labels, [1] * 4), labels)
    assert task.metrics(found.outcomes, labels) == pytest.approx(expected)
    assert found.outcomes["actual"].shape == (1, 4)


def test_of_rows_that_must_be_kept_no_more_bytes_than_allowed_are() -> None:
    task, outcomes, row = whole("regression")
    with mock.patch.object(tally, "MOST_BYTES", 50 * (3 * 8 + 8)):
        kept = handed_on(task, outcomes, row, rows=ROWS)
        assert 25 < entries_of(kept) < 75
        halves = [handed_on(task, {n: v[s] for n, v in outcomes.items()}, row[s], rows=ROWS) for s in (slice(0, 60), slice(60, None))]
    joined = join_outcomes(halves)
    np.testing.assert_array_equal(joined["row"], kept["row"], "which rows, does not depend on where they are")
