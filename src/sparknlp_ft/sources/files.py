"""Reading the records of source files on the workers, with file and line of what is wrong.

Spark's own CSV reader accepts rows that are too short, too long or badly quoted; this one refuses them and says where.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

from sparknlp_ft.config import SourceConfig
from sparknlp_ft.errors import DataError, nearest
from sparknlp_ft.sources.json_values import read_json
from sparknlp_ft.sources.listing import COMPRESSED, open_bytes

#: Bytes of a JSONL file that one task reads. CSV is never cut: a quoted field may hold line ends.
PART_BYTES = 128 * 2**20

#: What may stand between fields, beside what the format says: named where a header is one field.
_DELIMITERS = (";", "\t", ",", "|")
#: How a text begins that is not UTF-8; the longer marks first, as one begins like another.
_MARKS = {codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


#: Where a record begins (its line; in JSONL its byte, as parts do not know their lines; 0: unknown), and its values.
Record = tuple[int, list[Any]]


class BadRecord(Exception):
    """A record that cannot be read: the line it begins at (0: unknown) and why."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line, self.reason = line, reason


@dataclass(frozen=True)
class Part:
    """What one task reads: a file, or the lines of it that begin in ``[start, end)``."""

    path: str
    number: int
    start: int = 0
    end: int | None = None


def parts_of(files: list[tuple[str, int]], source: SourceConfig) -> list[Part]:
    """Cut large JSONL files into parts; leave all other files whole."""
    parts = []
    for path, size in files:
        whole = source.format != "jsonl" or path.endswith(COMPRESSED)
        starts = [0] if whole else list(range(0, max(size, 1), PART_BYTES))
        ends = [*starts[1:], None]
        parts += [Part(path, number, start, end) for number, (start, end) in enumerate(zip(starts, ends, strict=True))]
    return parts


def check_encoding(source: SourceConfig) -> None:
    """Refuse an encoding that Python does not know, or one that JSON lines cannot be cut in.

    Raises:
        DataError: Says which.
    """
    try:
        codecs.lookup(source.encoding)
    except LookupError as error:
        known = ["utf-8", "utf-16", "latin-1", "windows-1252", "iso-8859-15", "shift_jis", "gb18030", "koi8-r"]
        raise DataError(f"{source.encoding!r} is not an encoding.{nearest(source.encoding, known)} Set data.sources[].encoding.") from error
    if source.format == "jsonl" and "\n".encode(source.encoding) != b"\n":
        raise DataError(f"jsonl files cannot be read as {source.encoding!r}; convert them to UTF-8, which JSON asks for")


def header_of(path: str, source: SourceConfig) -> list[str]:
    """Return the column names of a CSV or TSV file.

    Raises:
        DataError: The file is empty, cannot be decoded, or has names that are empty or repeated.
    """
    if source.columns is not None:
        return list(source.columns)
    if not source.header:
        raise DataError(f"source {source.path!r} has no header; name its columns with data.sources[].columns")
    try:
        names = next((row for _, row in csv_rows(path, source)), None)
    except BadRecord as error:
        raise located(path, error) from error
    if names is None:
        raise DataError(f"{path!r} is empty: it has not even a header")
    if hint := _other_delimiter(names, source, fields=2):
        raise DataError(f"{path!r}, line 1: the header is one field, {names[0]!r}{hint}. Nothing was written.")
    lower = [name.strip().lower() for name in names]
    if "" in lower or len(set(lower)) != len(lower):
        raise DataError(f"{path!r}, line 1: the header {names!r} has an empty or a repeated name; give names with data.sources[].columns")
    return [name.strip() for name in names]


def csv_records(part: Part, source: SourceConfig, names: list[str]) -> Iterator[Record]:
    """Yield the line and the fields of each row of a CSV or TSV file; empty fields as None.

    Raises:
        BadRecord: Wrong number of fields, wrong quoting, undecodable bytes, or another header than ``names``.
    """
    rows = csv_rows(part.path, source)
    if source.header:
        line, header = next(rows, (1, []))
        if source.columns is None and [name.strip() for name in header] != names:
            raise BadRecord(line, f"the header is {header!r}, and another file of this source has {names!r}")
    for line, row in rows:
        if len(row) != len(names):
            quotes = "" if source.quote is None else "; if quotes are ordinary characters in this file, set quote: null"
            hint = _other_delimiter(row, source, fields=len(names)) or quotes
            raise BadRecord(line, f"{len(row)} field(s), expected {len(names)} ({', '.join(names)}){hint}")
        yield line, [field or None for field in row]


def json_records(part: Part, source: SourceConfig) -> Iterator[Record]:
    """Yield the first byte and the text of each JSON object of the part.

    Raises:
        BadRecord: A line is not a JSON object, or cannot be decoded.
    """
    with _opened(part.path, source) as stream:
        position = part.start
        if position:
            stream.seek(position - 1)
            position += len(stream.readline()) - 1
        while part.end is None or position < part.end:
            raw = stream.readline()
            if not raw:
                return
            try:
                text = raw.decode(source.encoding).removeprefix("\ufeff" if position == 0 else "").strip()
                if text and not isinstance(read_json(text), dict):
                    raise ValueError("not a JSON object; a file that is one list of objects is format: json")
            except ValueError as error:
                raise BadRecord(_line_at(part.path, position), reason_of(error)) from error
            if text:
                yield position, [text]
            position += len(raw)


