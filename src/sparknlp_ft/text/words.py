"""Words of any script, the same for every tokenizer: what entities are made of, and what texts are compared by."""

from __future__ import annotations

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
