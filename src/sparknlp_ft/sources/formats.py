"""Which columns the records of each format have, and how they are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import zip_longest

import pyarrow as pa

from sparknlp_ft.config import SourceConfig
from sparknlp_ft.errors import ConfigError, DataError
from sparknlp_ft.sources.conll import columns_of, conll_records
from sparknlp_ft.sources.documents import json_objects, snips_records, squad_records
from sparknlp_ft.sources.files import (
    BadRecord,
    Part,
    Record,
    csv_records,
    csv_rows,
    header_of,
    json_records,
    located,
    text_lines,
)
from sparknlp_ft.sources.listing import line_files

#: Column of a JSON object's text, before Spark parses it.
JSON = "__json"
ENTITIES = "array<struct<start:int,end:int,label:string>>"
ANSWERS = "array<struct<text:string,start:int>>"
#: What the types of columns are in Arrow.
ARROW = {
    "string": pa.string(),
    ENTITIES: pa.list_(pa.struct([("start", pa.int32()), ("end", pa.int32()), ("label", pa.string())])),
    ANSWERS: pa.list_(pa.struct([("text", pa.string()), ("start", pa.int32())])),
}

#: Names of alpha_tsv's columns, as files and configurations write them, and the role of each.
ALPHA_ROLES = ("id", "alpha", "label", "text", "text_pair")
ALPHA = dict(zip(ALPHA_ROLES, ALPHA_ROLES, strict=True)) | {"alpha_col": "alpha", "text_a": "text", "text_b": "text_pair"}
#: Rows that are looked at to tell the alpha column from the labels; more if they do not tell.
_PEEK = 1_000


@dataclass(frozen=True)
class Reader:
    """How the records of a source are read, and the Spark type of each of their columns, by name and in order."""

    columns: dict[str, str]
    read: Callable[[Part], Iterator[Record]]


def reader_of(source: SourceConfig, path: str) -> Reader:
    """Return the reader of a source; ``path`` is its first file, which says what the columns are if nothing else does.

    Raises:
        ConfigError: The configuration does not fit the format.
        DataError: The first file does not say which columns there are.
    """
    match source.format:
        case "jsonl":
            return Reader({JSON: "string"}, lambda part: json_records(part, source))
        case "json":
            return Reader({JSON: "string"}, lambda part: json_objects(part, source))
        case "squad":
            columns = dict.fromkeys(("id", "title", "question", "context"), "string") | {"answers": ANSWERS}
            return Reader(columns, lambda part: squad_records(part, source))
        case "snips":
            return Reader({"text": "string", "label": "string", "entities": ENTITIES}, lambda part: snips_records(part, source))
        case "conll":
            try:
                columns_of(source)
            except ValueError as error:
                raise ConfigError(f"data.sources[]: {error}") from error
            return Reader({"text": "string", "entities": ENTITIES}, lambda part: conll_records(part, source))
        case "lines":
            return Reader(dict.fromkeys(source.files, "string"), lambda part: line_records(part, source))
        case "alpha_tsv":
            layout = alpha_layout(path, source)
            kept = [role for role in ALPHA_ROLES if role in layout.roles and role != "alpha"]
            return Reader(dict.fromkeys(kept, "string"), lambda part: alpha_records(part, source, layout, kept))
    names = header_of(path, source)
    return Reader(dict.fromkeys(names, "string"), lambda part: csv_records(part, source, names))


def line_records(part: Part, source: SourceConfig) -> Iterator[Record]:
    """Yield number and fields of each row of parallel line files, blank space at the end of a line left out.

    Raises:
        BadRecord: The files are not equally long, or a line cannot be decoded.
    """
    paths = line_files(part.path, source)
    streams = [_named_lines(path, source) for path in paths.values()]
    for number, row in enumerate(zip_longest(*streams), 1):
        if None in row:
            counts = [number - 1 if line is None else number + sum(1 for _ in rest) for line, rest in zip(row, streams, strict=True)]
            listed = ", ".join(f"{file} has {count:,}" for file, count in zip(source.files.values(), counts, strict=True))
            raise BadRecord(0, f"parallel files of unequal numbers of lines: {listed}")
        yield number, [line.rstrip() or None for line in row]


def _named_lines(path: str, source: SourceConfig) -> Iterator[str]:
    try:
        for _, line in text_lines(path, source):
            yield line
    except BadRecord as error:
        raise BadRecord(error.line, f"in {path.rpartition('/')[2]}: {error.reason}") from error


@dataclass(frozen=True)
class AlphaLayout:
    """The role of each column of an alpha_tsv file, and the value that the alpha column was told by (None: by name)."""

    roles: tuple[str, ...]
    alpha: str | None = None


def alpha_layout(path: str, source: SourceConfig) -> AlphaLayout:
    """Find out which column of an alpha_tsv file is what: from the configuration, its header, or its values.

    Raises:
        ConfigError: ``columns`` are not those of this format.
        DataError: The file does not tell.
    """
    if source.columns is not None:
        roles = _alpha_roles(source.columns)
        if roles is None:
            raise ConfigError(
                f"data.sources[].columns: {source.columns} do not fit alpha_tsv; expected id, alpha, label, text_a and if need be text_b, "
                "each once and in the order of the file"
            )
        return AlphaLayout(roles)
    try:
        return _told_layout(path, source)
    except BadRecord as error:
        raise located(path, error) from error


def alpha_records(part: Part, source: SourceConfig, layout: AlphaLayout, kept: list[str]) -> Iterator[Record]:
    """Yield line and fields of each row of an alpha_tsv file, in the order of ``kept``; empty fields as None.

    Raises:
        BadRecord: Wrong number of fields, or an alpha column that turns out to be none.
    """
    places = [layout.roles.index(role) for role in kept]
    alpha = layout.roles.index("alpha")
    for number, (line, row) in enumerate(csv_rows(part.path, source)):
        if number == 0 and (roles := _alpha_roles(row)) is not None:
            if source.columns is None and roles != layout.roles:
                raise BadRecord(line, f"the header is {row!r}, and the columns of this source are {', '.join(layout.roles)}")
            continue
        if len(row) != len(layout.roles):
            raise BadRecord(line, f"{len(row)} field(s), expected {len(layout.roles)} ({', '.join(layout.roles)})")
        if layout.alpha is not None and row[alpha] != layout.alpha:
            raise BadRecord(
                line, f"column {alpha + 1} was taken for ALPHA, being {layout.alpha!r} at first; here it is {row[alpha]!r}. {_SAY}"
            )
        yield line, [row[place] or None for place in places]


_SAY = "Say which is which with data.sources[].columns, e.g. [id, alpha, label, text_a, text_b]"


def _alpha_roles(names: list[str]) -> tuple[str, ...] | None:
    """Return the roles that these names are, or None if they are none (a row of values, then)."""
    roles = tuple(ALPHA.get(name.strip().lower(), "") for name in names)
    return roles if sorted(roles) in (sorted(ALPHA_ROLES), sorted(ALPHA_ROLES[:4])) else None


def _told_layout(path: str, source: SourceConfig) -> AlphaLayout:
    rows = csv_rows(path, source)
    line, first = next(rows, (1, []))
    if not first:
        raise DataError(f"{path!r} is empty")
    if (roles := _alpha_roles(first)) is not None:
        return AlphaLayout(roles)
    texts = ("text", "text_pair")[: len(first) - 3]
    if len(first) not in (4, 5):
        raise BadRecord(line, f"{len(first)} field(s), expected 4 or 5: id, alpha, label, text_a and if need be text_b, parted by tabs")
    second, third = True, True  # The same throughout, as far as was read.
    for number, (_, row) in enumerate(rows, 2):
        second, third = second and row[1:2] == first[1:2], third and row[2:3] == first[2:3]
        if (number >= _PEEK and second != third) or not (second or third):
            break
    if second == third:
        what = "both the same" if second else "neither the same"
        raise BadRecord(line, f"no header, and columns 2 and 3 are {what} throughout: which is ALPHA, which the label? {_SAY}")
    if second:
        return AlphaLayout(("id", "alpha", "label", *texts), first[1])
    return AlphaLayout(("id", "label", "alpha", *texts), first[2])
