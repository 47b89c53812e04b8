"""JSON documents: every object, question and utterance once; what does not hold is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sparknlp_ft.config import SourceConfig
from sparknlp_ft.sources import documents
from sparknlp_ft.sources.files import BadRecord, Part
from sparknlp_ft.sources.json_values import mend

SETTINGS = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
READERS = {"json": documents.json_objects, "squad": documents.squad_records, "snips": documents.snips_records}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3), max_leaves=5
)


def read(path: Path, kind: str, content: Any, **options: object) -> list[tuple[int, list]]:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8", newline="")
    source = SourceConfig(**{"format": kind, "path": str(path), **options})
    return list(READERS[kind](Part(str(path), 0), source))


@SETTINGS
@given(
    objects=st.lists(st.dictionaries(st.text(max_size=3), VALUES, max_size=3), max_size=6),
    indent=st.sampled_from([None, 2]),
    form=st.sampled_from(["list", "\n", " ", "", "\n\n"]),
)
def test_every_object_is_read_once(tmp_path: Path, objects: list[dict], indent: int | None, form: str) -> None:
    if form == "list":
        content = json.dumps(objects, indent=indent)
    else:
        content = form.join(json.dumps(one, indent=indent) for one in objects)
    assert [json.loads(values[0]) for _, values in read(tmp_path / "a.json", "json", content)] == objects


def test_an_object_has_its_line(tmp_path: Path) -> None:
    content = '{"a":\n 1} {"a": 2}\n\n{"a": 3}\n'
    assert [line for line, _ in read(tmp_path / "a.json", "json", content)] == [1, 2, 4]


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        ('{"a": 1}\n{"a": \n', 3, "not JSON"),
        ('{"a": 1}\n, {"a": 2}', 2, "not JSON"),
        ('[{"a": 1},\n 2]', 2, "not a JSON object but a number"),
        ('[{"a": 1},\n]', 2, "not JSON"),
        ('[{"a": 1}\n', 2, "expected a comma or ]"),
        ('[{"a": 1}]\n\n{}', 1, "nothing behind the list"),
        ('{"a": 1}\n"b"', 2, "a string"),
        ("[" * 100_000, 1, "."),
    ],
)
def test_what_is_no_object_is_named_by_line(tmp_path: Path, content: str, line: int, reason: str) -> None:
    with pytest.raises(BadRecord, match=reason) as caught:
        read(tmp_path / "a.json", "json", content)
    assert caught.value.line == line


def squad(*questions: dict[str, Any], context: str = "In Ærø 🙂 it rains.") -> dict[str, Any]:
    return {"version": "1.1", "data": [{"title": "Weather", "paragraphs": [{"context": context, "qas": list(questions)}]}]}


def question(*answers: tuple[str, int], **more: Any) -> dict[str, Any]:
    return {"id": "q1", "question": "Where?", "answers": [{"text": text, "answer_start": start} for text, start in answers], **more}


def test_questions_of_both_versions(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    context = "In Ærø 🙂 it rains."
    content = squad(question(("Ærø", 3), ("it", 9)), question(id="q2", is_impossible=True), {"id": "q3", "question": "Why?"})
    assert [values for _, values in read(path, "squad", content)] == [
        ["q1", "Weather", "Where?", context, [{"text": "Ærø", "start": 3}, {"text": "it", "start": 9}]],
        ["q2", "Weather", "Where?", context, []],
        ["q3", "Weather", "Why?", context, None],
    ]
    flat = {"id": "q4", "question": "?", "context": "a b", "answers": {"text": ["b", "b"], "answer_start": [2, 2]}}
    assert [values for _, values in read(path, "squad", {"data": [flat]})] == [["q4", None, "?", "a b", [{"text": "b", "start": 2}] * 2]]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (squad(question(("it", 9), is_impossible=True)), "'q1' is_impossible, and has 1 answer"),
        (squad({**question(), "answers": [{"text": "it", "answer_start": "9"}]}), "answer_start is '9', expected the number"),
        (squad({**question(), "answers": {"text": ["it"], "answer_start": []}}), "1 answer text.* and 0 answer_start"),
        (squad({"question": "?"}), "paragraph 1 of item 1 of data: expected a string 'id', found nothing"),
        ({"data": [{"title": "t", "paragraphs": {}}]}, "item 1 of data: expected a list 'paragraphs', found an object"),
        ([1], "the file: expected a list 'data', found a list"),
        ({"data": ["x"]}, "item 1 of data: expected a string 'id', found a string"),
        ("{]", "not JSON"),
        ('{"data": [], "data": []}', "the key 'data' twice"),
        ("", "not JSON"),
        ('{"data": []} {}', "something follows"),
    ],
)
def test_a_malformed_squad_file_is_refused(tmp_path: Path, content: Any, reason: str) -> None:
    with pytest.raises(BadRecord, match=reason):
        read(tmp_path / "a.json", "squad", content)


def test_halves_of_characters_keep_their_offsets(tmp_path: Path) -> None:
    content = json.dumps(squad(question(("rains", 3)), context="a\ud83d rains"))
    (_, values), *_ = read(tmp_path / "a.json", "squad", content)
    assert mend(values)[3:] == ["a\ufffd rains", [{"text": "rains", "start": 3}]]


@SETTINGS
@given(
    st.lists(
        st.tuples(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), st.none() | st.sampled_from(["city", "date"])), max_size=6
    )
)
def test_utterances_and_their_slots(tmp_path: Path, chunks: list[tuple[str, str | None]]) -> None:
    data = [{"text": text} if slot is None else {"text": text, "entity": slot} for text, slot in chunks]
    (_, (text, label, entities)), *rest = read(tmp_path / "a.json", "snips", {"GetWeather": [{"data": data}]})
    assert (text, label, rest) == ("".join(text for text, _ in chunks), "GetWeather", [])
    slots = [(text, slot) for text, slot in chunks if slot and text]
    assert [(text[entity["start"] : entity["end"]], entity["label"]) for entity in entities] == slots


def test_snips_in_latin_1_and_several_intents(tmp_path: Path) -> None:
    path = tmp_path / "full.json"
    content = {"A": [{"data": [{"text": "café"}]}, {"data": []}], "B": [{"data": [{"text": "x", "entity": "s"}]}]}
    path.write_bytes(json.dumps(content, ensure_ascii=False).encode("latin-1"))
    part = Part(str(path), 0)
    rows = [values for _, values in documents.snips_records(part, SourceConfig(format="snips", path=str(path), encoding="latin-1"))]
    assert rows == [["café", "A", []], ["", "A", []], ["x", "B", [{"start": 0, "end": 1, "label": "s"}]]]
    with pytest.raises(BadRecord, match="0xe9 is not utf-8") as caught:
        list(documents.snips_records(part, SourceConfig(format="snips", path=str(path))))
    assert caught.value.line == 1


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ([], "not a Snips file.*found a list"),
        ({"A": [{"text": "x"}]}, "utterance 1 of 'A': expected a list 'data'"),
        ({"A": [{"data": [{"entity": "x"}]}]}, "expected a string 'text', found nothing"),
        ({"A": [{"data": [{"text": "x", "entity": 1}]}]}, "expected a string 'entity', found a number"),
    ],
)
def test_a_malformed_snips_file_is_refused(tmp_path: Path, content: Any, reason: str) -> None:
    with pytest.raises(BadRecord, match=reason):
        read(tmp_path / "a.json", "snips", content)
