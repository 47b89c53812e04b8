"""Words of any script, the same for every tokenizer: what entities are made of, and what texts are compared by."""

from __future__ import annotations

import re
import string
import unicodedata

import numpy as np
import regex

#: Scripts that put no blanks between words: Thai, Lao, Myanmar, Khmer, kana, Han (Hangul has blanks). There each character is
#: a word, with the marks that belong to it.
UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"

#: What follows a character and belongs to it: combining marks, joiners, variation selectors (which are marks).
_MARKS = r"\p{M}\u200c\u200d"
_UNSPACED_WORD = rf"[{UNSPACED}--\p{{M}}--\p{{P}}][{_MARKS}]*"
_SPACED_WORD = rf"(?=[\w--\p{{M}}])[\w{_MARKS}--[{UNSPACED}]]+"

#: A word of letters, digits and underscores.
WORD = regex.compile(rf"{_UNSPACED_WORD}|{_SPACED_WORD}", regex.V1)

#: A word, or any other visible character with its marks.
WORD_OR_SIGN = regex.compile(rf"{_UNSPACED_WORD}|{_SPACED_WORD}|[^\s][{_MARKS}]*", regex.V1)

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_ONE_UNSPACED = re.compile(f"([{UNSPACED}])")
_ASCII_PUNCTUATION = frozenset(string.punctuation)


def words_of(text: str) -> np.ndarray:
    """Return start and end of each word or sign, int64 of shape [words, 2]."""
    return np.asarray([match.span() for match in WORD_OR_SIGN.finditer(text)], dtype=np.int64).reshape(-1, 2)


def answer_tokens(text: str) -> list[str]:
    """Return the tokens that two answers are compared by: those of SQuAD (Rajpurkar et al., arXiv:1606.05250).

    Lower case, no punctuation, no English articles, white space collapsed. For other scripts than Latin two things are added:
    punctuation is what Unicode calls so, and in scripts that put no blanks between words every character is a token of its own
    (as in MLQA, arXiv:1910.07475).
    """
    kept = "".join(c for c in text.lower() if c not in _ASCII_PUNCTUATION and (c.isascii() or not unicodedata.category(c).startswith("P")))
    return _ONE_UNSPACED.sub(r" \1 ", _ARTICLES.sub(" ", kept)).split()
