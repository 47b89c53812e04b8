"""Entities, words and pieces: alignments lose nothing, offsets slice to the entity, and the counts are seqeval's."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparknlp_ft.errors import DataError
from sparknlp_ft.tasks import Rows, Setup, get_task
from sparknlp_ft.tasks.spans import Entity, first_pieces, runs_of, tags_of
from sparknlp_ft.tasks.task import IGNORED, objects
from sparknlp_ft.text.encoder import Inputs, Tokens
from sparknlp_ft.text.words import words_of

task = get_task("token_classification")
LABELS = ("place", "thing")
SETUP = Setup(LABELS)

words = st.lists(st.text("abcé日", min_size=1, max_size=5), min_size=1, max_size=12)


def pieces_of(text: str, size: int) -> np.ndarray:
    """Cut each word into pieces of at most ``size`` characters, as a tokenizer might."""
    cuts = [(at, min(at + size, end)) for start, end in words_of(text).tolist() for at in range(start, end, size)]
    return np.asarray(cuts, dtype=np.int32).reshape(-1, 2)


@given(words, st.data(), st.integers(1, 5))
def test_entities_come_back_from_pieces_of_any_size(texts: list[str], data: st.DataObject, size: int) -> None:
    text = " ".join(texts)
    bounds = words_of(text)
    entities, at = [], 0
    while at < len(bounds):
        length = data.draw(st.integers(1, len(bounds) - at))
        if data.draw(st.booleans()):
            entities.append(Entity(int(bounds[at, 0]), int(bounds[at + length - 1, 1]), data.draw(st.sampled_from(LABELS))))
        at += length
    value = json.dumps([{"start": one.start, "end": one.end, "label": one.label} for one in entities])
    offsets = pieces_of(text, size)
    tokens = Tokens(np.zeros(len(offsets), np.int32), offsets)
    target = task.decode_target(task.encode_targets([value], LABELS, tokens=[tokens], texts=[text], encoder=None)[0])  # type: ignore[arg-type]
    assert (target != IGNORED).sum() == len(bounds)  # one tag for each word, on its first piece
    result = np.stack([np.where(target == IGNORED, 0, target), np.ones(len(target))], axis=1)
    found = task.decode(objects([result]), Rows([], texts=[text], offsets=[offsets]), SETUP)["entities"][0]
    assert [(one["start"], one["end"], one["label"]) for one in found] == [(one.start, one.end, one.label) for one in entities]
    assert all(text[one["start"] : one["end"]] == one["text"] for one in found)


@pytest.mark.parametrize(
    ("text", "pieces", "gold"),
    [
        ("我住在北京市和上海市", 1, ["北京市", "上海市"]),
        ("我住在北京市", 6, ["我住在北京市"]),  # one piece for the whole text
        ("मुझे हिन्दी पसंद है", 2, ["हिन्दी"]),
        ("I met Jose\u0301 Mari\u0301a there", 3, ["Jose\u0301 Mari\u0301a"]),
    ],
)
def test_entities_of_any_script_come_back_whole(text: str, pieces: int, gold: list[str]) -> None:
    entities = [{"start": text.index(one), "end": text.index(one) + len(one), "label": LABELS[i]} for i, one in enumerate(gold)]
    cuts = [(at, min(at + pieces, end)) for start, end in _blanks_apart(text) for at in range(start, end, pieces)]
    offsets = np.asarray(cuts, dtype=np.int32)
    tokens = Tokens(np.zeros(len(offsets), np.int32), offsets)
    packed = task.encode_targets([json.dumps(entities)], LABELS, tokens=[tokens], texts=[text], encoder=None)  # type: ignore[arg-type]
    target = task.decode_target(packed[0])
    result = np.stack([np.where(target == IGNORED, 0, target), np.ones(len(target))], axis=1)
    found = task.decode(objects([result]), Rows([], texts=[text], offsets=[offsets]), SETUP)["entities"][0]
    assert [one["text"] for one in found] == gold


def _blanks_apart(text: str) -> list[tuple[int, int]]:
    return [match.span() for match in re.finditer(r"\S+", text)]


@given(st.integers(0, 40), st.integers(4, 12), st.integers(0, 3))
def test_overlapping_windows_say_something_of_every_piece_once(length: int, budget: int, overlap: int) -> None:
    from sparknlp_ft.text.windows import WINDOWS

    rng = np.random.default_rng(0)
    cuts = WINDOWS["sliding"].positions(length, budget, (overlap,), rng) if length > budget else [np.arange(length)]
    windows = [Inputs(np.zeros(len(kept) + 2, np.int32), None, False, at=1, kept=kept) for kept in cuts]
    outputs = [
        np.stack([np.arange(len(w) - 2) + w.kept[0], np.ones(len(w) - 2)], axis=1) if len(w) > 2 else np.zeros((0, 2)) for w in windows
    ]
    padded = [np.concatenate([[[-1.0, 0.0]], one, [[-1.0, 0.0], [-1.0, 0.0]]]).astype(np.float32) for one in outputs]
    (merged,) = task.results(padded, Rows([windows]), SETUP)
    assert merged[:, 0].tolist() == list(range(length))  # each piece has its own output, whichever window it came from


@given(st.lists(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=15), min_size=1, max_size=6))
def test_counts_are_those_of_seqeval(rows: list[list[tuple[int, int]]]) -> None:
    from seqeval.metrics import f1_score, precision_score, recall_score
    from seqeval.scheme import IOB2

    names = task.output_names(LABELS)
    sides = [[[pair[side] for pair in row] for row in rows] for side in (0, 1)]
    # Targets are well formed, as ours are: an inside tag continues an entity.
    actual = [_well_formed(row) for row in sides[0]]
    predicted = [_well_formed(row) for row in sides[1]]
    rows_ = Rows([], [np.asarray(row, dtype=np.int32) for row in actual])
    results = objects([np.stack([row, np.ones(len(row))], axis=1) for row in predicted])
    metrics = task.metrics(task.outcomes(results, rows_, SETUP), LABELS)
    tags = [[[names[tag] for tag in row] for row in side] for side in (actual, predicted)]
    for name, score in (("precision", precision_score), ("recall", recall_score), ("f1", f1_score)):
        expected = score(*tags, mode="strict", scheme=IOB2, zero_division=0)
        assert metrics[f"{name}_micro"] == pytest.approx(expected)


def _well_formed(tags: list[int]) -> list[int]:
    fixed: list[int] = []
    for tag in tags:
        inside = tag > 0 and tag % 2 == 0
        fixed.append(tag - 1 if inside and (not fixed or (fixed[-1] + 1) // 2 != tag // 2) else tag)
    return fixed


def test_an_inside_tag_that_nothing_begins_begins_an_entity() -> None:
    assert runs_of(np.asarray([0, 2, 2, 4, 3, 4, 0])) == [(1, 3, 0), (3, 4, 1), (4, 6, 1)]


def test_the_longer_of_overlapping_entities_counts() -> None:
    bounds = words_of("new york city hall")
    tags = tags_of(bounds, [Entity(0, 8, "place"), Entity(0, 13, "thing")], LABELS)
    assert tags.tolist() == [3, 4, 4, 0]


def test_a_piece_over_two_words_belongs_to_the_first() -> None:
    assert first_pieces(words_of("u.s soil"), np.asarray([[0, 3], [3, 8]])).tolist() == [0, -1, -1, 1]


@pytest.mark.parametrize(("start", "end"), [(-1, 3), (2, 2), (3, 99)])
def test_an_entity_outside_of_its_text_is_refused(start: int, end: int) -> None:
    value = json.dumps([{"start": start, "end": end, "label": "place"}])
    with pytest.raises(DataError, match="is not in its text"):
        task.encode_targets([value], LABELS, tokens=[Tokens(np.zeros(1), np.asarray([[0, 3]]))], texts=["abc"], encoder=None)  # type: ignore[arg-type]


def test_rows_read_back_from_a_table_count_alike_and_unknown_labels_are_missed() -> None:
    target = '[{"start": 0, "end": 3, "label": "place"}, {"start": 4, "end": 5, "label": "new"}]'
    predicted = '[{"start": 0, "end": 3, "label": "place", "text": "abc", "score": 0.5}]'
    outcomes = task.outcomes_of_values([target, target], [predicted, None], LABELS, [3, 1])
    metrics = task.metrics(outcomes, LABELS)
    assert (metrics["precision_micro"], metrics["recall_micro"]) == (1.0, pytest.approx(3 / 8))
    table = task.label_table(outcomes, LABELS)
    assert table is not None and table["rows"].tolist() == [4, 0] and table["predicted"].tolist() == [3, 0]
