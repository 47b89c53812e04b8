"""The contract of a table: roles, keys, labels, splits and valid text, each breach with its own words."""

from __future__ import annotations

import random
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparknlp_ft.config import DataConfig
from sparknlp_ft.errors import ConfigError, DataError
from sparknlp_ft.tables import contracts
from sparknlp_ft.tables.contracts import Roles
from sparknlp_ft.tables.cut import cut_of, with_split
from sparknlp_ft.tables.input_hash import INPUT_HASH, with_input_hash
from sparknlp_ft.tables.targets import label_value
from sparknlp_ft.tasks import get_task

TASK = get_task("classification")
SCHEMA = "id int, body string, intent string, split string"


def data(**changes: Any) -> DataConfig:
    return DataConfig(**{"table": "t", "columns": {"text": "body", "label": "intent"}, **changes})


def roles_of(df: DataFrame, **changes: Any) -> Roles:
    return contracts.resolve_roles(df, data(**changes), TASK, need_target=True)


@pytest.fixture(scope="module")
def df(spark: SparkSession) -> DataFrame:
    return spark.createDataFrame([(1, "a", "x", "train"), (2, "b", "y", "test"), (3, "c", "x", "hold")], SCHEMA)


def test_roles_are_mapped_to_columns(df: DataFrame) -> None:
    assert roles_of(df, key=["id", "split"]) == Roles((("text", "body"),), "intent", ("id", "split"), "split")
    assert roles_of(df, split_column=None).split is None


def test_a_renamed_column_is_found_under_its_role(df: DataFrame) -> None:
    ingested = df.withColumnsRenamed({"body": "text", "intent": "label"})
    assert roles_of(ingested) == Roles((("text", "text"),), "label", ("id",), "split")


