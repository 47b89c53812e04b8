"""Languages that drift between splits."""

from __future__ import annotations

import random

import pytest

from sparknlp_ft.findings.language import FEWEST, divergence, drifted

ENGLISH = (
    "the card was not working when I tried to pay for my shopping this morning and now there is a charge that should have been "
    "returned by your bank could you please tell me where it went because nobody at the desk would help us with our question about "
    "transfer fees which were higher than what had been said before we opened an account last year thank you very much indeed"
)
GERMAN = (
    "die karte hat nicht funktioniert als ich heute morgen meinen einkauf bezahlen wollte und jetzt gibt es eine abbuchung die von "
    "ihrer bank zurück überwiesen werden sollte können sie mir bitte sagen wo das geld geblieben ist weil niemand am schalter uns bei "
    "unserer frage nach den gebühren helfen konnte welche höher waren als vorher gesagt wurde vielen dank für ihre schnelle antwort"
)
RUSSIAN = "карта не работала когда я хотел заплатить за покупки сегодня утром скажите пожалуйста где мои деньги большое спасибо"


def texts(words: str, count: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    return [" ".join(rng.sample(words.split(), 10)) for _ in range(count)]


@pytest.mark.parametrize("words", [GERMAN, RUSSIAN], ids=["another language", "another script"])
def test_another_language_is_named(words: str) -> None:
    [found] = drifted({"train": texts(ENGLISH, 200, 0), "validation": texts(ENGLISH, 60, 1), "test": texts(words, 60, 2)}, {"test": 60})
    assert found.kind == "languages that drift" and "texts of test" in found.message and found.count == 60
    assert not any(word in str(found).split() for word in ("karte", *RUSSIAN.split()))


def test_the_same_language_gives_no_finding_however_few_texts_there_are() -> None:
    for count in (FEWEST, 60, 500):
        assert not list(drifted({"train": texts(ENGLISH, 400, 0), "test": texts(ENGLISH, count, 1)}, {}))
    assert not list(drifted({"train": texts(ENGLISH, 400, 0), "test": texts(GERMAN, FEWEST - 1, 1)}, {}))
    assert not list(drifted({"train": ["1 2 3"] * 50, "test": ["4 5"] * 50}, {}))


def test_divergence_lies_between_none_and_one_bit() -> None:
    assert divergence(["abc"], ["abc"]) == 0.0
    assert divergence(["abc"], ["xyz"]) == pytest.approx(1.0)
    assert divergence(["abc"], ["123"]) == 1.0
    assert divergence(texts(ENGLISH, 50, 0), texts(GERMAN, 50, 0)) == pytest.approx(divergence(texts(GERMAN, 50, 0), texts(ENGLISH, 50, 0)))
