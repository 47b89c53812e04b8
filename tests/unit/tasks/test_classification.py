"""Classification: labels, targets, metrics against scikit-learn's own on expanded rows, decoding."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score, matthews_corrcoef

from sparknlp_ft.errors import DataError
from sparknlp_ft.tasks import Rows, Setup, Statistics, get_task

task = get_task("classification")
LABELS = ["a", "b", "c"]
SETUP = Setup(tuple(LABELS))


def test_a_single_class_is_refused_by_name() -> None:
    with pytest.raises(DataError, match="at least 2 labels.*'only'"):
        task.label_list(["only", "only"])


def test_an_unseen_label_is_refused_with_the_nearest() -> None:
    with pytest.raises(DataError, match="'card_arival'.*'card_arrival'"):
        task.encode_targets(["card_arival"], ["card_arrival", "lost"])


def test_targets_are_label_indices() -> None:
    assert [task.decode_target(packed) for packed in task.encode_targets(["c", "a"], LABELS)] == [2, 0]


@given(st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(LABELS), st.integers(1, 5)), min_size=1, max_size=30))
def test_counted_outcomes_give_the_metrics_of_the_expanded_rows(rows: list[tuple[str, str, int]]) -> None:
    targets, predictions, weights = zip(*rows, strict=True)
    counted = task.metrics(task.outcomes_of_values(targets, predictions, LABELS, weights), LABELS)
    long_target = np.repeat(targets, weights)
    long_prediction = np.repeat(predictions, weights)
    assert counted["accuracy"] == pytest.approx(np.mean(long_target == long_prediction))
    several = len({*targets, *predictions}) > 1
    assert counted["mcc"] == pytest.approx(matthews_corrcoef(long_target, long_prediction) if several else 0.0)
    macro = f1_score(long_target, long_prediction, labels=np.unique(long_target), average="macro", zero_division=0)
    assert counted["f1_macro"] == pytest.approx(macro)


def test_rows_without_prediction_or_with_unknown_label_count_as_wrong() -> None:
    outcomes = task.outcomes_of_values(["a", "new", "b"], ["a", "a", None], LABELS, [1, 1, 1])  # type: ignore[list-item]
    assert task.metrics(outcomes, LABELS)["accuracy"] == pytest.approx(1 / 3)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_focal_loss_has_a_gradient_where_the_row_is_right_beyond_doubt(gamma: float) -> None:
    import torch

    logits = torch.tensor([[200.0, 0.0, 0.0], [0.0, 1.0, 0.0]], requires_grad=True)
    task.loss(logits, Rows([[None], [None]], targets=[0, 0]), Setup(SETUP.labels, {"focal_gamma": gamma})).sum().backward()  # type: ignore[list-item]
    assert torch.isfinite(logits.grad).all() and logits.grad[1].abs().sum() > 0


def test_a_label_without_rows_in_train_has_weight_one() -> None:
    import torch

    logits = torch.zeros(2, 3)
    losses = task.loss(logits, Rows([[None], [None]], targets=[0, 2]), Setup(SETUP.labels, {"class_weights": {"a": 2.0, "b": 1.0}}))  # type: ignore[list-item]
    assert losses[0] == pytest.approx(2 * float(losses[1]))


def test_loss_and_outcomes_agree_with_each_other() -> None:
    import torch

    logits = np.array([[2.0, 0.5, -1.0], [0.0, 3.0, 0.0]], dtype=np.float32)
    rows = Rows([[None], [None]], [0, 2])  # type: ignore[list-item]  # two rows of one window each, whose tokens do not matter
    loss = task.loss(torch.from_numpy(logits), rows, SETUP)
    assert loss.numpy() == pytest.approx(task.outcomes(logits, rows, SETUP)["loss"], rel=1e-5)


def test_majority_baseline_predicts_the_commonest_train_label() -> None:
    outcomes = task.outcomes_of_values(["a", "b", "b"], ["a", "b", "b"], LABELS, [1, 1, 1])
    baseline = task.majority_outcomes(outcomes, Statistics(13, {"a": 10, "b": 3}), LABELS)
    assert task.metrics(baseline, LABELS)["accuracy"] == pytest.approx(1 / 3)


def test_decode_gives_label_score_and_all_scores() -> None:
    frame = task.decode(np.array([[1.0, 3.0, 1.0], [9.0, 0.0, 0.0]], dtype=np.float32), Rows([]), SETUP)
    assert frame["label"].tolist() == ["b", "a"]
    assert sum(frame["scores"][0].values()) == pytest.approx(1.0)
    assert frame["score"][0] == pytest.approx(frame["scores"][0]["b"])


def test_decode_of_no_rows_has_the_columns() -> None:
    assert list(task.decode(np.zeros((0, 3), dtype=np.float32), Rows([]), SETUP).columns) == ["label", "score", "scores"]


def test_labels_that_a_model_learnt_and_was_not_asked_for_are_told_apart() -> None:
    assert task.unknown_labels(LABELS, ["a", "x", "b", "x"]) == ("x",)
    assert task.evaluated_labels(LABELS, ["a", None, "renamed"]) == ("a", "b", "c", "renamed")
    assert "f1" in task.metric_names() and "f1" not in task.metric_names(LABELS)