def test_a_second_text_counts_where_the_table_has_it(df: DataFrame) -> None:
    assert roles_of(df.withColumn("text_pair", F.col("body"))).texts == (("text", "body"), ("text_pair", "text_pair"))


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"columns": {"text": "boddy", "label": "intent"}}, DataError, "'boddy' for role 'text'.*Did you mean 'body'"),
        ({"columns": {"text": "body"}}, DataError, "'label' for role 'label'.*data.columns.label=COLUMN"),
        ({"columns": {"txt": "body"}}, ConfigError, "'txt' is not a role.*Did you mean 'text'"),
        ({"columns": {"text": "body", "label": "intent", "text_pair": "other"}}, DataError, "'other' for role 'text_pair'"),
        ({"key": ["idd"]}, DataError, "key column 'idd'.*Did you mean 'id'"),
        ({"columns": {"text": "id", "label": "intent"}}, DataError, "text column 'id' is of type int; expected string"),
    ],
)
def test_a_column_that_does_not_fit_is_named(df: DataFrame, changes: dict[str, Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=f"(?s){message}"):
        roles_of(df, **changes)


def test_keys_are_counted_and_proved(spark: SparkSession) -> None:
    schema = "a int, b string, text string"
    keyed = Roles((("text", "text"),), None, ("a", "b"), None)
    good = spark.createDataFrame([(1, "x", ""), (1, "y", ""), (2, "x", "")], schema)
    assert contracts.check_keys(good, keyed) == 3
    with pytest.raises(DataError, match=r"'a, b' is not unique: 1 value\(s\).*\(1, 'x'\)"):
        contracts.check_keys(good.union(good.limit(1)), keyed)
    with pytest.raises(DataError, match="NULL in 2 of 5 rows"):
        contracts.check_keys(good.union(spark.createDataFrame([(None, "x", ""), (None, "x", "")], schema)), keyed)
    with pytest.raises(DataError, match="empty"):
        contracts.check_keys(good.limit(0), keyed)


def test_labels_may_be_string_integer_or_boolean(spark: SparkSession) -> None:
    labels = spark.createDataFrame(
        [("a", 1, True, 0.5), (" ", None, None, None), (None, 3, False, 1.0)], "s string, i int, b boolean, d double"
    )
    found = labels.select(*[label_value(labels, name).alias(name) for name in "sib"]).collect()
    assert [tuple(row) for row in found] == [("a", "1", "true"), (None, None, None), (None, "3", "false")]
    with pytest.raises(DataError, match="'d' is of type double; expected string, integer or boolean"):
        label_value(labels, "d")


def test_splits_keep_their_rows(df: DataFrame) -> None:
    named = with_split(df, roles_of(df), data(validation_split="hold"))
    assert [row[contracts.SPLIT] for row in named.orderBy("id").collect()] == ["train", "test", "validation"]
    other = with_split(df, roles_of(df), data(validation_fraction=0.5)).orderBy("id").collect()
    assert [row[contracts.SPLIT] for row in other][1:] == ["test", "other"]
    assert other[0][contracts.SPLIT] in {"train", "validation"}


def test_equal_texts_fall_on_one_side_of_the_cut(spark: SparkSession) -> None:
    rng = random.Random(0)
    blanks = [" ", "  ", "\t", "\n", "\u00a0", " \r\n "]
    rows = []
    for number in range(3000):
        words = [str(number), "word", "other"]
        rows += [(number, rng.choice(blanks).join(words) + rng.choice(["", *blanks]), rng.choice([None, "", " "])) for _ in range(3)]
    pairs = spark.createDataFrame(rows, "number int, text string, text_pair string")
    for roles in (
        Roles((("text", "text"),), None, ("number",), None),
        Roles((("text", "text"), ("text_pair", "text_pair")), None, ("number",), None),
    ):
        cut = with_split(pairs, roles, data(validation_fraction=0.2))
        sides = cut.groupBy("number").agg(F.count_distinct(contracts.SPLIT).alias("sides"), F.first(contracts.SPLIT).alias("side"))
        assert sides.where("sides > 1").count() == 0
        assert 0.15 < sides.where("side = 'validation'").count() / 3000 < 0.25


def test_both_texts_of_a_pair_decide_its_side(spark: SparkSession) -> None:
    pairs = spark.range(400).selectExpr("id AS number", "'the same' AS text", "concat('other ', id) AS text_pair")
    roles = Roles((("text", "text"), ("text_pair", "text_pair")), None, ("number",), None)
    cut = with_split(pairs, roles, data(validation_fraction=0.5))
    assert 100 < cut.where(f"{contracts.SPLIT} = 'validation'").count() < 300


def test_of_a_small_table_validation_gets_more_rows_and_its_part_of_each_label(spark: SparkSession) -> None:
    rows = [(i, f"text {i // 2}", "rare" if i // 2 % 10 == 0 else "often", "train") for i in range(400)]
    df = spark.createDataFrame(rows, SCHEMA)
    roles = roles_of(df)
    cut = with_split(df, roles, data())
    counts = {(row[0], row[1]): row[2] for row in cut.groupBy(contracts.SPLIT, "intent").count().collect()}
    assert counts["validation", "often"] + counts["validation", "rare"] == pytest.approx(80, abs=2)
    assert counts["validation", "rare"] == pytest.approx(8, abs=2)
    assert cut.groupBy("body").agg(F.count_distinct(contracts.SPLIT).alias("sides")).where("sides > 1").count() == 0
    assert with_split(df, roles, data(), cut=cut_of(df, roles, data())).exceptAll(cut).isEmpty()
    assert with_split(df.where("id < 2"), roles, data()).where(f"{contracts.SPLIT} = 'validation'").isEmpty()


def test_bad_bytes_are_mended_before_python_sees_them(spark: SparkSession) -> None:
    bad = spark.sql("SELECT cast(x'68C3A9' AS string) AS text UNION ALL SELECT cast(x'6180FF62' AS string) UNION ALL SELECT NULL")
    rows = bad.select(contracts.clean_text(F.col("text")).alias("text"), contracts.is_mended(F.col("text")).alias("mended")).collect()
    assert [tuple(row) for row in rows] == [("hé", False), ("a\ufffd\ufffdb", True), (None, False)]


@pytest.mark.parametrize(
    ("text", "blank"), [(None, True), ("", True), (" \t\n\u00a0\u2003", True), ("a", False), (" \u05d0 ", False), ("🙂", False)]
)
def test_blank_is_white_space_of_any_kind(spark: SparkSession, text: str | None, blank: bool) -> None:
    row = spark.createDataFrame([(text,)], "text string").select(contracts.is_blank(F.col("text"))).first()
    assert row is not None
    assert row[0] is blank


def test_the_input_hash_tells_all_inputs_apart(spark: SparkSession) -> None:
    inputs = [
        ("a", "b"),
        ("b", "a"),
        ("ab", ""),
        ("ab", None),
        (None, "ab"),
        ("", "ab"),
        ("a", None),
        (None, "a"),
        (None, None),
        ("", ""),
        ("null", None),
    ]
    inputs += [('a","text_pair":"b', None), ("a", 'b"'), (" a", "b")]
    rows = spark.createDataFrame([(*pair, "x") for pair in inputs], "text string, text_pair string, extra string")
    roles = Roles((("text", "text"), ("text_pair", "text_pair")), None, ("text",), None)
    hashes = [row[INPUT_HASH] for row in with_input_hash(rows, roles).collect()]
    assert len(set(hashes)) == len(inputs)
    # The same whatever the columns are called, and whatever else a row holds.
    renamed = rows.withColumn("extra", F.lit("y")).withColumnsRenamed({"text": "body", "text_pair": "other"})
    roles = Roles((("text", "body"), ("text_pair", "other")), None, ("body",), None)
    assert [row[INPUT_HASH] for row in with_input_hash(renamed, roles).collect()] == hashes


def test_test_rows_are_the_same_whatever_is_cut_for_validation(spark: SparkSession) -> None:
    rows = spark.range(2000).selectExpr("id", "concat('text ', id % 500) AS text", "'train' AS split")
    plain, split = (Roles((("text", "text"),), None, ("id",), name) for name in (None, "split"))

    def tests(roles: Roles, **settings: object) -> set[int]:
        cut = with_split(rows, roles, data(**settings))
        return {row["id"] for row in cut.where(f"{contracts.SPLIT} = 'test'").select("id").collect()}

    default = tests(plain, validation_fraction=0.1)
    assert 40 < len(default) < 200 and default == tests(plain, validation_fraction=0.5)
    assert {number % 500 for number in default}.isdisjoint({number % 500 for number in set(range(2000)) - default})
    assert tests(split) == set() and tests(plain, test_fraction=0.0) == set()
    assert tests(split, test_fraction=0.05) == default < tests(plain, test_fraction=0.2)
