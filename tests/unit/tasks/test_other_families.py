"""Multi-label, regression and summarization: metrics by hand or by scikit-learn, thresholds, scaling."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from sparknlp_ft.config import Config
from sparknlp_ft.errors import DataError
from sparknlp_ft.tasks import Rows, Setup, Statistics, Task, get_task
from sparknlp_ft.tasks.families.multi_label import SHARED_ROWS
from sparknlp_ft.tasks.families.summarization import WordTokenizer

LABELS = ("a", "b", "c")
CONFIG = Config.model_validate({"data": {"table": "t"}})
multi, regression, summarization = get_task("multi_label"), get_task("regression"), get_task("summarization")
label_sets = st.lists(st.sampled_from(LABELS), unique=True).map(sorted)


@given(st.lists(st.tuples(label_sets, label_sets, st.integers(1, 4)), min_size=1, max_size=20))
def test_multi_label_metrics_are_scikit_learns(rows: list[tuple[list[str], list[str], int]]) -> None:
    targets, predictions, weights = zip(*rows, strict=True)
    outcomes = multi.outcomes_of_values([json.dumps(t) for t in targets], [json.dumps(p) for p in predictions], LABELS, weights)
    metrics = multi.metrics(outcomes, LABELS)
    hot = [np.repeat([[label in one for label in LABELS] for one in side], weights, axis=0) for side in (targets, predictions)]
    assert metrics["f1_micro"] == pytest.approx(f1_score(*hot, average="micro", zero_division=0))
    present = np.flatnonzero(hot[0].any(axis=0))
    if len(present):
        assert metrics["f1_macro"] == pytest.approx(f1_score(*hot, labels=present, average="macro", zero_division=0))
    assert metrics["subset_accuracy"] == pytest.approx((hot[0] == hot[1]).all(axis=1).mean())
    assert metrics["hamming_accuracy"] == pytest.approx((hot[0] == hot[1]).mean())
    alone = multi.majority_outcomes(outcomes, Statistics(3, {"b": 2, "c": 1}), LABELS)
    constant = multi.outcomes_of_values([json.dumps(t) for t in targets], ['["b"]'] * len(targets), LABELS, weights)
    assert multi.metrics(alone, LABELS) == pytest.approx(multi.metrics(constant, LABELS))


@given(st.integers(0, 2**31), st.integers(1, 40))
def test_thresholds_never_lower_the_f1_that_they_are_chosen_for(seed: int, rows: int) -> None:
    rng = np.random.default_rng(seed)
    target, score = rng.integers(0, 2, (rows, 3)), rng.random((rows, 3)).astype(np.float32)
    tuned = multi.tune({"target": target.astype(np.uint8), "score": score}, LABELS)["thresholds"]
    share = SHARED_ROWS / max(target.sum(), 1)

    def f1(threshold: float, i: int) -> float:
        hot = score >= threshold
        own, every = (np.asarray([(hot & target)[:, at].sum(), hot[:, at].sum(), target[:, at].sum()]) for at in (i, slice(None)))
        hits, predicted, there = own + share * every
        return float(2 * hits / max(predicted + there, 1))

    for i, label in enumerate(LABELS):
        assert f1(tuned[label], i) >= f1(0.5, i) - 1e-12


def test_a_rare_label_has_the_threshold_of_all_and_a_frequent_one_its_own() -> None:
    rng = np.random.default_rng(0)
    target = (rng.random((4000, 3)) < [0.5, 0.5, 0.0005]).astype(np.uint8)
    target[0, 2] = 1
    score = np.where(target == 1, rng.uniform(0.2, 0.4, target.shape), rng.uniform(0.0, 0.2, target.shape)).astype(np.float32)
    score[:, 1] = np.where(target[:, 1] == 1, rng.uniform(0.7, 0.9, 4000), rng.uniform(0.5, 0.7, 4000))
    score[0, 2] = 0.9  # Alone it would say that 0.5 does.
    tuned = multi.tune({"target": target, "score": score}, ("usual", "high", "rare"))["thresholds"]
    assert tuned["usual"] == pytest.approx(0.2) and tuned["high"] == pytest.approx(0.7)
    assert tuned["rare"] < 0.5
    nothing = multi.tune({"target": np.zeros((3, 3), np.uint8), "score": score[:3]}, LABELS)["thresholds"]
    assert set(nothing.values()) == {0.5}


def test_thresholds_decide_what_is_predicted() -> None:
    logits = np.asarray([[0.0, 1.0, -3.0]], dtype=np.float32)
    assert multi.decode(logits, Rows([]), Setup(LABELS))["labels"].tolist() == [["a", "b"]]
    assert multi.decode(logits, Rows([]), Setup(LABELS, {"thresholds": {"a": 0.6, "c": 0.04}}))["labels"].tolist() == [["b", "c"]]


def test_a_missed_label_that_the_model_does_not_know_counts() -> None:
    outcomes = multi.outcomes_of_values(['["a", "new"]'], ['["a"]'], LABELS, [1])
    assert multi.metrics(outcomes, LABELS)["recall_micro"] == 0.5


def test_an_unknown_label_is_refused_in_training() -> None:
    with pytest.raises(DataError, match="'bb'.*Did you mean 'b'"):
        multi.encode_targets(['["bb"]'], LABELS)


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=20))
def test_regression_scales_and_unscales(values: list[float]) -> None:
    settings = regression.settings(CONFIG, Statistics(len(values), mean=float(np.mean(values)), deviation=float(np.std(values))))
    assert settings["deviation"] > 0
    packed = regression.encode_targets([str(v) for v in values], ())
    assert [regression.decode_target(one) for one in packed] == values
    results = np.asarray([[(v - settings["mean"]) / settings["deviation"]] for v in values])
    found = regression.decode(results, Rows([]), Setup((), settings))["prediction"]
    assert found.tolist() == pytest.approx(values, rel=1e-6, abs=1e-6 * max(1.0, max(map(abs, values))))


def test_regression_metrics_by_hand() -> None:
    outcomes = regression.outcomes_of_values(["1", "2", "3"], ["2", "4", None], (), [1, 1, 2])
    metrics = regression.metrics(outcomes, ())
    assert metrics["mse"] == pytest.approx((1 + 4 + 2 * 0.75**2) / 4)  # the mean, 2.25, stands in for what is missing
    constant = regression.metrics({"target": np.arange(3.0), "prediction": np.ones(3)}, ())
    assert constant["pearson"] == constant["spearman"] == 0.0


def test_rouge_takes_the_best_reference_in_any_script() -> None:
    outcomes = summarization.outcomes_of_values(['["the cat sat", "a dog"]', '["кот сидел"]'], ["a dog", "кот"], (), [1, 1])
    metrics = summarization.metrics(outcomes, ())
    assert metrics["rouge1"] == pytest.approx((1 + 2 / 3) / 2)
    assert WordTokenizer().tokenize("Don't_stop, 2 日本") == ["don", "t", "stop", "2", "日", "本"]


def test_the_table_of_several_labels_counts_each() -> None:
    outcomes = multi.outcomes_of_values(['["a", "b"]', '["a", "new"]', "[]"], ['["a"]', None, '["c"]'], LABELS, [2, 3, 1])
    table = multi.label_table(outcomes, LABELS)
    assert table is not None and table["label"].tolist() == ["a", "b", "c"]
    assert table["rows"].tolist() == [5, 2, 0] and table["predicted"].tolist() == [2, 0, 1]
    assert table["recall"].tolist() == pytest.approx([0.4, 0.0, 0.0]) and table["precision"].tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("task", [multi, regression, summarization], ids=lambda task: task.name)
def test_what_training_would_have_settled_is_enough_to_score(task: Task) -> None:
    settings = task.untrained_settings(CONFIG)
    assert json.loads(json.dumps(settings)) == settings
    assert set(settings) == {"regression": {"mean", "deviation"}, "summarization": {"generate", "label_smoothing"}}.get(task.name, set())
