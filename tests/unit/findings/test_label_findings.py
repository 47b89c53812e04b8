"""What labels tell by their names and counts: each finding on a table that shows it, none on clean ones."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparknlp_ft.findings.census import Census, Tally
from sparknlp_ft.findings.finding import ERROR, NOTE, WARNING, Finding
from sparknlp_ft.findings.labels import label_findings
from sparknlp_ft.findings.look import cut_findings
from sparknlp_ft.tables.spelling import corrections, folded, shown_label, stripped

CLEAN = {"positive": 400, "negative": 300, "neutral": 200}


def census(train: Mapping[str, int], test: Mapping[str, int] | None = None, validation: Mapping[str, int] | None = None) -> Census:
    labels = {
        split: {label: Tally(rows, [f"{split} {label!a}"]) for label, rows in counts.items()}
        for split, counts in (("train", train), ("validation", validation or {}), ("test", test or {}))
    }
    return Census(True, {}, labels, dict(train), {}, {}, {}, 0)


def found(train: Mapping[str, int], test: Mapping[str, int] | None = None, *, single: bool = True) -> list[Finding]:
    return label_findings(census(train, test), single=single)


def only(train: Mapping[str, int], test: Mapping[str, int] | None = None, *, kind: str) -> Finding:
    [one] = [finding for finding in found(train, test) if finding.kind == kind]
    return one


def test_clean_labels_give_no_finding() -> None:
    assert found(CLEAN, CLEAN) == []
    assert found({"0": 50, "1": 50, "2": 60}, {"0": 5, "1": 5, "2": 6}) == []
    assert found({"B-card": 40, "top_up failed": 30, "Où?": 35, "[URGENT] call": 20}) == []


@pytest.mark.parametrize(
    "other", [" negative", "NEGATIVE", "negative\n", "negative\u200b", "ne\u00adgative", "\ufeffnegative", "ｎegative"]
)
def test_poison_labels_are_named(other: str) -> None:
    one = only({**CLEAN, other: 5}, kind="labels that look alike")
    assert (one.severity, one.count, one.examples) == (WARNING, 5, (f"train {other!a}",))
    assert "'negative' (300) = " in one.message and shown_label(other) in one.message
    folds = other in ("NEGATIVE", "ｎegative")
    assert one.cure.endswith("fold" if folds else "strip")


def test_forms_of_unicode_are_shown_apart() -> None:
    one = only({"café": 30, "cafe\u0301": 20}, kind="labels that look alike")
    assert r"'café' (30) = 'cafe\u0301' (20)" in one.message


@pytest.mark.parametrize("label", ["nan", "NULL", "None", "N/A", "n/a", "-", "?", "\u200b", "<NA>", " nan "])
def test_labels_that_say_nothing(label: str) -> None:
    one = only({**CLEAN, label: 40}, kind="labels that say nothing")
    assert (one.severity, one.count) == (WARNING, 40)
    assert shown_label(label) in one.message


def test_labels_of_several_types() -> None:
    one, other = [
        finding for finding in found({**CLEAN, '["positive"]': 4, '{"a": 1}': 3, "1": 9}) if finding.kind == "labels of several types"
    ]
    assert (one.severity, one.count, other.severity, other.count) == (WARNING, 7, NOTE, 9)
    assert """'["positive"]'""" in one.message and "'1'" in other.message


def test_labels_with_fractions() -> None:
    assert only({"1.0": 40, "2.0": 50}, kind="labels with fractions").cure == "write them as integers"
    assert "regression" in only({"1.5": 40, "2.0": 50}, kind="labels with fractions").cure


def test_rare_labels() -> None:
    one = only({**CLEAN, "odd": 2, "single": 1}, kind="rare labels")
    assert (one.count, set(one.examples)) == (3, {"train 'odd'", "train 'single'"})


def test_labels_that_another_split_lacks_or_has_alone() -> None:
    missing = only({**CLEAN, "seldom": 9}, {"positive": 40, "negative": 30, "extra": 2}, kind="labels without a row in test")
    assert (missing.severity, missing.count) == (WARNING, 209)
    assert "2 of 4 labels: 'neutral';" in missing.message
    few = only({**CLEAN, "seldom": 9}, {"positive": 4, "negative": 3, "neutral": 2}, kind="labels without a row in test")
    assert few.severity == NOTE
    error = only(CLEAN, {**CLEAN, "extra": 2}, kind="labels that train has not")
    assert (error.severity, error.count, error.examples) == (ERROR, 2, ("test 'extra'",))


def test_unbalanced_labels() -> None:
    assert only({"ham": 950, "spam": 50}, kind="unbalanced labels").severity == WARNING
    assert found({"ham": 950, "spam": 50}, single=False) == []
    assert only({"a": 5000, "b": 5000, "c": 10}, kind="unbalanced labels").severity == NOTE
    assert found({"ham": 866, "spam": 134}) == []


def test_of_many_labels_a_few_are_named() -> None:
    one = only({**CLEAN, **{f"odd {n}": 1 for n in range(12)}}, kind="rare labels")
    assert "and 7 more" in one.message and len(one.examples) == 5 and "…" in str(one)


@given(st.text())
def test_spelling_is_settled_once(label: str) -> None:
    assert stripped(stripped(label)) == stripped(label)
    assert folded(stripped(label)) == folded(label)


def test_the_most_frequent_spelling_is_taken() -> None:
    counts = {"Sales": 10, "sales": 30, " sales": 5, "SALES\u200b": 1, "other": 9, "": 0}
    assert corrections(counts, "strip") == {" sales": "sales", "SALES\u200b": "SALES"}
    assert corrections(counts, "fold") == {"Sales": "sales", " sales": "sales", "SALES\u200b": "sales"}


@pytest.mark.parametrize(("rows", "severity"), [(5, None), (30, NOTE), (200, WARNING)])
def test_texts_that_are_cut(rows: int, severity: str | None) -> None:
    lengths = {254: 1000 - rows, 255: rows}
    one = cut_findings(lengths, max_length=256, special=2, window="head")
    assert [finding.severity for finding in one] == ([severity] if severity else [])
    assert cut_findings(lengths, max_length=256, special=2, window="sliding") == []
