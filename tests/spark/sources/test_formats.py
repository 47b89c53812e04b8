"""Sources of every task family, whole: from files in their published forms to the rows of the contract, or to nothing."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from sparknlp_ft.config import Config, DataConfig, SourceConfig, load_config
from sparknlp_ft.errors import ConfigError, DataError
from sparknlp_ft.pipelines.ingest import run_ingest
from sparknlp_ft.sources.combine import combined
from sparknlp_ft.sources.read import PLACE, Loaded, read_sources
from sparknlp_ft.storage import Folder
from sparknlp_ft.tables.delta import TableRef, pin, read
from sparknlp_ft.tasks import get_task

ROOT = Path(__file__).parents[3]
SHARED = Path(os.environ.get("SPARKNLP_FT_SHARED_DATA") or ROOT.parent / "shared" / "data")


@contextmanager
def ingested(spark: SparkSession, root: Path, *sources: dict[str, Any], **data: Any) -> Iterator[tuple[list[Loaded], DataFrame]]:
    made = DataConfig(table="t", sources=[SourceConfig(**source) for source in sources], **data)
    with read_sources(spark, made.sources, scratch=Folder(str(root / "scratch")), split_column=made.split_column) as loaded:
        yield loaded, combined(loaded, made, get_task(made.task))


def rows(spark: SparkSession, root: Path, *sources: dict[str, Any], columns: str, **data: Any) -> list[tuple]:
    """The asked columns of all rows, structs as tuples, in the order of the keys."""
    with ingested(spark, root, *sources, **data) as (_, frame):
        return [plain(tuple(row)) for row in frame.orderBy(*data.get("key", ["id"])).select(*columns.split()).collect()]


def plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(plain(one) for one in value)
    return [plain(one) for one in value] if isinstance(value, list) else value


def write(path: Path, content: str | bytes | list | dict) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = content if isinstance(content, str | bytes) else json.dumps(content)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def test_labels_in_a_string_become_names(spark: SparkSession, tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", 'say "hi\t2,0\tx\nplain\t\ty\nagain\t1, 1,0\tz\n')
    write(tmp_path / "labels.txt", "joy\nanger\nfear\n")
    source = {"format": "tsv", "path": path, "header": False, "columns": ["text", "emotions", "who"], "quote": None}
    source |= {"labels": {"column": "emotions"}, "label_map": str(tmp_path / "labels.txt")}
    assert rows(spark, tmp_path, source, columns="id text labels who", task="multi_label") == [
        (0, 'say "hi', ["fear", "joy"], "x"),
        (1, "plain", [], "y"),
        (2, "again", ["anger", "joy"], "z"),
    ]


def test_labels_as_columns_or_as_a_list(spark: SparkSession, tmp_path: Path) -> None:
    flags = {"format": "csv", "path": write(tmp_path / "a.csv", "text,toxic,rude,n\na,1,0,7\nb,0,0,8\nc,1.0,1,9\n")}
    flags["labels"] = {"columns": ["rude", "toxic"]}
    assert rows(spark, tmp_path, flags, columns="text labels n", task="multi_label") == [
        ("a", ["toxic"], "7"),
        ("b", [], "8"),
        ("c", ["rude", "toxic"], "9"),
    ]
    lists = {"format": "jsonl", "path": write(tmp_path / "a.jsonl", '{"text": "a", "tags": ["x", "y", "x"]}\n{"text": "b", "tags": []}\n')}
    # Without what stands twice, or taken as it is.
    assert rows(spark, tmp_path, {**lists, "labels": {"column": "tags"}}, columns="labels", task="multi_label") == [(["x", "y"],), ([],)]
    with ingested(spark, tmp_path, lists, task="multi_label", columns={"labels": "tags"}) as (_, frame):
        assert dict(frame.dtypes)["labels"] == "array<string>"
        assert [row[0] for row in frame.orderBy("id").select("labels").collect()] == [["x", "y", "x"], []]


def test_label_maps_name_labels_of_any_form(spark: SparkSession, tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", '{"text": "a", "intent": 1}\n{"text": "b", "intent": null}\n{"text": "c", "intent": 0}\n')
    source = {"format": "jsonl", "path": path, "label_map": ["no", "yes"]}
    with ingested(spark, tmp_path, source, columns={"label": "intent"}) as (_, frame):
        assert [tuple(row) for row in frame.orderBy("id").select("text", "label").collect()] == [("a", "yes"), ("b", None), ("c", "no")]


def test_hash_splits_are_the_same_each_time_and_part_no_equal_texts(spark: SparkSession, tmp_path: Path) -> None:
    lines = "".join(f"text {n % 2_000}{'  ' if n % 3 else ' '}end,l{n % 2}\n" for n in range(6_000))
    source = {"format": "csv", "path": write(tmp_path / "a.csv", "body,label\n" + lines), "hash_split": {"test": 0.2, "validation": 0.1}}
    data = {"columns": {"text": "body"}}
    with ingested(spark, tmp_path, source, **data) as (_, frame):
        first = {row["id"]: (row["text"].split()[1], row["split"]) for row in frame.collect()}
    with ingested(spark, tmp_path, source, **data) as (_, frame):
        assert {row["id"]: (row["text"].split()[1], row["split"]) for row in frame.collect()} == first
    by_text: dict[str, set[str]] = {}
    for text, split in first.values():
        by_text.setdefault(text, set()).add(split)
    assert {len(splits) for splits in by_text.values()} == {1}
    shares = {name: sum(splits == {name} for splits in by_text.values()) / 2_000 for name in ("train", "test", "validation")}
    assert shares == pytest.approx({"train": 0.7, "test": 0.2, "validation": 0.1}, abs=0.03)


def test_kept_rows_keep_their_keys(spark: SparkSession, tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,title\na,A\nb,B\nc,A\nd,C\n")
    write(tmp_path / "split.json", {"train": ["A"], "test": ["B", "none"]})
    sources = [
        {"format": "csv", "path": path, "split": name, "keep": {"column": "title", "file": str(tmp_path / "split.json"), "key": name}}
        for name in ("train", "test")
    ]
    with ingested(spark, tmp_path, *sources) as (loaded, frame):
        assert [one.rows for one in loaded] == [2, 1]
        found = [tuple(row) for row in frame.orderBy("id").select("id", "text", "split").collect()]
    assert found == [(0, "a", "train"), (2, "c", "train"), (5, "b", "test")]


def test_lists_become_texts_and_references(spark: SparkSession, tmp_path: Path) -> None:
    lines = [{"source": ["One.", "Two."], "target": ["short", "brief"], "n": 1}, {"source": ["Three."], "target": [], "n": 2}]
    source = {"format": "json", "path": write(tmp_path / "a.json", lines), "join": {"text": "source"}, "references": "target"}
    assert rows(spark, tmp_path, source, columns="text summary references n", task="summarization") == [
        ("One. Two.", "short", ["short", "brief"], 1),
        ("Three.", None, [], 2),
    ]


def test_tokens_and_tags_become_texts_with_entities(spark: SparkSession, tmp_path: Path) -> None:
    content = '{\n "words": ["🙂", "in", "New", "York"],\n "ner": ["O", "O", "B-LOC", "I-LOC"]\n} {"words": ["x"],\n "ner": ["O"]}'
    source = {"format": "json", "path": write(tmp_path / "a.json", content), "entities": {"tokens": "words", "tags": "ner"}}
    assert rows(spark, tmp_path, source, columns="text entities", task="token_classification") == [
        ("🙂 in New York", [(5, 13, "LOC")]),
        ("x", []),
    ]


def test_answers_as_the_hub_keeps_them(spark: SparkSession, tmp_path: Path) -> None:
    lines = [
        {"id": "1", "question": "?", "context": "🙂 a b", "answers": {"text": ["b", "a"], "answer_start": [4, 2]}},
        {"id": "2", "question": "?", "context": "a b", "answers": {"text": [], "answer_start": []}},
    ]
    source = {"format": "jsonl", "path": write(tmp_path / "a.jsonl", "\n".join(map(json.dumps, lines)))}
    assert rows(spark, tmp_path, source, columns="id answers", task="question_answering") == [("1", [("b", 4), ("a", 2)]), ("2", [])]


def test_targets_are_numbers(spark: SparkSession, tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", "score\ts1\ts2\n5.000\ta\tb\n 0\tc\td\n\te\tf\n")
    data = {"task": "regression", "columns": {"text": "s1", "text_pair": "s2", "target": "score"}}
    with ingested(spark, tmp_path, {"format": "tsv", "path": path, "quote": None}, **data) as (_, frame):
        assert dict(frame.dtypes)["target"] == "double"
        assert [tuple(row)[1:4] for row in frame.orderBy("id").collect()] == [("a", "b", 5.0), ("c", "d", 0.0), ("e", "f", None)]


def test_arrays_and_structs_are_written_as_they_are(spark: SparkSession, tmp_path: Path) -> None:
    utterances = {"GetWeather": [{"data": [{"text": "rain in "}, {"text": "Ærø", "entity": "city"}]}]}
    write(tmp_path / "in" / "train_GetWeather.json", utterances)
    write(tmp_path / "in" / "validate_GetWeather.json", utterances)
    sources = [{"format": "snips", "path": str(tmp_path / "in" / f"{name}_*.json"), "split": name} for name in ("train", "validate")]
    made = Config(data={"table": "t", "root": str(tmp_path / "lake"), "sources": sources}, model={"base": "no/such-model"})
    assert run_ingest(made, spark).splits == {"train": 1, "validate": 1}
    written = read(spark, pin(spark, TableRef.parse(made.data.table, made.data.root)))
    assert dict(written.dtypes)["entities"] == "array<struct<start:int,end:int,label:string>>"
    assert plain([tuple(row) for row in written.orderBy("id").collect()]) == [
        (0, "rain in Ærø", "GetWeather", "train", [(8, 11, "city")]),
        (1, "rain in Ærø", "GetWeather", "validate", [(8, 11, "city")]),
    ]
    shutil.rmtree(tmp_path / "lake")


LONG = "text,label\n" + "a,x\n" * 6_000
BAD: dict[str, tuple[dict[str, Any], str, str | bytes | dict, str]] = {
    "label not in the map": ({"label_map": {"x": "X"}}, "a.csv", LONG + "b,y\n", r"a\.csv', line 6002: label 'y' is not among the 1"),
    "label number too high": (
        {"label_map": ["a"], "labels": {"column": "label"}, "task": "multi_label"},
        "a.csv",
        'text,label\na,"0,1"\n',
        r"a\.csv', line 2: label '1' is not among the 1 of label_map \(0\)",
    ),
    "flag that is none": (
        {"labels": {"columns": ["x"]}, "task": "multi_label"},
        "a.csv",
        "text,x\n\na,1\nb,2\n",
        r"a\.csv', line 4: column 'x' holds '2', expected 0 or 1",
    ),
    "flag that is empty": ({"labels": {"columns": ["x"]}, "task": "multi_label"}, "a.csv", "text,x\na,\n", "line 2: column 'x' holds ''"),
    "target that is no number": ({"task": "regression"}, "a.csv", "text,target\na,1\nb,1e\n", r"line 3: target is '1e', expected a number"),
    "target that is not finite": ({"task": "regression"}, "a.csv", "text,target\na,1\nb,nan\n", r"line 3: target is 'nan'"),
    "no such label column": ({"label_map": ["a"]}, "a.csv", "text\na\n", "has a label_map, and no label column"),
    "no such column to keep": ({"keep": {"column": "x", "values": ["1"]}}, "a.csv", LONG, "no column 'x', which keep.column names"),
    "nothing kept": ({"keep": {"column": "label", "values": ["1"]}}, "a.csv", LONG, "no row has one of keep's values in column 'label'"),
    "split there already": (
        {"hash_split": {"test": 0.1}},
        "a.csv",
        "text,split\na,b\n",
        "has hash_split, but its rows have column 'split'",
    ),
    "no list to join": ({"join": {"text": "text"}}, "a.csv", LONG, "join needs a list, and column 'text' is of type string"),
    "tag that is none": (
        {"entities": {"tokens": "w", "tags": "t"}, "task": "token_classification"},
        "a.jsonl",
        '{"w": ["a"], "t": ["O"]}\n{"w": ["a"], "t": ["x"]}\n',
        r"a\.jsonl', line 2: tag 'x', expected O",
    ),
    "answer not in the context": (
        {"task": "question_answering"},
        "a.jsonl",
        '{"id": 1, "question": "?", "context": "a b", "answers": {"text": ["b"], "answer_start": [1]}}',
        r"a\.jsonl', line 1: an answer does not stand at character 1 of its context\. Correct them, .*=drop, or .*=repair\. Nothing",
    ),
    "SQuAD answer": (
        {"format": "squad", "task": "question_answering"},
        "a.json",
        {"data": [{"id": "q7", "question": "?", "context": "a b", "answers": {"text": ["b"], "answer_start": [1]}}]},
        r"a\.json': row 1, key 'q7': an answer does not stand at character 1 of its context",
    ),
    "many answers": (
        {"format": "squad", "task": "question_answering"},
        "a.json",
        {"data": [{"id": f"q{n}", "question": "?", "context": "a b", "answers": {"text": ["b"], "answer_start": [n]}} for n in range(9)]},
        r"^8 rows do not fit: '.*a\.json': row 1, key 'q0': an answer .* character 0 .*; '.*row 6, key 'q5'.*; and 3 more\. ",
    ),
    "entity out of its text": (
        {"format": "jsonl", "task": "token_classification"},
        "a.jsonl",
        '{"text": "abc", "entities": [{"start": 1, "end": 9, "label": "X"}, {"start": 2, "end": 2, "label": "X"}]}\n',
        r"line 1: an entity from character 1 to 9 is not in its text of 3 characters \(and 1 more in this row\)",
    ),
    "key twice": (
        {"format": "jsonl"},
        "a.jsonl",
        '{"text": "a"}\n{"text": "b", "Text": "c"}\n',
        r"a\.jsonl', line 2: an object has the key 'Text' twice",
    ),
    "key in two cases": (
        {"format": "jsonl"},
        "a.jsonl",
        '{"text": "a"}\n{"Text": "b"}\n',
        "write one key as 'Text' and as 'text'",
    ),
    "semicolons": (
        {"format": "csv"},
        "a.csv",
        "id;text;label\n1;a;x\n",
        r"a\.csv', line 1: the header is one field, 'id;text;label'; ';' would make 3 .*delimiter: \";\"",
    ),
    "tabs in a csv": (
        {"format": "csv"},
        "a.csv",
        "text\tlabel\na\tx\n",
        r"'\\t' would make 2 of it: set data.sources\[\].delimiter: \"\\t\"",
    ),
    "semicolons, columns given": (
        {"format": "csv", "columns": ["text", "label"]},
        "a.csv",
        "text;label\na;x\n",
        r"a\.csv', line 2: 1 field\(s\), expected 2 \(text, label\); ';' would make 2",
    ),
    "UTF-16": (
        {"format": "csv"},
        "a.csv",
        "text,label\na,x\n".encode("utf-16"),
        "line 1: the file is UTF-16 by its byte-order mark.*encoding: utf-16",
    ),
    "UTF-16 as Latin-1": (
        {"format": "csv", "encoding": "latin-1"},
        "a.csv",
        "text,label\na,x\n".encode("utf-16"),
        "is read as latin-1; set",
    ),
    "UTF-16 JSON lines": (
        {"format": "jsonl"},
        "a.jsonl",
        '{"text": "a"}'.encode("utf-16"),
        "UTF-16 by its byte-order mark.*convert it to UTF-8",
    ),
    "UTF-16 document": ({"format": "squad", "task": "question_answering"}, "a.json", '{"data": []}'.encode("utf-16"), "UTF-16 by its"),
    "CoNLL tag": ({"format": "conll", "task": "token_classification"}, "a.conll", "a O\nb X\n", r"a\.conll', line 2: tag 'X'"),
    "CoNLL column": (
        {"format": "conll", "tag": "ner", "task": "token_classification"},
        "a.conll",
        "a O\n",
        "'ner' is not among the columns",
    ),
    "JSON document": ({"format": "json"}, "a.json", '[{"text": "a"},\n{"text": ]', r"a\.json', line 2: not JSON"),
    "unequal line files": (
        {"format": "lines", "files": {"text": "a.txt", "label": "b.txt"}},
        "a.txt",
        "1\n2\n",
        "a.txt has 2, b.txt has 0",
    ),
    "alpha_tsv": (
        {"format": "alpha_tsv"},
        "a.tsv",
        "1\ta\tx\tt\n2\tb\ty\tt\n",
        r"a\.tsv', line 1: no header, and columns 2 and 3 are neither",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_source_is_refused_with_its_line(spark: SparkSession, tmp_path: Path, case: str) -> None:
    options, name, content, message = BAD[case]
    path = Path(write(tmp_path / "in" / name, content))
    write(tmp_path / "in" / "b.txt", "")
    kind = options.get("format", path.suffix[1:])
    task = options.get("task", "classification")
    source = {"format": kind, "path": str(path.parent if kind == "lines" else path)}
    source |= {key: value for key, value in options.items() if key != "task"}
    with pytest.raises((DataError, ConfigError), match=message), ingested(spark, tmp_path, source, task=task):
        pass


REAL = {
    "goemotions": ("goemotions", {"train": 43_410, "validation": 5_426, "test": 5_427}),
    "sms_spam": ("sms_spam", {None: 5_574}),
    "snips": ("snips", {"train": 2_100, "test": 700}),
    "snli": ("snli", {"train": 9_842, "test": 9_824}),
    "paws_wiki": ("paws_wiki", {"train": 8_000, "test": 8_000}),
    "wnut17": ("wnut17", {"train": 3_394, "validation": 1_009, "test": 1_287}),
    "squad": ("squad_v1", {None: 10_570}),
    "scitldr": ("scitldr_a", {"train": 1_992, "validation": 619, "test": 618}),
}


def real(spark: SparkSession, tmp_path: Path, name: str) -> tuple[DataConfig, Any]:
    """The sources of a ready configuration, which look for their files beside the checkout, at their place on this machine."""
    folder, _ = REAL[name]
    if not (SHARED / folder).is_dir():
        pytest.skip(f"{folder} is not at {SHARED}: set SPARKNLP_FT_SHARED_DATA to the folder that holds it")
    base = tmp_path / "checkout"
    base.mkdir()
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "data").symlink_to(SHARED, target_is_directory=True)
    data = load_config(ROOT / "conf" / f"{name}.yaml", base_dir=base).data
    return data, read_sources(spark, data.sources, scratch=Folder(str(tmp_path / "scratch")), split_column=data.split_column)


@pytest.mark.parametrize("name", REAL)
def test_real_sets_whole(spark: SparkSession, tmp_path: Path, name: str) -> None:
    expected = REAL[name][1]
    data, reading = real(spark, tmp_path, name)
    with reading as loaded:
        frame = combined(loaded, data, get_task(data.task))
        assert not set(PLACE) & set(frame.columns)
        counts = {row[0]: row[1] for row in frame.groupBy("split").count().collect()}
        target = get_task(data.task).target_role
        assert frame.where(frame[target].isNull()).isEmpty()
        if name == "goemotions":
            names = (SHARED / "goemotions" / "labels.txt").read_text().split()
            assert {row[0] for row in frame.selectExpr("explode(labels)").distinct().collect()} == set(names)
            several = frame.where("size(labels) > 1").groupBy("split").count().collect()
            assert {row[0]: row[1] for row in several} == {"train": 7_102, "validation": 878, "test": 837}
        if name == "wnut17":
            tokens = frame.selectExpr("split", "size(split(text, ' ')) as n").groupBy("split").sum("n").collect()
            assert {row[0]: row[1] for row in tokens} == {"train": 62_730, "validation": 15_733, "test": 23_394}
        if name == "sms_spam":
            assert {row[0]: row[1] for row in frame.groupBy("label").count().collect()} == {"ham": 4_827, "spam": 747}
    assert sum(counts.values()) == sum(expected.values())
    assert set(counts) == {"train", "test"} if None in expected else counts == expected


SAMPLES: dict[str, tuple[dict[str, Any], dict[str, Any], int]] = {
    "MRPC_train.csv": ({"format": "csv"}, {"columns": {"text": "sentence1", "text_pair": "sentence2"}}, 6),
    "MRPC_train.tsv": (
        {"format": "tsv", "quote": None, "label_map": ["different", "same"]},
        {"columns": {"label": "Quality", "text": "#1 String", "text_pair": "#2 String"}},
        6,
    ),
    "STS-B_train.tsv": (
        {"format": "tsv", "quote": None},
        {"task": "regression", "columns": {"target": "score", "text": "sentence1", "text_pair": "sentence2"}},
        9,
    ),
    "SQUAD_sample.json": ({"format": "squad"}, {"task": "question_answering"}, 14),
    "conll_sample.json": ({"format": "json", "entities": {"tokens": "words", "tags": "ner"}}, {"task": "token_classification"}, 10),
    "GermEval_train.txt": ({"format": "conll"}, {"task": "token_classification"}, 11),
    "xsum_sample.json": ({"format": "json"}, {"task": "summarization", "columns": {"text": "document"}}, 10),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_in_their_published_forms(spark: SparkSession, tmp_path: Path, name: str) -> None:
    path = SHARED / "transformers_fixtures" / name
    if not path.is_file():
        pytest.skip(f"{name} is not at {path.parent}: set SPARKNLP_FT_SHARED_DATA to the folder that holds transformers_fixtures")
    source, data, count = SAMPLES[name]
    with ingested(spark, tmp_path, {**source, "path": str(path)}, **data) as (_, frame):
        assert frame.count() == count
        task = get_task(data.get("task", "classification"))
        assert {*task.text_roles, task.target_role} <= set(frame.columns)
        assert frame.where(frame[task.target_role].isNull()).isEmpty()
