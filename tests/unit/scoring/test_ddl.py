"""Columns as DDL: read, checked, and held to, value by value."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from sparknlp_ft.scoring import ddl
from sparknlp_ft.tasks import all_tasks


def test_every_tasks_own_columns_are_read() -> None:
    for task in all_tasks().values():
        ddl.check(task.prediction_fields)
    assert ddl.fields("a int, b map<string,array<struct<x:int,y:string>>>") == [
        ("a", "int"),
        ("b", "map<string,array<struct<x:int,y:string>>>"),
    ]
    assert ddl.names("a int,b string") == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not a column name"),
        ("n", "'' is not a type"),
        ("n interval", "'interval' is not a type; valid: string"),
        ("n map<int,string>", "is not a type"),
        ("my-column int", "'my-column' is not a column name"),
        ("n int, N string", "stands there twice"),
        ("a array<struct<x:dat>>", "'dat' is not a type"),
    ],
)
def test_what_cannot_be_read_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ddl.check(text)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("int", np.int64(3), 3),
        ("INT", 3.0, 3),
        ("bigint", 2**40, 2**40),
        ("double", np.float32(0.5), 0.5),
        ("double", 1, 1.0),
        ("string", "a", "a"),
        ("boolean", np.bool_(True), True),
        ("binary", bytearray(b"x"), b"x"),
        ("int", math.nan, None),
        ("string", pd.NA, None),
        ("string", None, None),
        ("array<int>", np.asarray([1, 2]), [1, 2]),
        ("array<int>", (1, None), [1, None]),
        ("map<string,float>", {"a": np.float64(1)}, {"a": 1.0}),
        ("struct<x:int,y:string>", {"x": 1}, {"x": 1, "y": None}),
        ("array<struct<x:int,y:array<string>>>", [{"x": 1, "y": ["a"]}], [{"x": 1, "y": ["a"]}]),
    ],
)
def test_values_become_plain_python_of_their_type(kind: str, value: object, expected: object) -> None:
    found = ddl.caster(kind)(value)
    assert found == expected and type(found) is type(expected)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("int", "3"),
        ("int", 1.5),
        ("int", True),
        ("int", 2**31),
        ("int", math.inf),
        ("string", 3),
        ("boolean", 1),
        ("double", "x"),
        ("array<int>", "12"),
        ("array<int>", ["x"]),
        ("map<string,int>", [1]),
        ("struct<x:int>", {"z": 1}),
    ],
)
def test_values_of_another_type_are_refused(kind: str, value: object) -> None:
    with pytest.raises((TypeError, ValueError, OverflowError)):
        ddl.caster(kind)(value)
