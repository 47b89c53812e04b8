"""Findings on whole tables: texts, splits and keys, what the cures make of them, and a clean table that gives none."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pytest

from sparknlp_ft.config import Config
from sparknlp_ft.errors import DataError
from sparknlp_ft.findings import overlap
from sparknlp_ft.findings.finding import Finding
from sparknlp_ft.findings.look import look_through
from sparknlp_ft.tables.contracts import Roles, resolve_roles
from sparknlp_ft.tables.cures import cured
from sparknlp_ft.tables.places import tell_places
from sparknlp_ft.tables.survey import survey
from sparknlp_ft.tasks import get_task

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

SCHEMA = "id int, text string, label string, split string"
SPANS = "id int, text string, entities array<struct<start:int,end:int,label:string>>"
ANSWERS = "id int, question string, context string, answers array<struct<text:string,start:int>>"
TASK = get_task("classification")
LABELS = ("card", "cash", "loan")
CLEAN: list[tuple[Any, ...]] = [
    (n, f"a question of mine, number {n}", LABELS[n % 3], ("train", "train", "train", "validation", "test")[n % 5]) for n in range(300)
]


def config(task: str = "classification", **data: Any) -> Config:
    return Config(data={"table": "t", "task": task, **data})


def roles_of(df: DataFrame, made: Config) -> Roles:
    return resolve_roles(df, made.data, get_task(made.data.task), need_target=True)


def findings(df: DataFrame, **data: Any) -> dict[str, Finding]:
    made = config(**data)
    task, roles = get_task(made.data.task), roles_of(df, made)
    return {one.kind: one for one in look_through(cured(df, roles, made.data, task), roles, made.data, task)}


def mended(df: DataFrame, **data: Any) -> list[tuple[Any, ...]]:
    made = config(**data)
    task, roles = get_task(made.data.task), roles_of(df, made)
    frame = cured(df, roles, made.data, task)
    assert frame.columns == df.columns or set(frame.columns) == set(df.columns)
    return [tuple(row) for row in frame.select(*df.columns).orderBy("id").collect()]


def test_a_clean_table_gives_no_finding(spark: SparkSession) -> None:
    clean = spark.createDataFrame(CLEAN, SCHEMA)
    assert findings(clean) == {}
    assert findings(clean.drop("split"), validation_fraction=0.2) == {}
    assert mended(clean) == CLEAN


def test_all_is_found_at_once(spark: SparkSession) -> None:
    odd = [
        (1001, "A question  of mine, number 0 ", "card", "train"),  # equal but for blanks: A differs
        (1002, "a question of  mine, number 4 ", LABELS[4 % 3], "train"),  # 4 is in test
        (1003, "a question of mine, number 3", LABELS[3 % 3], "train"),  # 3 is in validation
        (1004, "a question of mine, number 5", "cash", "train"),  # 5 is loan, in train
        (1005, "some other", "CASH", "train"),
        (1006, None, "cash", "train"),
        (1007, "no label", None, "test"),
        (1008, "nothing to say", "nan", "train"),
        (1009, "of a kind of its own", "lone", "test"),
    ]
    found = findings(spark.createDataFrame([*CLEAN, *odd], SCHEMA))
    keys = {kind: (one.severity, one.count, one.examples) for kind, one in found.items()}
    assert keys == {
        "labels that train has not": ("error", 1, ("1009",)),
        "labels that look alike": ("warning", 1, ("1005",)),
        "labels that say nothing": ("warning", 1, ("1008",)),
        "rare labels": ("warning", 2, ("1005", "1008")),
        "rows without text": ("note", 1, ("1006",)),
        "rows without label": ("note", 1, ("1007",)),
        "labels without a row in validation": ("note", 2, ()),
        "labels without a row in test": ("note", 2, ()),
        "equal texts in train and validation": ("warning", 1, ("3",)),
        "equal texts in train and test": ("warning", 1, ("4",)),
        "equal texts at odds": ("warning", 2, ("5",)),
    }
    assert next(iter(found)) == "labels that train has not"
    assert "question" not in " ".join(map(str, found.values()))


def test_drift_of_lengths(spark: SparkSession) -> None:
    longer = [(n, text * 3 if split == "test" else text, label, split) for n, text, label, split in CLEAN]
    [one] = findings(spark.createDataFrame(longer, SCHEMA)).values()
    assert one.kind == "lengths that drift" and "test are 2.9" in one.message


def test_drift_of_languages(spark: SparkSession) -> None:
    other = [(n, f"eine Frage, die ich schon habe: {n}" if split == "test" else text, label, split) for n, text, label, split in CLEAN]
    [one] = findings(spark.createDataFrame(other, SCHEMA)).values()
    assert one.kind == "languages that drift" and "texts of test" in one.message and one.count == 60


def test_of_a_large_table_a_sample_of_texts_is_grouped(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlap, "MOST_ROWS", 300)
    twice = [*CLEAN, *[(1000 + n, text, label, "train") for n, text, label, split in CLEAN if split == "test"]]
    one = findings(spark.createDataFrame(twice, SCHEMA))["equal texts in train and test"]
    assert "a sample of 1 in 2 texts" in one.message and 30 <= one.count <= 90


def test_labels_are_spelled_one_way_where_that_is_asked_for(spark: SparkSession) -> None:
    rows = [
        (1, "a", "cash", "train"),
        (2, "b", " cash\u200b", "train"),
        (3, "c", "CASH", "train"),
        (4, "d", "Cash", "test"),
        (5, "e", None, "train"),
    ]
    table = spark.createDataFrame(rows, SCHEMA)
    assert [row[2] for row in mended(table, clean={"labels": "strip"})] == ["cash", "cash", "CASH", "Cash", None]
    assert [row[2] for row in mended(table, clean={"labels": "fold"})] == ["cash", "cash", "cash", "cash", None]
    several = spark.createDataFrame([(1, "a", ["x", "X "]), (2, "b", ["x"]), (3, "c", None)], "id int, text string, labels array<string>")
    assert [row[2] for row in mended(several, task="multi_label", clean={"labels": "fold"})] == [["x", "x"], ["x"], None]
    spans = spark.createDataFrame(
        [(1, "abc", [(0, 1, " per"), (1, 2, "per")])], "id int, text string, entities array<struct<start:int,end:int,label:string>>"
    )
    [(_, _, entities)] = mended(spans, task="token_classification", clean={"labels": "strip"})
    assert [one["label"] for one in entities] == ["per", "per"]


def test_equal_texts_at_odds_are_dropped_or_settled(spark: SparkSession) -> None:
    rows = [
        (1, "same", "x", "train"),
        (2, " same", "x", "train"),
        (3, "same ", "y", "train"),
        (4, "same", "y", "test"),
        (5, "other", "x", "train"),
        (6, "same", None, "train"),
        (7, None, "x", "train"),
        (8, None, "y", "train"),
    ]
    table = spark.createDataFrame(rows, SCHEMA)
    assert [row[0] for row in mended(table, on_conflict="drop")] == [4, 5, 7, 8]
    assert [row[2] for row in mended(table, on_conflict="majority")] == ["x", "x", "x", "y", "x", None, "x", "y"]


def test_entities_outside_their_texts_are_told_together(spark: SparkSession) -> None:
    good = [(n, "abc 🙂 def", [(0, 5, "X")]) for n in range(50)]
    bad = [(100 + n, "abc", [(2, 4, "X")]) for n in range(7)]
    bad += [(110, "abc", [(0, None, "X")]), (111, "abc", [(0, 2, None)]), (112, " ", [(0, 9, "X")])]
    first = "100: an entity from character 2 to 4 is not in its text of 3 characters"
    told_together(
        spark.createDataFrame([*good, *bad], SPANS), "token_classification", rf"^9 row\(s\) .*'id'\): {first}; .*104: .*; and 4 more"
    )


def test_answers_that_are_elsewhere_are_told_together(spark: SparkSession) -> None:
    good = [(n, "?", "a 🙂 bcd", [("bcd", 4)]) for n in range(50)]
    bad = [
        (100, "?", "abc", [("b", 1), ("c", 1), ("x", None)]),
        (101, "?", "abc", [("abcd", 0)]),
        (102, "?", "abc", [("a", -1)]),
        (103, "?", "b", [(" ", 7)]),  # An answer without text says that there is none.
    ]
    first = r"100: an answer does not stand at character 1 of its context \(and 1 more in this row\)"
    told_together(
        spark.createDataFrame([*good, *bad], ANSWERS), "question_answering", rf"^3 row\(s\) .*{first}; 101: .* 0 of .*; 102: .* -1"
    )


def told_together(table: DataFrame, task: str, message: str) -> None:
    made = config(task, validation_fraction=0.5)
    with pytest.raises(DataError, match=message):
        survey(table, roles_of(table, made), made, get_task(task))
    kept = mended(table, task=task, on_misplaced="drop")
    assert [row[0] for row in kept if row[-1] is not None] == [*range(50), 103] if task == "question_answering" else [*range(50)]


def test_answers_are_moved_to_where_their_text_stands_nearest(spark: SparkSession, caplog: pytest.LogCaptureFixture) -> None:
    draw = random.Random(0)
    texts = ["".join(draw.choices("ab🙂", k=draw.randint(1, 12))) for _ in range(400)]
    rows = [
        (n, "?", text, [("".join(draw.choices("ab🙂", k=draw.randint(1, 2))), draw.choice([None, draw.randint(-2, 14)])) for _ in range(2)])
        for n, text in enumerate(texts)
    ]
    expected = [(*row[:3], whole(moved(row[2], *answer) for answer in row[3])) for row in rows]
    table = spark.createDataFrame(rows, ANSWERS)
    assert mended(table, task="question_answering", on_misplaced="repair") == expected
    left = [row for row in expected if row[3] is None]
    made = config("question_answering", on_misplaced="repair")
    with caplog.at_level("INFO", "sparknlp_ft"):
        tell_places(table, roles_of(table, made), made.data, get_task("question_answering"))
    assert f"{len(left):,} row(s) are left out: {left[0][0]}: an answer" in caplog.text and "moved to where their text" in caplog.text


def moved(text: str, answer: str, start: int | None) -> tuple[str, int] | None:
    places = [at for at in range(len(text)) if text.startswith(answer, at)]
    if start is None:
        return (answer, places[0]) if len(places) == 1 else None
    return (answer, min(places, key=lambda at: (abs(at - max(start, 0)), at))) if places else None


def whole(answers: Iterable[tuple[str, int] | None]) -> list[tuple[str, int]] | None:
    listed = list(answers)
    return None if None in listed else [one for one in listed if one is not None]
