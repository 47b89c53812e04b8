"""Table names: what is a path, what a catalog name, what is refused."""

import pytest

from sparknlp_ft.errors import DataError
from sparknlp_ft.tables.delta import TableRef


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("banking77", "path", "/lake/banking77"),
        ("team/messages 2", "path", "/lake/team/messages 2"),
        ("/abs/table/", "path", "/abs/table"),
        ("s3://bucket/table", "path", "s3://bucket/table"),
        ("dbfs:/lake/table", "path", "dbfs:/lake/table"),
        ("sales.messages", "name", "`sales`.`messages`"),
        ("main.sales.messages-1", "name", "`main`.`sales`.`messages-1`"),
        ("`a.b`.`c``d`", "name", "`a.b`.`c``d`"),
        ("x.`t; DROP TABLE y`", "name", "`x`.`t; DROP TABLE y`"),
    ],
)
def test_parse(text: str, kind: str, value: str) -> None:
    ref = TableRef.parse(text, "/lake")
    assert (ref.kind, ref.value) == (kind, value)


@pytest.mark.parametrize("text", ["sales.messages", "main.sales.`messages-1`", "`a.b`.`c``d`", "a.`1`", "/abs/table"])
def test_a_name_is_shown_with_no_more_quotes_than_it_needs(text: str) -> None:
    ref = TableRef.parse(text, "/lake")
    assert ref.readable == text and TableRef.parse(ref.readable, "/lake") == ref


@pytest.mark.parametrize("text", ["", "../outside", "a//b", "a/../b", "t; DROP TABLE x", "a`b", "t\0"])
def test_what_is_no_table_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="is not a table"):
        TableRef.parse(text, "/lake")
