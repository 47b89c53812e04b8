"""The cheap methods that a transformer is held against."""

from __future__ import annotations

import pytest

from sparknlp_ft.errors import DataError
from sparknlp_ft.reports.baseline import baselines

TRAIN = [("where is my parcel", "delivery"), ("the parcel is late", "delivery"), ("send an invoice", "invoice")]


def test_both_baselines_are_measured_on_the_test_rows() -> None:
    result = baselines(TRAIN, [("parcel late", "delivery"), ("an invoice", "invoice")])
    assert result.majority_label == "delivery"
    assert result.majority_accuracy == 0.5
    assert result.tfidf_accuracy == 1.0
    assert (result.train_rows, result.test_rows) == (3, 2)


def test_a_tie_of_majorities_is_settled_by_name() -> None:
    assert baselines([("aa bb", "two"), ("cc dd", "one")], TRAIN).majority_label == "one"


def test_a_label_that_only_the_test_rows_have_counts_as_wrong() -> None:
    assert baselines(TRAIN, [("an invoice", "other")]).tfidf_accuracy == 0.0


def test_rows_must_be_there() -> None:
    with pytest.raises(DataError, match="found none; check data.split_column and data.test_split"):
        baselines(TRAIN, [])
    with pytest.raises(DataError, match="at least 2 labels"):
        baselines(TRAIN[:2], TRAIN)
