"""The demo's own data set: messages to a support desk, each with its intent.

Made from the phrasings in ``phrasings.yaml`` with fillers, greetings, asides on other matters and slips of the
keyboard. Seeded: the same seed gives the same rows on every machine. The test split is harder than the training split
in the way real ones are: its rows say the thing in words that no training row uses,
wherever the phrasings offer some.
"""

from __future__ import annotations

import csv
import random
import re
import string
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

#: Rows of each intent and split.
TRAIN_ROWS, TEST_ROWS = 190, 40
#: How often a message has a greeting, a closing, an aside, a slip of the keyboard.
GREETING, CLOSING, ASIDE, SLIP = 0.35, 0.3, 0.5, 0.35

CHOICE = re.compile(r"\[([^\[\]]*)\]")
TEST_ONLY = "~"
SLOT = re.compile(r"\{(\w+)\}")
SPACES = re.compile(r" ([,.?!])")


@dataclass(frozen=True)
class Message:
    """One row of the data set."""

    text: str
    intent: str
    split: str


def messages(seed: int = 7) -> list[Message]:
    """Return the whole data set: every text once, train before test, shuffled within each."""
    book = load_phrasings()
    rng = random.Random(seed)
    taken: set[str] = set()
    rows: list[Message] = []
    for split, count in (("train", TRAIN_ROWS), ("test", TEST_ROWS)):
        part = [Message(text, intent, split) for intent in book["intents"] for text in _texts(book, intent, split, count, rng, taken)]
        rng.shuffle(part)
        rows += part
    return rows


def load_phrasings() -> dict[str, Any]:
    """Return the phrasings: slots, asides and intents."""
    return yaml.safe_load(files(__package__).joinpath("phrasings.yaml").read_text(encoding="utf-8"))


def write_csv(rows: list[Message], path: Path) -> None:
    """Write rows with the columns text and intent."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text", "intent"])
        writer.writerows((row.text, row.intent) for row in rows)


def _texts(book: dict[str, Any], intent: str, split: str, count: int, rng: random.Random, taken: set[str]) -> Iterator[str]:
    made = 0
    while made < count:
        text = _message(book, intent, split, rng)
        if text.casefold() not in taken:
            taken.add(text.casefold())
            made += 1
            yield text


def _message(book: dict[str, Any], intent: str, split: str, rng: random.Random) -> str:
    """Return one message: greeting, aside, the matter itself and closing, the optional parts in either order."""
    slots = book["slots"]
    unseen = split == "test"
    phrasings = [phrasing for phrasing in book["intents"][intent] if unseen or not phrasing.startswith(TEST_ONLY)]
    parts = [_finished(filled(rng.choice(phrasings), slots, rng, unseen=unseen), rng)]
    if rng.random() < ASIDE:
        parts.insert(rng.randrange(2), filled(rng.choice(book["asides"]), slots, rng))
    if rng.random() < GREETING:
        parts.insert(0, rng.choice(slots["greeting"]))
    if rng.random() < CLOSING:
        parts.append(rng.choice(slots["closing"]))
    text = " ".join(parts)
    return _slipped(text, rng) if rng.random() < SLIP else text


def filled(phrasing: str, slots: dict[str, list[str]], rng: random.Random, *, unseen: bool = False) -> str:
    """Choose among alternatives, then fill the slots; two slots of one name in a phrasing differ.

    Args:
        phrasing: In the notation of ``phrasings.yaml``.
        slots: Fillers by name.
        rng: Decides.
        unseen: Take the alternatives after ~ where there are some.
    """

    def choose(match: re.Match[str]) -> str:
        seen, _, test_only = (part.strip() for part in match.group(1).partition(TEST_ONLY))
        options = test_only if unseen and test_only else seen
        return rng.choice(options.split("|"))

    used: set[str] = set()

    def fill(match: re.Match[str]) -> str:
        filler = rng.choice([option for option in slots[match.group(1)] if option not in used])
        used.add(filler)
        return filler

    chosen = CHOICE.sub(choose, phrasing.removeprefix(TEST_ONLY))
    return SPACES.sub(r"\1", " ".join(SLOT.sub(fill, chosen).split()))


def _finished(sentence: str, rng: random.Random) -> str:
    """Start with a capital and end with a mark, mostly: people do not always."""
    if rng.random() < 0.85:
        sentence = sentence[0].upper() + sentence[1:]
    return sentence if sentence.endswith("?") else sentence + rng.choice([".", ".", ".", "!", "", " :("])


def _slipped(text: str, rng: random.Random) -> str:
    """Slip on the keyboard: swap, drop or double a letter in one to three words, or lose all capitals."""
    if rng.random() < 0.2:
        return text.lower()
    words = text.split(" ")
    for at in rng.sample(range(len(words)), k=min(len(words), rng.randint(1, 3))):
        word = words[at]
        if len(word) > 3 and all(letter in string.ascii_letters for letter in word):
            place = rng.randrange(1, len(word) - 1)
            words[at] = rng.choice(
                [
                    word[:place] + word[place + 1] + word[place] + word[place + 2 :],
                    word[:place] + word[place + 1 :],
                    word[:place] + word[place] + word[place:],
                ]
            )
    return " ".join(words)
