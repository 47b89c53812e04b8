"""Target columns: what each kind of target looks like in a table, and the string that a task reads it from.

A kind gives two things of a row: its *value*, a string (JSON unless it is a plain label or number), NULL where there is no
target; and its *labels*, what of it is counted by name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparknlp_ft.errors import DataError
from sparknlp_ft.tables.contracts import is_blank
from sparknlp_ft.tables.names import column
from sparknlp_ft.versions import valid_utf8

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_INTEGERS = (T.ByteType, T.ShortType, T.IntegerType, T.LongType)
_TEXTS = (T.StringType, T.VarcharType, T.CharType)


@dataclass(frozen=True)
class Kind:
    """One kind of target.

    Attributes:
        value: (frame, column name) → the value, as a string column; raises DataError where the column has another type.
        labels: (frame, column name) → array of strings.
        number: (frame, column name) → the target as a double, for kinds that have mean and deviation in place of labels.
    """

    value: Callable[[DataFrame, str], Column]
    labels: Callable[[DataFrame, str], Column]
    number: Callable[[DataFrame, str], Column] | None = None


def label_value(df: DataFrame, name: str) -> Column:
    """One label: a string, integer or boolean; blank counts as none."""
    kind = df.schema[name].dataType
    if isinstance(kind, _TEXTS):
        label = valid_utf8(column(name))
        return F.when(~is_blank(label), label)
    if isinstance(kind, (*_INTEGERS, T.BooleanType)):
        return column(name).cast("string")
    raise _unfit(df, name, "label", "string, integer or boolean")


def label_set(df: DataFrame, name: str) -> Column:
    """Several labels: an array of strings or integers; without blanks and repetitions. NULL is no target, [] no label."""
    kind = df.schema[name].dataType
    if not isinstance(kind, T.ArrayType) or not isinstance(kind.elementType, (*_TEXTS, *_INTEGERS)):
        raise _unfit(df, name, "labels", "array<string>; one string with several labels is split by data.sources[].labels of ingest")
    texts = F.transform(column(name), lambda one: valid_utf8(one.cast("string")))
    return F.sort_array(F.array_distinct(F.filter(texts, lambda one: ~is_blank(one))))


def number_value(df: DataFrame, name: str) -> Column:
    """A number; NaN and infinity count as none."""
    if not isinstance(df.schema[name].dataType, T.NumericType):
        raise _unfit(df, name, "target", "a number")
    number = column(name).cast("double")
    return F.when(~F.isnan(number) & (F.abs(number) < F.lit(float("inf"))), number.cast("string"))


def entity_list(df: DataFrame, name: str) -> Column:
    """Entities: an array of structs with start, end (exclusive) and label."""
    kind = df.schema[name].dataType
    if not _struct_array(kind, {"start", "end", "label"}):
        raise _unfit(df, name, "entities", "array<struct<start:int,end:int,label:string>>")
    return F.transform(
        column(name),
        lambda one: F.struct(one["start"].cast("int").alias("start"), one["end"].cast("int").alias("end"), one["label"].alias("label")),
    )


def answer_list(df: DataFrame, name: str) -> Column:
    """Answers: an array of structs with text and start, or the Hub's struct of two arrays, text and answer_start."""
    kind = df.schema[name].dataType
    if isinstance(kind, T.StructType) and {"text", "answer_start"} <= set(kind.fieldNames()):
        pairs = F.arrays_zip(column(name)["text"].alias("text"), column(name)["answer_start"].alias("start"))
    elif _struct_array(kind, {"text", "start"}):
        pairs = column(name)
    else:
        raise _unfit(df, name, "answers", "array<struct<text:string,start:int>>")
    answers = F.transform(pairs, lambda one: F.struct(one["text"].alias("text"), one["start"].cast("int").alias("start")))
    # An answer without text says that there is none.
    return F.filter(answers, lambda one: ~is_blank(one["text"]))


def text_list(df: DataFrame, name: str) -> Column:
    """A text, or several of which the first is learnt; blank ones count as none."""
    kind = df.schema[name].dataType
    if isinstance(kind, _TEXTS):
        texts = F.array(valid_utf8(column(name)))
    elif isinstance(kind, T.ArrayType) and isinstance(kind.elementType, _TEXTS):
        texts = F.transform(column(name), valid_utf8)
    else:
        raise _unfit(df, name, "summary", "string, or array<string> of several references")
    kept = F.filter(texts, lambda one: ~is_blank(one))
    return F.when(F.size(kept) > 0, kept)


def _no_labels(df: DataFrame, name: str) -> Column:
    return F.array().cast("array<string>")


def _answered(df: DataFrame, name: str) -> Column:
    return F.array(F.when(F.size(answer_list(df, name)) > 0, "answered").otherwise("no answer"))


KINDS: dict[str, Kind] = {
    "label": Kind(label_value, lambda df, name: F.array(label_value(df, name))),
    "labels": Kind(lambda df, name: F.to_json(label_set(df, name)), label_set),
    "number": Kind(number_value, _no_labels, lambda df, name: number_value(df, name).cast("double")),
    "entities": Kind(
        lambda df, name: F.to_json(entity_list(df, name)), lambda df, name: F.transform(entity_list(df, name), lambda one: one["label"])
    ),
    "answers": Kind(lambda df, name: F.to_json(answer_list(df, name)), _answered),
    "texts": Kind(lambda df, name: F.to_json(text_list(df, name)), _no_labels),
}


def _struct_array(kind: T.DataType, fields: set[str]) -> bool:
    return isinstance(kind, T.ArrayType) and isinstance(kind.elementType, T.StructType) and fields <= set(kind.elementType.fieldNames())


def _unfit(df: DataFrame, name: str, role: str, expected: str) -> DataError:
    kind = df.schema[name].dataType.simpleString()
    return DataError(f"{role} column {name!r} is of type {kind}; expected {expected}. Name another one with data.columns.{role}=COLUMN.")
