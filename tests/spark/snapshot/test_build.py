"""The snapshot: each usable row once, under the right split and lane, with the very ids that scoring would compute."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from sparknlp_ft.config import Config, TextConfig
from sparknlp_ft.errors import DataError
from sparknlp_ft.snapshot import build as snapshot
from sparknlp_ft.snapshot.manifest import COLUMNS, Manifest
from sparknlp_ft.tables import contracts
from sparknlp_ft.tables.delta import Pinned, TableRef, create, delta_table, pin
from sparknlp_ft.tables.survey import survey
from sparknlp_ft.tasks import get_task
from sparknlp_ft.tasks.families.regression import Regression
from sparknlp_ft.text.encoder import TextEncoder
from tests.tiny import tiny_model_dir, tiny_texts

TASK = get_task("classification")
SCHEMA = "id long, text string, label string, split string"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model_dir(tmp_path_factory.mktemp("base"))


def config(root: Path, *, lanes: int = 4, **data: Any) -> Config:
    return Config(data={"table": "t", "root": str(root), **data}, train={"lanes": lanes, "batch_size": 8}, launch={"ranks": 1})


def stored(spark: SparkSession, root: Path, rows: list[tuple], schema: str = SCHEMA) -> Pinned:
    ref = TableRef.parse("t", str(root))
    create(spark.createDataFrame(rows, schema), ref, properties={"delta.enableDeletionVectors": "true"}, mode="overwrite")
    return pin(spark, ref)


def build(spark: SparkSession, root: Path, base: Path, rows: list[tuple], schema: str = SCHEMA, **options: Any) -> Manifest:
    return snapshot.build_snapshot(spark, stored(spark, root, rows, schema), config(root, **options), TASK, base)


def labelled(rows: int, *, split: str | None = "train", first: int = 0) -> list[tuple]:
    return [(first + n, text, f"label {n % 3}", split) for n, text in enumerate(tiny_texts(rows, seed=first))]


def content(manifest: Manifest, split: str) -> list[list[dict]]:
    """Rows of each lane, in the order of the manifest's files; checks each file against the manifest on the way."""
    lanes = []
    for lane in manifest.splits[split].lanes:
        rows: list[dict] = []
        for file in lane:
            path = Path(manifest.path) / file.path
            footer = pq.read_metadata(path)
            assert tuple(footer.row_group(i).num_rows for i in range(footer.num_row_groups)) == file.row_groups
            table = pq.ParquetFile(path).read()
            assert tuple(table.column_names) == COLUMNS
            assert not any(column.null_count for column in table.columns)
            rows += table.to_pylist()
        lanes.append(rows)
    return lanes


def ids(packed: bytes) -> list[int]:
    return np.frombuffer(packed, dtype="<i4").tolist()


def test_every_row_once_with_the_ids_of_the_encoder(spark: SparkSession, tmp_path: Path, base: Path) -> None:
    rows = [*labelled(157), *labelled(41, split="test", first=1000)]
    manifest = build(spark, tmp_path, base, rows, validation_fraction=0.2)
    assert manifest.labels == ("label 0", "label 1", "label 2")
    assert set(manifest.splits) == {"train", "validation", "test"}
    assert manifest.splits["train"].rows + manifest.splits["validation"].rows == 157
    assert manifest.splits["test"].rows == 41
    encoder = TextEncoder.load(base, TextConfig(max_length=16))
    hashes = {row.hash: row.id for row in spark.createDataFrame(rows, SCHEMA).select("id", F.xxhash64("id").alias("hash")).collect()}
    expected = {
        row[0]: (tokens.tolist(), int(row[2][-1])) for row, tokens in zip(rows, encoder.tokenize([row[1] for row in rows]), strict=True)
    }
    found = {}
    for split in manifest.splits:
        lanes = content(manifest, split)
        assert tuple(map(len, lanes)) == manifest.splits[split].lane_rows
        for lane in lanes:
            assert [row["row"] for row in lane] == sorted(row["row"] for row in lane)
            for row in lane:
                assert hashes[row["row"]] not in found
                assert (row["pair"], row["length"]) == (b"", len(ids(row["ids"])))
                found[hashes[row["row"]]] = (ids(row["ids"]), TASK.decode_target(row["target"]))
    assert found == expected
    histogram = Counter(2 ** int(np.ceil(np.log2(max(len(tokens), 1)))) for tokens, _ in expected.values())
    counted: Counter[int] = Counter()
    for one in manifest.splits.values():
        counted.update({int(size): rows_ for size, rows_ in one.length_histogram.items()})
    assert counted == histogram
    train = Counter(manifest.labels[int(np.frombuffer(row["target"], "<i4")[0])] for lane in content(manifest, "train") for row in lane)
    assert train == Counter(manifest.statistics.label_counts)


