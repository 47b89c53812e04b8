"""Ingest: rows of any source kept whole, under the contract's names; a bad source leaves nothing behind."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame, SparkSession

from sparknlp_ft.config import Config
from sparknlp_ft.errors import ConfigError, DataError
from sparknlp_ft.pipelines.ingest import run_ingest
from sparknlp_ft.tables.contracts import check_keys, resolve_roles
from sparknlp_ft.tables.delta import TableRef, pin, read
from sparknlp_ft.tasks import get_task

SHARED = Path(os.environ.get("SPARKNLP_FT_SHARED_DATA") or Path(__file__).parents[4] / "shared" / "data")
BANKING77 = SHARED / "banking77"


def config(root: Path, *sources: dict[str, Any], base: str = "no/such-model", **data: Any) -> Config:
    """Without a tokenizer by default: the profile then lacks tokens, and no worker loads one."""
    return Config(data={"table": "t", "root": str(root / "lake"), "sources": list(sources), **data}, model={"base": str(root / base)})


def table(spark: SparkSession, made: Config) -> DataFrame:
    return read(spark, pin(spark, TableRef.parse(made.data.table, made.data.root)))


def rows(spark: SparkSession, made: Config) -> list[tuple]:
    return [tuple(row) for row in table(spark, made).orderBy("id").collect()]


def write(path: Path, content: str | bytes) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def test_csv_files_become_one_table(spark: SparkSession, tmp_path: Path) -> None:
    train = write(tmp_path / "train" / "b.csv", 'body,intent,extra col\r\n"two\r\nlines",x,1\r\nplain,y,\r\n')
    write(tmp_path / "train" / "a.csv", 'body,intent,extra col\r\n"say ""hi"", friend",x,3\r\n')
    test = write(tmp_path / "test.csv", "body,intent,extra col\nlast,y,4\n")
    made = config(
        tmp_path,
        {"format": "csv", "path": str(Path(train).parent), "split": "train"},
        {"format": "csv", "path": test, "split": "test"},
        columns={"text": "body", "label": "intent"},
    )
    profile = run_ingest(made, spark)
    assert table(spark, made).columns == ["id", "text", "label", "split", "extra_col"]
    assert rows(spark, made) == [
        (0, 'say "hi", friend', "x", "train", "3"),
        (1, "two\r\nlines", "x", "train", "1"),
        (2, "plain", "y", "train", None),
        (3, "last", "y", "test", "4"),
    ]
    assert (profile.rows, profile.splits, profile.labels) == (4, {"train": 3, "test": 1}, {"x": 2, "y": 2})
    assert "2 labels" in str(profile)
    # The same configuration finds the roles in what it wrote.
    assert resolve_roles(table(spark, made), made.data, get_task("classification"), need_target=True).texts == (("text", "text"),)


def test_the_same_files_give_the_same_keys_and_another_version(spark: SparkSession, tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path / "in" / f"{number}.csv", "text,label\n" + "".join(f"text {number} {line},l\n" for line in range(5)))
    made = config(tmp_path, {"format": "csv", "path": str(tmp_path / "in"), "split": "train"})
    first = run_ingest(made, spark)
    before = rows(spark, made)
    again = run_ingest(made, spark)
    assert (first.version, again.version) == (0, 1)
    assert rows(spark, made) == before
    assert [row[0] for row in before] == list(range(15))


def test_tsv_without_header_or_quoting(spark: SparkSession, tmp_path: Path) -> None:
    path = write(tmp_path / "sms.tsv", 'ham\tsay "hello\nspam\t"win\n'.encode("latin-1"))
    made = config(
        tmp_path, {"format": "tsv", "path": path, "header": False, "columns": ["label", "text"], "quote": None, "encoding": "latin-1"}
    )
    run_ingest(made, spark)
    assert rows(spark, made) == [(0, 'say "hello', "ham"), (1, '"win', "spam")]


def test_jsonl_keeps_types_keys_and_the_file_s_own_splits(spark: SparkSession, tmp_path: Path) -> None:
    lines = [
        {"id": "k1", "text": "a 🙂", "label": True, "fold": "train", "spans": [[0, 1]], "more": None},
        {"id": "k2", "text": "\u05d0\u0000b", "label": False, "fold": "dev", "spans": [], "more": None},
    ]
    path = write(tmp_path / "a.jsonl", "\n\n".join(json.dumps(line) for line in lines))
    made = config(tmp_path, {"format": "jsonl", "path": path}, split_column="fold")
    profile = run_ingest(made, spark)
    assert [row[:4] for row in rows(spark, made)] == [("k1", "a 🙂", True, "train"), ("k2", "\u05d0\u0000b", False, "dev")]
    assert dict(table(spark, made).dtypes)["spans"] == "array<array<bigint>>"
    assert profile.splits == {"train": 1, "dev": 1}


def test_parquet_files_are_numbered_through(spark: SparkSession, tmp_path: Path) -> None:
    for number in range(2):
        path = tmp_path / "in [x]" / f"part {number}.parquet"
        path.parent.mkdir(exist_ok=True)
        pq.write_table(
            pa.table({"text": [f"{number} {n}" for n in range(4)], "label": pa.array([0, 1, 0, 1], pa.int64())}), path, row_group_size=2
        )
    made = config(tmp_path, {"format": "parquet", "path": str(tmp_path / "in [x]")})
    run_ingest(made, spark)
    assert rows(spark, made) == [(4 * file + n, f"{file} {n}", n % 2) for file in range(2) for n in range(4)]


def test_hub_data_sets_keep_splits_and_label_names(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])})
    for split, labels in (("train", [0, 1, 1]), ("test", [1, -1])):
        part = datasets.Dataset.from_dict({"text": [f"{split} {n}" for n in range(len(labels))], "label": labels}, features=features)
        path = tmp_path / "hub" / "data" / f"{split}-00000-of-00001.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        part.to_parquet(str(path))
    made = config(tmp_path, {"format": "hub", "path": str(tmp_path / "hub")})
    run_ingest(made, spark)
    assert sorted(row[1:] for row in rows(spark, made)) == [
        ("test 0", "yes", "test"),
        ("test 1", None, "test"),
        ("train 0", "no", "train"),
        ("train 1", "yes", "train"),
        ("train 2", "yes", "train"),
    ]
    assert [path.name for path in (tmp_path / "lake").iterdir()] == ["t"]


def test_lengths_in_tokens_are_those_of_the_tokenizer(spark: SparkSession, tmp_path: Path) -> None:
    from sparknlp_ft.config import TextConfig
    from sparknlp_ft.reports.profile import SHARES, quantiles
    from sparknlp_ft.text.encoder import TextEncoder
    from tests.tiny import tiny_model_dir, tiny_texts

    base = tiny_model_dir(tmp_path)
    texts = tiny_texts(40)
    path = write(tmp_path / "a.csv", "text,label\n" + "".join(f"{text},l\n" for text in texts) + " ,l\n")
    profile = run_ingest(config(tmp_path, {"format": "csv", "path": path}, base=base.name), spark)
    lengths = [len(ids) for ids in TextEncoder.load(base, TextConfig(max_length=16)).tokenize([*texts, " "])]
    assert profile.tokens == quantiles({length: lengths.count(length) for length in lengths}, SHARES)
    assert (profile.without_text, profile.characters[-1]) == (1, max(map(len, texts)))


def cut_short(path: Path) -> str:
    pq.write_table(pa.table({"text": ["a"] * 1000}), write(path, b""))
    return write(path, path.read_bytes()[:-60])


CSV = "text,label\na,x\nb,y\n"
BAD: dict[str, tuple[Callable[[Path], dict[str, Any]], str]] = {
    "too many fields": (lambda p: {"path": write(p / "a.csv", CSV + "c,d,e\n")}, r"a\.csv', line 4: 3 field"),
    "never closed quote": (lambda p: {"path": write(p / "a.csv", CSV + '"c,d\n')}, r"a\.csv', line 4: unexpected end"),
    "not UTF-8": (lambda p: {"path": write(p / "a.csv", CSV.encode() + b"caf\xe9,x\n")}, "line 4: byte 0xe9 is not utf-8.*latin-1"),
    "another header": (
        lambda p: {"path": str(Path(write(p / "b.csv", "text,lable\na,b\n") and write(p / "a.csv", CSV)).parent)},
        r"b\.csv', line 1: the header",
    ),
    "no rows": (lambda p: {"path": write(p / "a.csv", "text,label\n")}, "no rows"),
    "no file": (lambda p: {"path": str(p / "none.csv")}, "does not exist"),
    "no text column": (lambda p: {"path": write(p / "a.csv", "txet,label\na,b\n")}, "'text' for role 'text'.*Did you mean 'txet'"),
    "repeated keys": (lambda p: {"path": write(p / "a.csv", "id,text\n1,a\n2,b\n1,c\n")}, "not unique: 1 value.*'1'"),
    "NULL keys": (lambda p: {"path": write(p / "a.csv", "id,text\n1,a\n,b\n")}, "NULL in 1 of 2 rows"),
    "NULL and repeated keys": (
        lambda p: {"path": write(p / "a.csv", "id,text\n1,a\n,b\n1,c\n")},
        "NULL in 1 of 3 rows.* And key 'id' is not unique: 1 value.*'1'",
    ),
    "nothing like an internal column": (
        lambda p: {"path": write(p / "a.csv", "_file,label\na,b\n")},
        r"'text' for role 'text' is not in the table\. Columns: _file, label, id\. Map",
    ),
    "Parquet cut short": (lambda p: {"format": "parquet", "path": cut_short(p / "a.parquet")}, r"a\.parquet' begins like.* was cut short"),
    "not JSON": (lambda p: {"format": "jsonl", "path": write(p / "a.jsonl", '{"text": "a"}\n{"text": \n')}, r"a\.jsonl', line 2: not JSON"),
    "not Parquet": (lambda p: {"format": "parquet", "path": write(p / "a.parquet", "text,label")}, "not a Parquet file"),
    "broken Parquet": (lambda p: {"format": "parquet", "path": write(p / "a.parquet", "PAR1" + "x" * 50)}, r"a\.parquet"),
    "unknown encoding": (lambda p: {"path": write(p / "a.csv", CSV), "encoding": "utf-88"}, "not an encoding"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_source_is_refused_and_nothing_written(spark: SparkSession, tmp_path: Path, case: str) -> None:
    source, message = BAD[case]
    made = config(tmp_path, {"format": "csv", **source(tmp_path / "in")})
    with pytest.raises(DataError, match=f"(?s){message}"):
        run_ingest(made, spark)
    assert not (tmp_path / "lake").exists()


def test_sources_that_do_not_fit_together_are_refused(spark: SparkSession, tmp_path: Path) -> None:
    both = write(tmp_path / "a.csv", CSV)
    other = write(tmp_path / "b.csv", "id,text,label\n7,c,x\n")
    named = write(tmp_path / "c.csv", "text,split\nc,train\n")
    for sources, message in (
        ([both, other], "key column 'id' is not in source '.*a.csv'"),
        ([both, named], "'.*a.csv' has no column 'split'"),
    ):
        with pytest.raises(DataError, match=message):
            run_ingest(config(tmp_path, *[{"format": "csv", "path": path} for path in sources]), spark)
    with pytest.raises(DataError, match="'.*a.csv' has no column 'split'"):
        run_ingest(config(tmp_path, {"format": "csv", "path": both}, {"format": "csv", "path": both, "split": "test"}), spark)
    with pytest.raises(ConfigError, match="data.sources is empty"):
        run_ingest(config(tmp_path), spark)
    assert not (tmp_path / "lake").exists()


def messages(caplog: pytest.LogCaptureFixture, part: str) -> list[str]:
    """What was logged; a record that reached pytest on two ways (our logger's and the root's) counts once."""
    return list({id(record): record.getMessage() for record in caplog.records if part in record.getMessage()}.values())


def test_halves_of_characters_are_replaced_and_counted(
    spark: SparkSession, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sparknlp_ft.progress.log.propagate", True)
    lines = [
        '{"text": "whole \\ud83d\\ude00", "label": "x"}',
        '{"text": "half \\ud83d", "label": "x"}',
        '{"text": "\\\\ud83d", "label": "\\udc00"}',
    ]
    made = config(tmp_path, {"format": "jsonl", "path": write(tmp_path / "a.jsonl", "\n".join(lines))})
    run_ingest(made, spark)
    assert [row[1:3] for row in rows(spark, made)] == [("whole 😀", "x"), ("half \ufffd", "x"), ("\\ud83d", "\ufffd")]
    [told] = messages(caplog, "half a character")
    assert "2 row(s)" in told and told.endswith("a.jsonl', line 2")


def test_columns_of_several_json_types_are_named(
    spark: SparkSession, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sparknlp_ft.progress.log.propagate", True)
    lines = [{"text": "a", "label": "x", "n": 1}, {"text": "b", "label": ["x"], "n": 1.5}, {"text": "c", "label": 1, "n": None}]
    made = config(tmp_path, {"format": "jsonl", "path": write(tmp_path / "a.jsonl", "\n".join(map(json.dumps, lines)))})
    profile = run_ingest(made, spark)
    assert messages(caplog, "several types") == [
        "column 'label' holds JSON values of several types: 2 are no strings (ARRAY<STRING>, BIGINT), and are written as their JSON text"
    ]
    assert "labels of several types" in str(profile)


def test_a_bad_source_leaves_the_table_that_was_there(spark: SparkSession, tmp_path: Path) -> None:
    good = config(tmp_path, {"format": "csv", "path": write(tmp_path / "a.csv", CSV)})
    run_ingest(good, spark)
    with pytest.raises(DataError, match="line 4"):
        run_ingest(config(tmp_path, {"format": "csv", "path": write(tmp_path / "b.csv", CSV + "c\n")}), spark)
    assert rows(spark, good) == [(0, "a", "x"), (1, "b", "y")]


def test_files_that_are_no_table_are_not_overwritten(spark: SparkSession, tmp_path: Path) -> None:
    write(tmp_path / "lake" / "t" / "mine.txt", "keep")
    with pytest.raises(DataError, match="not a Delta table"):
        run_ingest(config(tmp_path, {"format": "csv", "path": write(tmp_path / "a.csv", CSV)}), spark)
    assert (tmp_path / "lake" / "t" / "mine.txt").read_text() == "keep"


@pytest.mark.skipif(
    not BANKING77.is_dir(), reason=f"Banking77 is not at {BANKING77}: set SPARKNLP_FT_SHARED_DATA to the folder that holds it"
)
def test_banking77_whole(spark: SparkSession, tmp_path: Path) -> None:
    made = config(
        tmp_path,
        {"format": "csv", "path": str(BANKING77 / "train.csv"), "split": "train"},
        {"format": "csv", "path": str(BANKING77 / "test.csv"), "split": "test"},
        columns={"text": "text", "label": "category"},
    )
    profile = run_ingest(made, spark)
    assert profile.splits == {"train": 10_003, "test": 3_080}
    assert set(profile.labels) == set(json.loads((BANKING77 / "categories.json").read_text()))
    df = table(spark, made)
    assert check_keys(df, resolve_roles(df, made.data, get_task("classification"), need_target=True)) == 13_083
