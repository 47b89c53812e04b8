"""The snapshot's files, written by a worker: every row once, in order, in row groups of equal size, however rows arrive."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sparknlp_ft.snapshot import encode
from sparknlp_ft.snapshot.encode import EncodePlan, Teacher, encode_files, token_lengths
from sparknlp_ft.snapshot.manifest import split_target


class Letters:
    """Stands in for the encoder: a token per letter."""

    def tokenize(self, texts: Sequence[str]) -> list[np.ndarray]:
        return [np.frombuffer(text.encode("utf-32-le"), dtype="<i4") for text in texts]


def batches(rows: Sequence[tuple], sizes: int) -> Iterator[pa.RecordBatch]:
    names, types = ("file", "row", "text", "pair", "target"), (pa.int32(), pa.int64(), pa.string(), pa.string(), pa.string())
    for start in range(0, len(rows), sizes):
        columns = list(zip(*rows[start : start + sizes], strict=True))
        yield pa.RecordBatch.from_arrays([pa.array(one, kind) for one, kind in zip(columns, types, strict=True)], list(names))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(counts=st.lists(st.integers(0, 25), min_size=1, max_size=5), sizes=st.integers(1, 30), pairs=st.booleans())
def test_files_hold_the_rows_whatever_the_batches(
    tmp_path_factory: pytest.TempPathFactory, counts: list[int], sizes: int, pairs: bool
) -> None:
    folder = tmp_path_factory.mktemp("snapshot")
    numbers = [number for number, count in enumerate(counts) for _ in range(count)]
    rows = [(file, row, "x" * (row % 7), "y" * (row % 3) if pairs else None, "b" if row % 2 else "a") for row, file in enumerate(numbers)]
    plan = EncodePlan(str(folder), tuple(f"lane={n}/part" for n in range(len(counts))), "classification", ("a", "b"), "f")
    before, encode.GROUP_ROWS = encode.GROUP_ROWS, 8
    try:
        infos = [json.loads(one) for batch in encode_files(batches(rows, sizes), plan, Letters()) for one in batch.column(0).to_pylist()]
    finally:
        encode.GROUP_ROWS = before
    assert [info["file"] for info in infos] == [n for n, count in enumerate(counts) if count]
    for info in infos:
        count = counts[info["file"]]
        assert info["row_groups"] == [8] * (count // 8) + ([count % 8] if count % 8 else [])
        table = pq.ParquetFile(folder / info["path"]).read()
        mine = [row for row in rows if row[0] == info["file"]]
        assert table.schema.equals(encode.SCHEMA)
        assert table["row"].to_pylist() == [row[1] for row in mine]
        assert table["length"].to_pylist() == [len(row[2]) + len(row[3] or "") for row in mine]
        assert [len(packed) for packed in table["ids"].to_pylist()] == [4 * len(row[2]) for row in mine]
        assert [len(packed) for packed in table["pair"].to_pylist()] == [4 * len(row[3] or "") for row in mine]
        assert [int(np.frombuffer(packed, "<i4")[0]) for packed in table["target"].to_pylist()] == [row[1] % 2 for row in mine]
        assert sum(info["histogram"].values()) == count
        assert info["path"].startswith(f"{plan.files[info['file']]}-")
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()) == sorted(info["path"] for info in infos)


def test_a_teacher_says_something_of_each_row_of_train_and_of_no_other(tmp_path: Path) -> None:
    def teach(texts: Sequence[Sequence[str]], rows: Sequence[int]) -> np.ndarray:
        return np.asarray([[len(text), row] for text, row in zip(texts[0], rows, strict=True)], dtype=np.float64)

    teacher = Teacher("teacher", "digest", ("a", "b"), ("text",), 2, teach)
    plan = EncodePlan(
        str(tmp_path), ("split=train/lane=0/part", "split=validation/lane=0/part"), "classification", ("a", "b"), "f", teacher
    )
    rows = [(0, 7, "xxx", None, "b"), (0, 8, "x", None, None), (1, 9, "xx", None, "a")]
    infos = [json.loads(one) for batch in encode_files(batches(rows, 2), plan, Letters()) for one in batch.column(0).to_pylist()]
    train, validation = (pq.ParquetFile(tmp_path / info["path"]).read()["target"].to_pylist() for info in infos)
    parts = [split_target(packed, 2) for packed in train]
    assert [np.frombuffer(target, "<i4").tolist() for target, _ in parts] == [[1], []]
    assert [np.frombuffer(lesson, "<f4").tolist() for _, lesson in parts] == [[3.0, 7.0], [1.0, 8.0]]
    assert [np.frombuffer(target, "<i4").tolist() for target in validation] == [[0]]


def test_lengths_are_counted_over_all_texts_of_a_row() -> None:
    batch = pa.RecordBatch.from_arrays([pa.array(["ab", "", "ab"]), pa.array(["c", "", "d"])], ["text", "text_pair"])
    (counted,) = token_lengths(iter([batch]), Letters())
    assert dict(zip(counted["length"].to_pylist(), counted["rows"].to_pylist(), strict=True)) == {3: 2, 0: 1}
