"""Whatever is wrong with the input: exit code 2, one paragraph that says what to do, and nothing written."""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sparknlp_ft.cli import main
from tests.tiny import tiny_model_dir

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SCHEMA = "id bigint, text string, label string, split string"
GOOD = [(i, f"my card {i}", "card" if i % 2 else "money", "test" if i % 5 == 0 else "train") for i in range(40)]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model_dir(tmp_path_factory.mktemp("base"))


@pytest.fixture
def job(spark: SparkSession, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Write rows as the table 'tickets', run a command on it, and return exit code and message."""

    def run(*overrides: str, rows: list[tuple] | None = GOOD, schema: str = SCHEMA, command: str = "train") -> tuple[int, str]:
        if rows is not None:
            spark.createDataFrame(rows, schema).write.format("delta").save(str(tmp_path / "lake" / "tickets"))
        settings = [
            "data.table=tickets",
            f"data.root={tmp_path / 'lake'}",
            f"model.base={base}",
            "text.max_length=32",
            f"launch.run_dir={tmp_path / 'runs'}",
            f"tracking.uri=sqlite:///{tmp_path}/store/mlflow.db",
        ]
        code = main([command, *settings, *overrides])
        return code, capsys.readouterr().err

    return run


def one_paragraph(err: str) -> str:
    """Return the message; fails if there is none, or if it is more than a paragraph or a traceback."""
    message = next(line for line in err.splitlines() if line.startswith("sparknlp-ft "))
    assert "Traceback" not in err
    assert err.rstrip().endswith(message)
    return message


def nothing_written(folder: Path) -> bool:
    written = {path.name for path in folder.rglob("*")} - {"store", "mlflow.db"}
    return not any(name in ("manifest.json", "events") or name.endswith("_predictions") for name in written)


ROWS_THAT_DO_NOT_FIT = {
    "NULL key": ([(None, "a", "card", "train"), *GOOD], "id"),
    "duplicate key": ([*GOOD, GOOD[0]], "id"),
    "empty table": ([], "empty"),
    "single class": ([(i, f"t {i}", "card", "train") for i in range(20)], "at least 2 labels"),
    "label unseen in train": ([*GOOD, (99, "x", "crad", "test")], "crad"),
}


@pytest.mark.parametrize("case", ROWS_THAT_DO_NOT_FIT)
def test_rows_that_do_not_fit(job: Callable[..., tuple[int, str]], tmp_path: Path, case: str) -> None:
    rows, expected = ROWS_THAT_DO_NOT_FIT[case]
    code, err = job(rows=rows)
    assert code == 2
    assert expected in one_paragraph(err)
    assert nothing_written(tmp_path)


def parquet_cut_short() -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"text": ["a"] * 1000}), sink)
    return sink.getvalue()[:-60]


ANSWERS = [{"id": f"q{n}", "question": "?", "context": "a b", "answers": {"text": ["b"], "answer_start": [n]}} for n in range(2)]
SOURCES_THAT_DO_NOT_FIT = {
    "answers out of place": ("squad", "question_answering", json.dumps({"data": ANSWERS}).encode(), "2 rows do not fit: .*q0.*q1"),
    "a JSON key twice": ("jsonl", "classification", b'{"text": "a", "text": "b"}', "line 1: an object has the key 'text' twice"),
    "Parquet cut short": ("parquet", "classification", parquet_cut_short(), "was cut short"),
    "wrong delimiter": ("csv", "classification", b"text;label\na;x\n", "';' would make 2 of it"),
    "UTF-16": ("csv", "classification", "text,label\na,x\n".encode("utf-16"), "is UTF-16 by its byte-order mark"),
    "NULL and repeated keys": ("csv", "classification", b"id,text\n1,a\n,b\n1,c\n", "NULL in 1 of 3 rows.* not unique: 1 value.*'1'"),
}


@pytest.mark.parametrize("case", SOURCES_THAT_DO_NOT_FIT)
def test_sources_that_do_not_fit(spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str) -> None:
    kind, task, content, expected = SOURCES_THAT_DO_NOT_FIT[case]
    file = tmp_path / f"a.{'json' if kind == 'squad' else kind}"
    file.write_bytes(content)
    sources = json.dumps([{"format": kind, "path": str(file)}])
    code = main(["ingest", "data.table=t", f"data.root={tmp_path / 'lake'}", f"data.task={task}", f"data.sources={sources}"])
    assert code == 2
    assert re.search(expected, one_paragraph(capsys.readouterr().err))
    assert not (tmp_path / "lake").exists()


SETTINGS_THAT_DO_NOT_FIT = {
    "missing key column": ("data.key=idd", "Did you mean 'id'?"),
    "mistyped key": ("train.epoch=2", "Did you mean 'epochs'?"),
    "mistyped value": ("train.epochs=few", "train.epochs: 'few'"),
    "no such table": ("data.table=tickest", "Did you mean 'tickets'?"),
    "no such version": ("data.version=7", "version 7"),
    "no such model folder": ("model.base=/no/such/folder", "/no/such/folder"),
    "more ranks than slots": ("launch.ranks=7", "7 ranks"),
}


@pytest.mark.parametrize("case", SETTINGS_THAT_DO_NOT_FIT)
def test_settings_that_do_not_fit(job: Callable[..., tuple[int, str]], tmp_path: Path, case: str) -> None:
    override, expected = SETTINGS_THAT_DO_NOT_FIT[case]
    code, err = job(override)
    assert code == 2
    assert expected in err
    assert "Traceback" not in err
    assert nothing_written(tmp_path)


def test_a_missing_column_is_named_with_the_nearest(job: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    code, err = job("data.columns.text=bodi", schema="id bigint, body string, label string, split string")
    assert code == 2
    assert "Did you mean 'body'?" in one_paragraph(err)
    assert nothing_written(tmp_path)


def test_a_folder_that_is_not_delta(job: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    (tmp_path / "lake" / "tickets").mkdir(parents=True)
    (tmp_path / "lake" / "tickets" / "rows.csv").write_text("id,text,label\n1,a,b\n")
    code, err = job(rows=None)
    assert code == 2
    assert "Delta" in one_paragraph(err)
    assert nothing_written(tmp_path)


def test_a_model_folder_without_safetensors(job: Callable[..., tuple[int, str]], base: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(base, broken, ignore=shutil.ignore_patterns("*.safetensors"))
    (broken / "pytorch_model.bin").write_bytes(b"\x80")
    code, err = job(f"model.base={broken}")
    assert code == 2
    assert "safetensors" in one_paragraph(err)
    assert nothing_written(tmp_path)


def test_scoring_without_a_model(job: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    code, err = job(command="score")
    assert code == 2
    assert "sparknlp-ft train" in one_paragraph(err)
    assert nothing_written(tmp_path)
