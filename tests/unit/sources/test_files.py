"""Source files: every well-formed record is read once and unchanged; a malformed one is refused with file, line and reason."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sparknlp_ft.config import SourceConfig
from sparknlp_ft.errors import DataError
from sparknlp_ft.sources import files, listing
from sparknlp_ft.sources.files import BadRecord, Part

SETTINGS = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])

# Any text that UTF-8 can hold (no lone surrogates); CSV keeps all of it inside quotes.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


def read_csv(path: Path, **options: object) -> list[list[str | None]]:
    source = SourceConfig(**{"format": "csv", "path": str(path), **options})
    return [row for _, row in files.csv_records(Part(str(path), 0), source, files.header_of(str(path), source))]


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@SETTINGS
@given(
    rows=st.lists(st.tuples(TEXTS, TEXTS), max_size=20),
    ends=st.sampled_from(["\r\n", "\n"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_any_rows_that_a_csv_writer_writes_come_back(tmp_path: Path, rows: list[tuple[str, str]], ends: str, quoting: int) -> None:
    stream = io.StringIO()
    # Python 3.11's writer leaves a lone carriage return bare, which ends a row for every reader.
    bare = any("\r" in field for row in rows for field in row)
    writer = csv.writer(stream, lineterminator=ends, quoting=csv.QUOTE_ALL if bare else quoting)
    writer.writerows([("text", "label"), *rows])
    path = write(tmp_path / "any.csv", stream.getvalue())
    assert read_csv(path) == [[text or None, label or None] for text, label in rows]


def test_line_ends_inside_quotes_belong_to_the_field(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'text,label\r\n"one\r\ntwo\nthree",a\r\n\r\n"say ""hi""",b\r\n')
    assert read_csv(path) == [["one\r\ntwo\nthree", "a"], ['say "hi"', "b"]]


def test_a_field_may_be_longer_than_python_s_default(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,label\n" + "x" * 300_000 + ",a\n")
    assert [len(text or "") for text, _ in read_csv(path)] == [300_000]


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        ("text,label\na,b\nc,d,e\n", 3, "3 field"),
        ('text,label\n"a\nb",x\nonly\n', 4, "1 field"),
        ('text,label\na,b\n"c"d,e\n', 3, "expected after"),
        ('text,label\na,b\n"never closed,e\nf,g\n', 3, "unexpected end"),
        (b"text,label\na,b\n\xff\xfe,c\n", 3, "0xff is not utf-8"),
        (b"text,label\n" + b"ok,b\n" * 5000 + b"caf\xe9,c\n", 5002, "0xe9"),
    ],
)
def test_a_malformed_csv_is_refused_with_its_line(tmp_path: Path, content: str | bytes, line: int, reason: str) -> None:
    path = write(tmp_path / "bad.csv", content)
    with pytest.raises((BadRecord, DataError), match=reason) as caught:
        read_csv(path)
    error = caught.value if isinstance(caught.value, DataError) else files.located(str(path), caught.value)
    assert f"'{path}', line {line}: " in str(error)


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "windows-1252", "utf-8-sig"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    path = write(tmp_path / "a.csv", "text,label\ncafé,ü\n".encode(encoding))
    assert read_csv(path, encoding=encoding) == [["café", "ü"]]


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,label\na,b\n".encode("utf-8-sig"))
    assert files.header_of(str(path), SourceConfig(format="csv", path=str(path))) == ["text", "label"]


def test_tsv_whose_quotes_are_ordinary(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", 'ham\t"hello\nspam\twin "now"\n')
    rows = read_csv(path, format="tsv", quote=None, header=False, columns=["label", "text"])
    assert rows == [["ham", '"hello'], ["spam", 'win "now"']]


def test_unknown_encoding_offers_the_nearest() -> None:
    with pytest.raises(DataError, match="Did you mean 'utf-8'"):
        files.check_encoding(SourceConfig(format="csv", path="a", encoding="utf-88"))


@pytest.mark.parametrize(("content", "message"), [("", "not even a header"), ("a,a\n", "repeated"), ("a,\n", "empty")])
def test_a_header_names_every_column_once(tmp_path: Path, content: str, message: str) -> None:
    path = write(tmp_path / "a.csv", content)
    with pytest.raises(DataError, match=message):
        read_csv(path)


@SETTINGS
@given(
    rows=st.lists(st.dictionaries(st.sampled_from("abc"), st.one_of(TEXTS, st.integers(), st.none()), max_size=3), max_size=30),
    part_bytes=st.integers(1, 200),
    ends=st.sampled_from(["\n", "\r\n", "\n\n"]),
)
def test_parts_of_a_jsonl_file_hold_every_line_once(tmp_path: Path, rows: list[dict], part_bytes: int, ends: str) -> None:
    path = write(tmp_path / "any.jsonl", "".join(json.dumps(row, ensure_ascii=False) + ends for row in rows))
    source = SourceConfig(format="jsonl", path=str(path))
    before, files.PART_BYTES = files.PART_BYTES, part_bytes
    try:
        parts = files.parts_of(listing.list_files(source), source)
    finally:
        files.PART_BYTES = before
    read = [json.loads(values[0]) for part in parts for _, values in files.json_records(part, source)]
    assert read == rows


def test_a_line_that_is_not_json_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", '{"a": 1}\n\n{"a": 2\n')
    with pytest.raises(BadRecord, match="not JSON") as caught:
        list(files.json_records(Part(str(path), 1, start=5), SourceConfig(format="jsonl", path=str(path))))
    assert caught.value.line == 3
    write(path, "[1]\n")
    with pytest.raises(BadRecord, match="not a JSON object"):
        list(files.json_records(Part(str(path), 0), SourceConfig(format="jsonl", path=str(path))))


def test_compressed_files_are_read_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"text,label\na,b\n"))
    assert read_csv(path) == [["a", "b"]]


def test_a_folder_gives_its_files_of_that_format_in_order(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv", "_SUCCESS", "README.md", ".hidden.csv", "sub/c.csv", "d.csv.gz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    found = [Path(path).relative_to(tmp_path) for path, _ in listing.list_files(SourceConfig(format="csv", path=str(tmp_path)))]
    assert [str(path) for path in found] == ["a.csv", "b.csv", "d.csv.gz", "sub/c.csv"]
    globbed = listing.list_files(SourceConfig(format="csv", path=str(tmp_path / "?.csv")))
    assert [Path(path).name for path, _ in globbed] == ["a.csv", "b.csv"]


def test_a_missing_file_offers_its_nearest_sibling(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", "text\n")
    with pytest.raises(DataError, match=r"Did you mean 'train\.csv'"):
        listing.list_files(SourceConfig(format="csv", path=str(tmp_path / "trian.csv")))


@pytest.mark.parametrize(
    ("folder", "message"), [("_delta_log", "is a Delta table.*data.table"), ("split=test", "is partitioned.*split: test")]
)
def test_a_folder_whose_files_do_not_tell_its_rows_is_refused(tmp_path: Path, folder: str, message: str) -> None:
    (tmp_path / folder).mkdir()
    (tmp_path / "part.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=message):
        listing.list_files(SourceConfig(format="parquet", path=str(tmp_path)))


@pytest.mark.parametrize("setting", [{"delimiter": "||"}, {"quote": ""}])
def test_a_delimiter_is_one_character(setting: dict) -> None:
    with pytest.raises(ValueError, match="expected one character"):
        SourceConfig(format="csv", path="x.csv", **setting)