def text_lines(path: str, source: SourceConfig) -> Iterator[tuple[int, str]]:
    """Yield number and text of each line, without its end. A line ends at a line feed alone, not at what Unicode adds to it.

    Raises:
        BadRecord: Undecodable bytes.
    """
    encoding, number = _without_mark(source.encoding), 0
    try:
        with _opened(path, source) as raw, io.TextIOWrapper(raw, encoding=encoding, errors="strict", newline="\n") as text:
            for number, line in enumerate(text, 1):
                yield number, line.removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise BadRecord(_undecodable_line(path, encoding) or number + 1, reason_of(error)) from error


def whole_text(path: str, source: SourceConfig) -> str:
    """Return the text of a file.

    Raises:
        BadRecord: Undecodable bytes.
    """
    encoding = _without_mark(source.encoding)
    try:
        with _opened(path, source) as raw:
            return raw.read().decode(encoding)
    except UnicodeDecodeError as error:
        raise BadRecord(_undecodable_line(path, encoding), reason_of(error)) from error


def located(path: str, error: BadRecord) -> DataError:
    """Return the error as the user sees it."""
    where = f"{path!r}, line {error.line}" if error.line else f"{path!r}"
    return DataError(f"{where}: {error.reason}. Nothing was written.")


def line_of(path: str, source: SourceConfig, place: int) -> int:
    """Return the line that a record begins at; 0 if that is not known."""
    return _line_at(path, place) if source.format == "jsonl" else place


def csv_rows(path: str, source: SourceConfig) -> Iterator[tuple[int, list[str]]]:
    """Yield the line that each row begins at, and its fields; rows with nothing in them are left out.

    Raises:
        BadRecord: Wrong quoting, or undecodable bytes.
    """
    encoding = _without_mark(source.encoding)
    csv.field_size_limit(2**31 - 1)
    line = 1
    try:
        with _opened(path, source) as raw, io.TextIOWrapper(raw, encoding=encoding, errors="strict", newline="") as text:
            reader = csv.reader(text, strict=True, **_dialect(source))
            for row in reader:
                if row:
                    yield line, row
                line = reader.line_num + 1
    except UnicodeDecodeError as error:
        raise BadRecord(_undecodable_line(path, encoding) or line, reason_of(error)) from error
    except csv.Error as error:
        raise BadRecord(line, f"{error}; expected quotes as in RFC 4180, or quote: null where they are ordinary characters") from error


def _without_mark(encoding: str) -> str:
    """A byte order mark is no part of the text."""
    return "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding


def _opened(path: str, source: SourceConfig) -> IO[bytes]:
    """Open a file, unless its first bytes are the mark of another encoding than it is to be read in.

    Raises:
        BadRecord: They are; read on, the file would be refused for a byte that says nothing, or its texts be garbled.
    """
    stream = open_bytes(path)
    head = stream.read(4)
    found = next((name for mark, name in _MARKS.items() if head.startswith(mark)), None)
    if found is not None and not codecs.lookup(source.encoding).name.startswith(("utf-16", "utf-32")):
        stream.close()
        advice = "convert it to UTF-8, which JSON asks for" if source.format == "jsonl" else f"set data.sources[].encoding: {found}"
        raise BadRecord(1, f"the file is {found.upper()} by its byte-order mark, and is read as {source.encoding}; {advice}")
    if path.endswith(COMPRESSED):  # These streams cannot go back.
        stream.close()
        return open_bytes(path)
    stream.seek(0)
    return stream


def _other_delimiter(row: list[str], source: SourceConfig, *, fields: int) -> str:
    """Return what to say where a row is one field that another delimiter would cut into at least so many; else nothing."""
    if len(row) != 1 or fields < 2:
        return ""
    likely = max(_DELIMITERS, key=row[0].count)
    count = row[0].count(likely) + 1
    if count < fields or likely == _delimiter(source):
        return ""
    return f"; {likely!r} would make {count} of it: set data.sources[].delimiter: {json.dumps(likely)}"


def _delimiter(source: SourceConfig) -> str:
    return source.delimiter or {"csv": ",", "tsv": "\t", "alpha_tsv": "\t"}[source.format]


def _dialect(source: SourceConfig) -> dict[str, Any]:
    delimiter = _delimiter(source)
    if source.quote is None:
        return {"delimiter": delimiter, "quoting": csv.QUOTE_NONE, "quotechar": None}
    return {"delimiter": delimiter, "quotechar": source.quote, "doublequote": True}


def reason_of(error: ValueError) -> str:
    """Return why a file cannot be decoded or parsed, in the user's words."""
    if isinstance(error, UnicodeDecodeError):
        found = error.object[error.start : error.start + 1].hex()
        return f"byte 0x{found} is not {error.encoding}; set data.sources[].encoding, for example latin-1"
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON ({error.msg} at character {error.colno})"
    return str(error)


def _undecodable_line(path: str, encoding: str) -> int:
    """Return the first line that cannot be decoded alone; 0 where lines cannot be told apart before decoding."""
    if "\n".encode(encoding).removeprefix(codecs.BOM_UTF8) != b"\n":
        return 0
    with open_bytes(path) as raw:
        for number, line in enumerate(raw, 1):
            try:
                line.decode(encoding)
            except UnicodeDecodeError:
                return number
    return 0


def _line_at(path: str, position: int) -> int:
    """Return the number of the line that begins at a byte position."""
    lines = 1
    with open_bytes(path) as stream:
        while position > 0 and (block := stream.read(min(position, 2**20))):
            lines += block.count(b"\n")
            position -= len(block)
    return lines
