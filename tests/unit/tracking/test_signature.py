"""Signatures follow from what a task declares."""

from __future__ import annotations

import pytest

from sparknlp_ft.tracking.signature import column_specs


def test_column_specs_of_every_task_shape() -> None:
    specs = column_specs("value double, entities array<struct<text:string,start:int>>, scores map<string,float>")
    assert [spec["type"] for spec in specs] == ["double", "array", "map"]
    assert specs[1]["items"]["properties"]["start"] == {"required": False, "type": "integer"}
    with pytest.raises(ValueError, match="interval"):
        column_specs("a interval")
