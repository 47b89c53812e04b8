"""Cheap methods without weights: a dictionary of entities, the sentence nearest to a question, the first sentence."""

from __future__ import annotations

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from sparknlp_ft.baselines.methods import Fitted, Sample, Texts
from sparknlp_ft.text.words import answer_tokens, words_of

#: Words of the longest entity that is learnt.
MOST_WORDS = 8

#: A sentence ends with its mark and a blank, with a mark of a script that puts no blank there, or with the line.
_SENTENCE_END = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？])|\n+")

_Phrase = tuple[str, ...]


def sentences(text: str) -> list[str]:
    """Return the sentences of a text, without blanks around them."""
    return [part.strip() for part in _SENTENCE_END.split(text) if part.strip()]


def lead(train: Sample, validation: Sample, labels: Sequence[str], seed: int) -> Fitted:
    """Summary: the first sentence of the text."""
    return Fitted(lambda texts: [(sentences(row[0]) or [""])[0] for row in texts])


def nearest_sentence(train: Sample, validation: Sample, labels: Sequence[str], seed: int) -> Fitted:
    """Answer: the whole sentence of the context that shares most words with the question, rare words counting more."""
    frequency = Counter(word for context in {row[-1] for row in train.texts} for word in set(answer_tokens(context)))
    contexts = max(len({row[-1] for row in train.texts}), 1)
    weight = {word: math.log((contexts + 1) / count) for word, count in frequency.items()}
    unseen = math.log(contexts + 1)

    def answer(row: Texts) -> str:
        asked = set(answer_tokens(row[0]))
        found = sentences(row[1])
        if not found:
            return ""
        return max(found, key=lambda one: sum(weight.get(word, unseen) for word in asked & set(answer_tokens(one))))

    return Fitted(lambda texts: [answer(row) for row in texts], len(weight), _bytes(weight))


def dictionary(train: Sample, validation: Sample, labels: Sequence[str], seed: int) -> Fitted:
    """Entities: the phrases that are an entity in train at least as often as not, each with its most frequent label.

    Letter case counts. Where known phrases overlap, the one that begins first is taken, and of those the longest.
    """
    found: defaultdict[_Phrase, Counter[str]] = defaultdict(Counter)
    rows = [_words(row[0]) for row in train.texts]
    for (spans, words), target in zip(rows, train.targets, strict=True):
        for one in json.loads(target):
            inside = [word for (begin, end), word in zip(spans, words, strict=True) if begin < one["end"] and end > one["start"]]
            if 0 < len(inside) <= MOST_WORDS:
                found[tuple(inside)][one["label"]] += 1
    known = _lookup(found)
    seen = Counter(phrase for _, words in rows for _, phrase in _phrases(words, known))
    labelled = {phrase: label.most_common(1)[0][0] for phrase, label in found.items() if 2 * label.total() >= seen[phrase]}
    ready = _lookup(labelled)

    def entities(row: Texts) -> str:
        spans, words = _words(row[0])
        found, beyond = [], 0
        for at, phrase in _phrases(words, ready):
            if at >= beyond:
                beyond = at + len(phrase)
                found.append({"start": spans[at][0], "end": spans[beyond - 1][1], "label": labelled[phrase]})
        return json.dumps(found)

    return Fitted(lambda texts: [entities(row) for row in texts], len(labelled), _bytes([" ".join(phrase) for phrase in labelled]))


def _words(text: str) -> tuple[list[list[int]], list[str]]:
    spans = words_of(text).tolist()
    return spans, [text[begin:end] for begin, end in spans]


def _lookup(phrases: Mapping[_Phrase, object]) -> dict[str, list[_Phrase]]:
    """The phrases by their first word, longest first."""
    result: defaultdict[str, list[_Phrase]] = defaultdict(list)
    for phrase in sorted(phrases, key=lambda one: (-len(one), one)):
        result[phrase[0]].append(phrase)
    return result


def _phrases(words: Sequence[str], lookup: Mapping[str, list[_Phrase]]) -> Iterator[tuple[int, _Phrase]]:
    """Each place in a text where a known phrase stands, longest first where several begin."""
    for at, word in enumerate(words):
        for phrase in lookup.get(word, ()):
            if tuple(words[at : at + len(phrase)]) == phrase:
                yield at, phrase


def _bytes(words: Sequence[str] | Mapping[str, object]) -> int:
    return sum(len(word.encode()) for word in words)