def test_a_snapshot_is_built_once_and_never_stale(spark: SparkSession, tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pinned = stored(spark, tmp_path, labelled(60))
    made = config(tmp_path, validation_fraction=0.3)
    first = snapshot.build_snapshot(spark, pinned, made, TASK, base)
    stamp = (Path(first.path) / "manifest.json").stat().st_mtime_ns
    same = made.model_copy(update={"train": made.train.model_copy(update={"seed": 7, "epochs": 9}), "text": TextConfig(max_length=99)})
    again = snapshot.build_snapshot(spark, pinned, same, TASK, base)
    assert (again, (Path(again.path) / "manifest.json").stat().st_mtime_ns) == (first, stamp)
    # Another version, another cut, other lanes, another tokenizer: other snapshots.
    delta_table(spark, pinned.ref).delete(F.col("id") < 10)
    tokenizer = tmp_path / "other"
    shutil.copytree(base, tokenizer)
    (tokenizer / "vocab.txt").write_text("changed")
    (tokenizer / "tokenizer.json").write_text((tokenizer / "tokenizer.json").read_text() + "\n")
    others = [
        snapshot.build_snapshot(spark, pin(spark, pinned.ref), made, TASK, base),
        snapshot.build_snapshot(spark, pinned, config(tmp_path, validation_fraction=0.4), TASK, base),
        snapshot.build_snapshot(spark, pinned, config(tmp_path, validation_fraction=0.3, lanes=2), TASK, base),
        snapshot.build_snapshot(spark, pinned, made, TASK, tokenizer),
    ]
    assert len({one.path for one in [first, *others]}) == 5
    assert [sum(split.rows for split in one.splits.values()) for one in others] == [50, 60, 60, 60]  # a deleted row is not read again
    # A file of it lost: built again.
    lost = Path(first.path) / first.splits["train"].lanes[0][0].path
    lost.unlink()
    anew = snapshot.build_snapshot(spark, pinned, made, TASK, base)
    assert (anew.path, anew.splits["train"].lane_rows) == (first.path, first.splits["train"].lane_rows) and content(anew, "train")
    assert not lost.parent.parent.parent.exists(), "what is left of the broken one is gone"
    assert sorted(path.name for path in Path(first.path).parent.iterdir()) == sorted(Path(one.path).name for one in [first, *others])


def test_large_lanes_have_several_files_and_row_groups(
    spark: SparkSession, tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "FILE_ROWS", 40)
    rows = [(n, f"text {n}", f"label {n % 2}", "train") for n in range(1000)]
    manifest = build(spark, tmp_path, base, rows, lanes=2)
    train = manifest.splits["train"]
    assert all(len(lane) > 5 for lane in train.lanes)
    assert max(file.rows for lane in train.lanes for file in lane) < 100
    lanes = content(manifest, "train")
    assert all([row["row"] for row in lane] == sorted(row["row"] for row in lane) for lane in lanes)
    every = {row["row"] for split in manifest.splits for lane in content(manifest, split) for row in lane}
    assert len(every) == 1000


def test_rows_without_text_or_label_are_left_out_and_counted(spark: SparkSession, tmp_path: Path, base: Path) -> None:
    rows = labelled(40)
    rows += [(100, None, "label 0", "train"), (101, " \t\u00a0", "label 0", "train"), (102, "a", None, "train"), (103, "a", " ", "test")]
    rows += [(104, "a", "label 1", "elsewhere"), (105, "a", "label 1", None), (106, "the last", "label 1", "test")]
    manifest = build(spark, tmp_path, base, rows, validation_fraction=0.2)
    assert manifest.left_out == {
        "train: text is NULL or blank": 2,
        "train: label is NULL or blank": 1,
        "test: label is NULL or blank": 1,
        "in another split": 2,
    }
    assert sum(split.rows for split in manifest.splits.values()) == 41
    assert Manifest.load(manifest.path) == manifest


def test_pairs_keep_both_texts(spark: SparkSession, tmp_path: Path, base: Path) -> None:
    first, second = tiny_texts(30, seed=1), tiny_texts(30, seed=2)
    rows = [(f"k{n}", n % 5, first[n], second[n], n % 2 == 0) for n in range(30)]
    rows += [("x", 0, "a", None, True)]
    schema = "k string, n int, premise string, hypothesis string, same boolean"
    columns = {"text": "premise", "text_pair": "hypothesis", "label": "same"}
    manifest = build(spark, tmp_path, base, rows, schema, key=["k", "n"], columns=columns, validation_fraction=0.2)
    assert (manifest.has_pair, manifest.labels, sum(manifest.left_out.values())) == (True, ("false", "true"), 1)
    encoder = TextEncoder.load(base, TextConfig(max_length=16))
    expected = sorted((a.tolist(), b.tolist()) for a, b in zip(encoder.tokenize(first), encoder.tokenize(second), strict=True))
    found = [row for split in manifest.splits for lane in content(manifest, split) for row in lane]
    assert sorted((ids(row["ids"]), ids(row["pair"])) for row in found) == expected
    assert all(row["length"] == len(ids(row["ids"])) + len(ids(row["pair"])) for row in found)


def test_hard_texts_come_through(spark: SparkSession, tmp_path: Path, base: Path) -> None:
    texts = ["🙂 emoji", "\u05e9\u05dc\u05d5\u05dd right to left", "with \u0000 NUL", "the card " * 12_000, "\u0000", "a" * 100_000]
    rows = [*labelled(30), *[(100 + n, text, "label 0", "test") for n, text in enumerate(texts)]]
    manifest = build(spark, tmp_path, base, rows, validation_fraction=0.3)
    assert manifest.splits["test"].rows == len(texts)
    assert max(row["length"] for lane in content(manifest, "test") for row in lane) == 24_000


def test_a_table_s_own_validation_rows_are_kept(spark: SparkSession, tmp_path: Path, base: Path) -> None:
    manifest = build(spark, tmp_path, base, [*labelled(50), (99, "only one", "label 0", "validation")], lanes=4)
    assert {name: split.rows for name, split in manifest.splits.items()} == {"train": 50, "validation": 1}


def test_a_label_whose_rows_all_fell_into_the_cut_is_still_known(spark: SparkSession, tmp_path: Path, base: Path) -> None:
    rows = [(n, f"text {n}", f"label {n}", "train") for n in range(40)]
    manifest = build(spark, tmp_path, base, rows, validation_fraction=0.5)
    assert len(manifest.labels) == 40
    assert len(manifest.statistics.label_counts) == manifest.splits["train"].rows < 40


def test_numbers_far_from_zero_keep_their_deviation(spark: SparkSession, tmp_path: Path) -> None:
    numbers = [1e9 + n % 7 / 1000 for n in range(200)]
    rows = [(n, f"text {n}", number, "train") for n, number in enumerate(numbers)]
    df, settings, task = spark.createDataFrame(rows, "id long, text string, target double, split string"), config(tmp_path), Regression()
    roles = contracts.resolve_roles(df, settings.data, task, need_target=True)
    whole = survey(df.unionAll(df.limit(1).withColumn("split", F.lit("validation"))), roles, settings, task).statistics
    assert whole.mean == pytest.approx(np.mean(numbers), rel=1e-15)
    assert whole.deviation == pytest.approx(np.std(numbers), rel=1e-4)


BAD: dict[str, tuple[list[tuple], str]] = {
    "empty table": ([], "empty"),
    "repeated keys": ([*labelled(5), *labelled(1)], "not unique"),
    "NULL key": ([*labelled(5), (None, "a", "label 0", "train")], "NULL in 1 of 6"),
    "one label": ([(n, f"t {n}", "only", "train") for n in range(9)], "at least 2 labels"),
    "unseen in test": (
        [*labelled(30), (99, "a", "label 7", "test")],
        r"label\(s\) 'label 7' stand in 1 row\(s\) of test and in none of train",
    ),
    "unseen in validation": ([*labelled(30), (99, "a", "lable 1", "validation")], "Did you mean 'label 1'"),
    "no train rows": (labelled(9, split="trian"), "no row of split 'train'"),
    "no label at all": ([(n, "t", None, "train") for n in range(9)], "nothing to train on"),
    "too few to cut": ([(0, "one", "a", "train"), (1, "two", "b", "train")], "leave no row for"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_table_that_breaks_the_contract_is_refused_and_nothing_written(
    spark: SparkSession, tmp_path: Path, base: Path, case: str
) -> None:
    rows, message = BAD[case]
    with pytest.raises(DataError, match=message):
        build(spark, tmp_path, base, rows)
    assert not (tmp_path / "_snapshots").exists()


def test_a_worker_that_fails_leaves_no_snapshot(spark: SparkSession, tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> None:
        raise ValueError("no luck")

    monkeypatch.setattr(snapshot, "tokenizing_encoder", failing)
    with pytest.raises(Exception, match="no luck"):
        build(spark, tmp_path, base, labelled(40), validation_fraction=0.3)
    assert not list((tmp_path / "_snapshots").glob("*"))
