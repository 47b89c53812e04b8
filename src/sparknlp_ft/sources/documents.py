"""JSON files that are one document: objects over several lines, SQuAD's questions, the utterances of the Snips benchmark."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from sparknlp_ft.config import SourceConfig
from sparknlp_ft.sources.conll import Entity
from sparknlp_ft.sources.files import BadRecord, Part, Record, reason_of, whole_text
from sparknlp_ft.sources.json_values import DECODER, RepeatedKey

_SPACE = re.compile(r"[ \t\r\n]*")


def json_objects(part: Part, source: SourceConfig) -> Iterator[Record]:
    """Yield first line and text of each object of a list of objects, or of objects one after the other.

    Raises:
        BadRecord: Something else than that.
    """
    text = whole_text(part.path, source)
    at = _next(text, 0)
    listed = text.startswith("[", at)
    at = _next(text, at + listed)
    line, counted = 1, 0
    more = at < len(text) and not (listed and text[at] == "]")
    while more:
        line, counted = line + text.count("\n", counted, at), at
        value, end = _decoded(text, at)
        if not isinstance(value, dict):
            raise BadRecord(line, f"not a JSON object but {_name(value)}")
        yield line, [text[at:end]]
        at = _next(text, end)
        comma = listed and text.startswith(",", at)
        at = _next(text, at + comma)
        more = comma if listed else at < len(text)
    if listed and not (text.startswith("]", at) and _next(text, at + 1) == len(text)):
        raise BadRecord(1 + text.count("\n", 0, at), "not JSON (expected a comma or ] behind an object, and nothing behind the list)")


def squad_records(part: Part, source: SourceConfig) -> Iterator[Record]:
    """Yield id, title, question, context and answers of each question of a SQuAD file (1.1, 2.0, or flat).

    No answer in the file is an empty list; questions that the file says nothing about have None.

    Raises:
        BadRecord: Not such a file.
    """
    for number, item in enumerate(_list(_document(part, source), "data", "the file"), 1):
        where = f"item {number} of data"
        title = _string(item, "title", where) if isinstance(item, dict) and item.get("title") is not None else None
        if not isinstance(item, dict) or "paragraphs" not in item:
            yield 0, _question(item, item, title, where)
            continue
        for place, paragraph in enumerate(_list(item, "paragraphs", where), 1):
            inner = f"paragraph {place} of {where}"
            for question in _list(paragraph, "qas", inner):
                yield 0, _question(question, paragraph, title, inner)


def snips_records(part: Part, source: SourceConfig) -> Iterator[Record]:
    """Yield text, intent and entities of each utterance of a file of the Snips NLU benchmark.

    Raises:
        BadRecord: Not such a file.
    """
    document = _document(part, source)
    if not isinstance(document, dict):
        raise BadRecord(0, f"not a Snips file: expected an object {{intent: [utterance, …]}}, found {_name(document)}")
    for intent in document:
        for number, utterance in enumerate(_list(document, intent, "the file"), 1):
            where = f"utterance {number} of {intent!r}"
            text, entities = "", list[Entity]()
            for chunk in _list(utterance, "data", where):
                words = _string(chunk, "text", where)
                if words and chunk.get("entity") is not None:
                    entities.append({"start": len(text), "end": len(text) + len(words), "label": _string(chunk, "entity", where)})
                text += words
            yield 0, [text, intent, entities]


def _question(question: Any, paragraph: Any, title: str | None, where: str) -> list[Any]:
    identity = _string(question, "id", where)
    where = f"question {identity!r}"
    context = _string(paragraph, "context", where)
    answers = _answers(question, where) if "answers" in question else None
    if answers and question.get("is_impossible") is True:
        raise BadRecord(0, f"{where} is_impossible, and has {len(answers)} answer(s)")
    return [identity, title, _string(question, "question", where), context, answers]


def _answers(question: Any, where: str) -> list[dict[str, Any]]:
    """Return the answers of a question, written as a list of pairs or as a pair of lists."""
    found = question.get("answers")
    if isinstance(found, dict):
        texts, starts = _list(found, "text", where), _list(found, "answer_start", where)
        if len(texts) != len(starts):
            raise BadRecord(0, f"{where}: {len(texts)} answer text(s) and {len(starts)} answer_start, expected as many")
        found = [{"text": text, "answer_start": start} for text, start in zip(texts, starts, strict=True)]
    answers = []
    for answer in _list({"answers": found}, "answers", where):
        text, start = _string(answer, "text", where), answer.get("answer_start")
        if not isinstance(start, int) or isinstance(start, bool):
            raise BadRecord(0, f"{where}: answer_start is {start!r}, expected the number of a character")
        answers.append({"text": text, "start": start})
    return answers


def _document(part: Part, source: SourceConfig) -> Any:
    text = whole_text(part.path, source)
    value, end = _decoded(text, _next(text, 0))
    if _next(text, end) < len(text):
        raise BadRecord(1 + text.count("\n", 0, end), "not JSON (something follows the first value)")
    return value


def _decoded(text: str, at: int) -> tuple[Any, int]:
    try:
        return DECODER.raw_decode(text, at)
    except RepeatedKey as error:
        raise BadRecord(1 + text.count("\n", 0, at), str(error)) from error
    except json.JSONDecodeError as error:
        raise BadRecord(error.lineno, reason_of(error)) from error
    except RecursionError as error:
        raise BadRecord(1 + text.count("\n", 0, at), "JSON nested too deeply") from error


def _next(text: str, at: int) -> int:
    """Return the place of the next character that is no white space."""
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _list(holder: Any, key: str, where: str) -> list[Any]:
    value = holder.get(key) if isinstance(holder, dict) else None
    if not isinstance(value, list):
        raise BadRecord(0, f"{where}: expected a list {key!r}, found {_name(value if isinstance(holder, dict) else holder)}")
    return value


def _string(holder: Any, key: str, where: str) -> str:
    value = holder.get(key) if isinstance(holder, dict) else None
    if not isinstance(value, str):
        raise BadRecord(0, f"{where}: expected a string {key!r}, found {_name(value if isinstance(holder, dict) else holder)}")
    return value


def _name(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "nothing"}
    return kinds.get(type(value), "a number")
