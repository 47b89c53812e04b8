"""Parallel line files and alpha_tsv: columns are told by name or by value, and never guessed where they cannot be told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sparknlp_ft.config import SourceConfig, load_config
from sparknlp_ft.errors import ConfigError, DataError
from sparknlp_ft.sources import formats
from sparknlp_ft.sources.files import BadRecord, parts_of
from sparknlp_ft.sources.listing import list_files
from sparknlp_ft.sources.shape import kept_values, label_names

SETTINGS = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
FIELDS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), min_size=1, max_size=8)


def read(source: SourceConfig) -> tuple[list[str], list[list[Any]]]:
    """Read all files of a source without Spark: names of the columns, and rows."""
    files = list_files(source)
    reader = formats.reader_of(source, files[0][0])
    return list(reader.columns), [values for part in parts_of(files, source) for _, values in reader.read(part)]


def alpha(path: Path, content: str, **options: object) -> tuple[list[str], list[list[Any]]]:
    path.write_bytes(content.encode())
    return read(SourceConfig(**{"format": "alpha_tsv", "path": str(path), **options}))


ROWS = [["1", "spam", 'say "hi'], ["2", "ham", "x"]]


@pytest.mark.parametrize(
    "content",
    [
        'ID\tALPHA\tLABEL\tTEXT_A\n1\ta\tspam\tsay "hi\n2\ta\tham\tx\n',
        'id\tlabel\talpha_col\ttext\n1\tspam\ta\tsay "hi\n2\tham\tb\tx\n',
        '1\ta\tspam\tsay "hi\n2\ta\tham\tx\n',
        '1\tspam\ta\tsay "hi\n2\tham\ta\tx\n',
    ],
)
def test_both_orders_with_and_without_header(tmp_path: Path, content: str) -> None:
    assert alpha(tmp_path / "a.tsv", content) == (["id", "label", "text"], ROWS)


def test_a_second_text_and_given_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    assert alpha(path, "ID\tALPHA_COL\tLABEL\tTEXT_A\tTEXT_B\n1\ta\tx\tone\t\n") == (
        ["id", "label", "text", "text_pair"],
        [["1", "x", "one", None]],
    )
    # Given names settle what the values do not, and a header of one's own is left out all the same.
    given_names = {"columns": ["id", "label", "alpha", "text_a"]}
    assert alpha(path, "1\tx\ta\tone\n", **given_names)[1] == [["1", "x", "one"]]
    assert alpha(path, "id\tlabel\talpha\ttext_a\n1\tx\ta\tone\n", **given_names)[1] == [["1", "x", "one"]]
    assert alpha(path, '1\tx\ta\t"one"\n', quote='"', **given_names)[1] == [["1", "x", "one"]]


@SETTINGS
@given(rows=st.lists(st.tuples(FIELDS, FIELDS), min_size=2, max_size=30), turned=st.booleans())
def test_any_labels_are_told_from_the_alpha_column(tmp_path: Path, rows: list[tuple[str, str]], turned: bool) -> None:
    content = "".join(f"{n}\t{label}\ta\t{text}\n" if turned else f"{n}\ta\t{label}\t{text}\n" for n, (label, text) in enumerate(rows))
    if len({label for label, _ in rows}) == 1:
        with pytest.raises(DataError, match="both the same throughout"):
            alpha(tmp_path / "a.tsv", content)
    else:
        assert alpha(tmp_path / "a.tsv", content)[1] == [[str(n), label, text] for n, (label, text) in enumerate(rows)]


def test_labels_that_differ_late_are_waited_for(tmp_path: Path) -> None:
    content = "".join(f"{n}\ta\t{'late' if n == 5_000 else 'x'}\tt\n" for n in range(5_001))
    assert alpha(tmp_path / "a.tsv", content)[1][-1] == ["5000", "late", "t"]


@pytest.mark.parametrize(
    ("content", "options", "reason"),
    [
        ("1\ta\tx\tt\n2\tb\ty\tt\n", {}, r"line 1: .*neither the same throughout.*data\.sources\[\]\.columns"),
        ("1\ta\tx\tt\n2\ta\tx\tt\n", {}, "line 1: .*both the same throughout"),
        ("1\ta\tx\n", {}, "line 1: 3 field"),
        ("", {}, "is empty"),
        ("1\ta\tx\tt\n2\ta\ty\n", {}, "3 field.*expected 4"),
        ("".join(f"{n}\ta\t{n % 2}\tt\n" for n in range(1_500)) + "9\tb\t1\tt\n", {}, "column 2 was taken for ALPHA.*here it is 'b'"),
    ],
)
def test_what_does_not_tell_is_refused(tmp_path: Path, content: str, options: dict[str, Any], reason: str) -> None:
    with pytest.raises((BadRecord, DataError), match=reason):
        alpha(tmp_path / "a.tsv", content, **options)
    with pytest.raises(ConfigError, match="do not fit alpha_tsv"):
        alpha(tmp_path / "a.tsv", content, columns=["id", "label", "text"])


def lines(folder: Path, **files: str) -> tuple[list[str], list[list[Any]]]:
    for name, content in files.items():
        (folder / f"{name}.dev").write_bytes(content.encode())
    return read(SourceConfig(format="lines", path=str(folder), files={name: f"{name}.dev" for name in files}))


def test_parallel_files_are_rows(tmp_path: Path) -> None:
    names, rows = lines(tmp_path, text="one \ntwo\u2028still two \t\r\n\n", text_pair="1\n2\n3", label="a\nb\n c\n")
    assert names == ["text", "text_pair", "label"]
    assert rows == [["one", "1", "a"], ["two\u2028still two", "2", "b"], [None, "3", " c"]]


def test_unequal_files_are_refused_with_their_counts(tmp_path: Path) -> None:
    with pytest.raises(BadRecord, match=r"text\.dev has 2, text_pair\.dev has 5, label\.dev has 3"):
        lines(tmp_path, text="a\nb\n", text_pair="a\nb\nc\nd\ne\n", label="a\nb\nc")


def test_the_file_of_a_bad_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x\ncaf\xe9\n")
    (tmp_path / "b").write_bytes(b"1\n2\n")
    with pytest.raises(BadRecord, match="in a: byte 0xe9 is not utf-8") as caught:
        read(SourceConfig(format="lines", path=str(tmp_path), files={"text": "a", "label": "b"}))
    assert caught.value.line == 2
    with pytest.raises(DataError, match="Did you mean 'b'"):
        read(SourceConfig(format="lines", path=str(tmp_path), files={"text": "a", "label": "bb"}))


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("labels.txt", "joy\nsad ness\n\n", {"0": "joy", "1": "sad ness"}),
        ("labels.json", '["a", "b"]', {"0": "a", "1": "b"}),
        ("labels.json", '{"0": "no", "x": "yes"}', {"0": "no", "x": "yes"}),
    ],
)
def test_label_maps_from_files(tmp_path: Path, name: str, content: str, expected: dict[str, str]) -> None:
    (tmp_path / name).write_text(content)
    assert label_names(SourceConfig(format="csv", path="x", label_map=str(tmp_path / name))) == expected


def test_label_maps_in_the_configuration() -> None:
    assert label_names(SourceConfig(format="csv", path="x", label_map=["no", "yes"])) == {"0": "no", "1": "yes"}
    assert label_names(SourceConfig(format="csv", path="x", label_map={0: "no", True: "yes"})) == {"0": "no", "true": "yes"}


@pytest.mark.parametrize(
    ("content", "reason"), [("", "not JSON"), ("3", "neither"), ("[]", "names no labels"), ('{"a": 1}', "names no labels")]
)
def test_a_file_that_names_no_labels_is_refused(tmp_path: Path, content: str, reason: str) -> None:
    (tmp_path / "l.json").write_text(content)
    with pytest.raises(DataError, match=reason):
        label_names(SourceConfig(format="csv", path="x", label_map=str(tmp_path / "l.json")))
    with pytest.raises(DataError, match="cannot be read"):
        label_names(SourceConfig(format="csv", path="x", label_map=str(tmp_path / "none.txt")))


def test_values_to_keep(tmp_path: Path) -> None:
    (tmp_path / "k.json").write_text('{"note": "mine", "train": ["a", "b"], "test": ["c"]}')
    (tmp_path / "k.txt").write_text("a\nb\n")

    def kept(**keep: object) -> list[str]:
        return kept_values(SourceConfig(format="csv", path="x", keep={"column": "c", **keep}))

    assert kept(values=["a", 1, True]) == ["a", "1", "true"]
    assert kept(file=str(tmp_path / "k.txt")) == kept(file=str(tmp_path / "k.json"), key="train") == ["a", "b"]
    with pytest.raises(DataError, match="keep.key 'trian' is no list.*Did you mean 'train'"):
        kept(file=str(tmp_path / "k.json"), key="trian")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ({"format": "lines"}, "files: .* belongs to format 'lines'"),
        ({"format": "csv", "files": {"text": "a"}}, "files: .* belongs to format 'lines'"),
        ({"format": "csv", "labels": {}}, "give either column: NAME"),
        ({"format": "csv", "labels": {"column": "a", "columns": ["b"]}}, "give either column: NAME"),
        ({"format": "csv", "keep": {"column": "a"}}, "give either values"),
        ({"format": "csv", "keep": {"colum": "a"}}, "Did you mean 'column'"),
        ({"format": "csv", "hash_split": {"test": 1.0}}, "hash_split: .* expected shares"),
        ({"format": "csv", "hash_split": {"test": 0}}, "hash_split: .* expected shares"),
        ({"format": "jsonl", "entities": {"tokens": "a"}}, "name both columns"),
        ({"format": "csv", "label_map": {"0": True}}, "label_map"),
    ],
)
def test_options_that_do_not_fit_are_refused(tmp_path: Path, source: dict[str, Any], reason: str) -> None:
    import yaml

    (tmp_path / "c.yaml").write_text(yaml.safe_dump({"data": {"table": "t", "sources": [{"path": "x", **source}]}}))
    with pytest.raises(ConfigError, match=reason):
        load_config(tmp_path / "c.yaml")


def test_paths_of_options_count_from_the_working_directory() -> None:
    source = {"format": "csv", "path": "a.csv", "label_map": "l.txt", "keep": {"column": "c", "file": "k.txt"}}
    (found,) = load_config(None, ["data.table=t", f"data.sources=[{source}]"], base_dir="/base").data.sources
    assert (found.path, found.label_map, found.keep and found.keep.file) == ("/base/a.csv", "/base/l.txt", "/base/k.txt")


def test_a_hub_data_set_that_is_a_script_is_given_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    from sparknlp_ft.sources.hub import _load

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("Dataset scripts are no longer supported, but found xsum.py")

    monkeypatch.setattr(datasets, "load_dataset", refuse)
    with pytest.raises(DataError, match="set revision: refs/convert/parquet"):
        _load(SourceConfig(format="hub", path="EdinburghNLP/xsum"))
