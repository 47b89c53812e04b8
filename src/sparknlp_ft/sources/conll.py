"""Token and tag per line (CoNLL), as texts with entities: IOB1, BIO, BIOES and BILOU alike.

Tags are read as the CoNLL scorer reads them, so nobody has to say which scheme a file keeps: ``B-`` and ``S-`` (``U-``)
always begin an entity; ``I-`` and ``E-`` (``L-``) go on with the entity of their type before them, and begin one else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from sparknlp_ft.config import SourceConfig
from sparknlp_ft.sources.files import BadRecord, Part, Record, text_lines

#: A span of a text: first character, character behind the last (code points), type.
Entity = dict[str, int | str]

_TAG = re.compile(r"([BIESLU])-(\S+)")
_COLUMNS = (2, 4)


def entities_of(tokens: Sequence[str], tags: Sequence[str]) -> tuple[str, list[Entity]]:
    """Join the tokens by one blank each, and return that text with the entities that the tags mark.

    Args:
        tokens: Words of a sentence.
        tags: One per token: ``O``, or a letter of BIESLU, a hyphen and the entity's type.

    Raises:
        ValueError: Numbers differ, or a tag is none.
    """
    if len(tokens) != len(tags):
        raise ValueError(f"{len(tokens)} token(s) and {len(tags)} tag(s), expected as many")
    entities: list[Entity] = []
    goes_on: str | None = None
    start = 0
    for token, tag in zip(tokens, tags, strict=True):
        position, kind = read_tag(tag)
        end = start + len(token)
        if kind is not None and position in "IEL" and goes_on == kind:
            entities[-1]["end"] = end
        elif kind is not None:
            entities.append({"start": start, "end": end, "label": kind})
        goes_on = kind if position in "BI" else None
        start = end + 1
    return " ".join(tokens), entities


def read_tag(tag: str) -> tuple[str, str | None]:
    """Return letter and type of a tag; ``('O', None)`` outside of entities.

    Raises:
        ValueError: It is no tag.
    """
    if tag == "O":
        return "O", None
    match = _TAG.fullmatch(tag)
    if match is None:
        raise ValueError(f"tag {tag!r}, expected O, or B-TYPE, I-TYPE, E-TYPE, S-TYPE, L-TYPE, U-TYPE; choose the column with tag: NAME")
    return match[1], match[2]


def conll_records(part: Part, source: SourceConfig) -> Iterator[Record]:
    """Yield first line, text and entities of each sentence.

    Raises:
        BadRecord: A line with another number of columns than the first, or a tag that is none.
    """
    first = 0
    tokens: list[str] = []
    tags: list[str] = []
    token_at, tag_at = columns_of(source)
    width = len(source.columns) if source.columns else None
    for number, line in text_lines(part.path, source):
        fields = _fields(line)
        if not fields or fields[0] == "-DOCSTART-":
            if tokens:
                yield first, [*entities_of(tokens, tags)]
            tokens, tags = [], []
            continue
        width = _checked_width(number, fields, width)
        try:
            read_tag(fields[tag_at])
        except ValueError as error:
            raise BadRecord(number, str(error)) from error
        first = first if tokens else number
        tokens.append(fields[token_at])
        tags.append(fields[tag_at])
    if tokens:
        yield first, [*entities_of(tokens, tags)]


def columns_of(source: SourceConfig) -> tuple[int, int]:
    """Return where token and tag stand: first and last, if nothing else is said.

    Raises:
        ValueError: ``tag`` names a column that ``columns`` has not.
    """
    names = source.columns or []
    if source.tag is None:
        return names.index("token") if "token" in names else 0, -1
    if source.tag not in names:
        raise ValueError(f"tag: {source.tag!r} is not among the columns: {names}; name all of them, for example [token, pos, chunk, ner]")
    return names.index("token") if "token" in names else 0, names.index(source.tag)


def _fields(line: str) -> list[str]:
    """Cut at tabs where there are any, else at blanks: a token may hold no-break spaces and the like."""
    if not line.strip():
        return []
    line = line.rstrip(" \t")
    return line.split("\t") if "\t" in line else re.split(" +", line)


def _checked_width(number: int, fields: list[str], width: int | None) -> int:
    least, most = _COLUMNS
    if width is None and not least <= len(fields) <= most:
        raise BadRecord(number, f"{len(fields)} column(s), expected token and tag and at most 2 more; name others with columns: [token, …]")
    if width is not None and len(fields) != width:
        raise BadRecord(number, f"{len(fields)} column(s), expected {width} as in the lines before; a sentence ends at an empty line")
    if "" in fields:
        raise BadRecord(number, f"column {fields.index('') + 1} is empty, expected a token and a tag between single tabs")
    return len(fields)
