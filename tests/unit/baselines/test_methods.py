"""The cheap methods that a transformer is held against: each answers in its task's own form, and better than nothing."""

from __future__ import annotations

import json

import pytest

from sparknlp_ft.baselines.methods import Sample, Texts
from sparknlp_ft.errors import DataError
from sparknlp_ft.reports.leaderboard import BASELINE, MODEL, Entry, as_text, ranked
from sparknlp_ft.tasks import get_task

TOPICS = {"parcel": "delivery", "invoice": "billing", "password": "account"}
TEXTS = [f"please, the {word} of {name}" for name in ("Ada", "Bob", "Cy", "Dee") for word in TOPICS]
WORDS = [word for _ in range(4) for word in TOPICS]


def entity(text: str) -> str:
    name = text.rsplit(" ", 1)[1]
    return json.dumps([{"start": len(text) - len(name), "end": len(text), "label": "person"}])


def sent(word: str) -> str:
    return f"The {word} was sent by us!"


#: Task → texts of a row and its target, from a text and its topic word.
ROWS = {
    "classification": [((text,), TOPICS[word]) for text, word in zip(TEXTS, WORDS, strict=True)],
    "multi_label": [
        ((text,), json.dumps(sorted({TOPICS[word], *([] if "Ada" in text else ["polite"])})))
        for text, word in zip(TEXTS, WORDS, strict=True)
    ],
    "regression": [((text,), str(float(len(word)))) for text, word in zip(TEXTS, WORDS, strict=True)],
    "token_classification": [((text,), entity(text)) for text in TEXTS],
    "question_answering": [
        ((f"who sent the {word}?", f"It rained. {sent(word)} All went home."), json.dumps([{"text": sent(word), "start": 11}]))
        for word in WORDS
    ],
    "summarization": [((f"{text}. And so on. And more.",), json.dumps([f"{text}."])) for text in TEXTS],
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_every_family_has_a_method_that_answers_in_its_form(name: str) -> None:
    task, rows = get_task(name), ROWS[name]
    labels = {
        "classification": sorted(TOPICS.values()),
        "multi_label": sorted([*TOPICS.values(), "polite"]),
        "token_classification": ["person"],
    }
    known = labels.get(name, [])
    sample = Sample([texts for texts, _ in rows], [target for _, target in rows])
    assert task.baselines()
    for method in task.baselines():
        fitted = method.fit(sample, sample, known, 0)
        predicted = fitted.predict(sample.texts)
        metrics = task.metrics(task.outcomes_of_values(sample.targets, predicted, known, [1] * len(rows)), known)
        assert metrics[task.default_metric] > 0.9
        assert fitted.predict([]) == []
        assert method.fit(sample, sample, known, 0).predict(sample.texts) == predicted


def test_texts_without_words_are_refused() -> None:
    [method] = get_task("classification").baselines()
    with pytest.raises(DataError, match="no word of two characters"):
        method.fit(Sample([("!",), ("?",)], ["a", "b"]), Sample([], []), ["a", "b"], 0)


def test_a_phrase_that_mostly_is_no_entity_is_not_taken_for_one() -> None:
    texts: list[Texts] = [("May came",), ("May flowers bloom in May",)]
    targets = [json.dumps([{"start": 0, "end": 3, "label": "person"}]), "[]"]
    fitted = get_task("token_classification").baselines()[0].fit(Sample(texts, targets), Sample([], []), ["person"], 0)
    assert fitted.predict([("May",)]) == ["[]"]


@pytest.mark.parametrize(("measure", "order"), [("accuracy", ["good", "fair", "failed"]), ("rmse", ["fair", "good", "failed"])])
def test_the_board_is_ordered_by_what_is_better(measure: str, order: list[str]) -> None:
    entries = [
        Entry("failed", MODEL, error="no such folder"),
        Entry("fair", BASELINE, {measure: 0.5}, {measure: 0.5}),
        Entry("good", MODEL, {measure: 0.9}, {measure: 0.8}, parameters=22_000_000, trained_share=0.03, size_mb=88, training_seconds=60),
    ]
    assert [one.name for one in ranked(entries, measure)] == order
    page = as_text(entries, measure)
    assert "22.0 M (3.0%)" in page and page.splitlines()[-1] == "failed failed: no such folder"
