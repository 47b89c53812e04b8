"""The demo's data set: deterministic, whole, and hard enough to tell methods apart."""

from __future__ import annotations

import csv
import random
from collections import Counter
from pathlib import Path

import pytest

from sparknlp_ft.demo.messages import TEST_ROWS, TRAIN_ROWS, Message, filled, load_phrasings, messages, write_csv


@pytest.fixture(scope="module")
def rows() -> list[Message]:
    return messages()


def test_the_same_seed_gives_the_same_rows(rows: list[Message]) -> None:
    assert messages() == rows
    assert messages(seed=8) != rows


def test_every_intent_has_its_rows_in_both_splits(rows: list[Message]) -> None:
    intents = load_phrasings()["intents"]
    counts = Counter((row.intent, row.split) for row in rows)
    assert len(intents) >= 12
    assert counts == {(intent, split): n for intent in intents for split, n in (("train", TRAIN_ROWS), ("test", TEST_ROWS))}
    assert len(rows) >= 3_600


def test_no_text_occurs_twice(rows: list[Message]) -> None:
    assert len({row.text.casefold() for row in rows}) == len(rows)


def test_nothing_of_the_notation_is_left(rows: list[Message]) -> None:
    assert not [row.text for row in rows if set(row.text) & set("[]{}|~") or "  " in row.text or row.text != row.text.strip()]


def test_the_cheap_baseline_stays_below_the_bar(rows: list[Message]) -> None:
    from sparknlp_ft.baselines.linear import logistic_regression
    from sparknlp_ft.baselines.methods import Sample

    train, test = (
        Sample([(row.text,) for row in rows if row.split == split], [row.intent for row in rows if row.split == split])
        for split in ("train", "test")
    )
    predicted = logistic_regression(train, train, sorted(set(train.targets)), 0).predict(test.texts)
    right = [one == other for one, other in zip(predicted, test.targets, strict=True)]
    assert 0.8 < sum(right) / len(right) < 0.95
    assert max(map(test.targets.count, set(test.targets))) / len(test) < 0.1


def test_csv_keeps_every_row(rows: list[Message], tmp_path: Path) -> None:
    write_csv(rows, tmp_path / "all.csv")
    with (tmp_path / "all.csv").open(newline="", encoding="utf-8") as stream:
        assert [(row["text"], row["intent"]) for row in csv.DictReader(stream)] == [(row.text, row.intent) for row in rows]


@pytest.mark.parametrize(
    ("phrasing", "unseen", "expected"),
    [
        ("a [b] c", False, {"a b c"}),
        ("a [b|] c", False, {"a b c", "a c"}),
        ("it is [broken ~ smashed|split]", False, {"it is broken"}),
        ("it is [broken ~ smashed|split]", True, {"it is smashed", "it is split"}),
        ("it is [broken]", True, {"it is broken"}),
        ("~ only here", True, {"only here"}),
        ("from {plan} to {plan}", False, {"from A to B", "from B to A"}),
        ("no [trouble|] .", False, {"no trouble.", "no."}),
    ],
)
def test_the_notation(phrasing: str, unseen: bool, expected: set[str]) -> None:
    rng = random.Random(0)
    assert {filled(phrasing, {"plan": ["A", "B"]}, rng, unseen=unseen) for _ in range(40)} == expected
