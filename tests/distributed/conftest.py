"""The Spark session whose tasks the ranks run in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from sparknlp_ft.tables.session import MASTER_VARIABLE, get_session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    """At least two slots, whatever the machine."""
    os.environ.setdefault(MASTER_VARIABLE, "local[2,4]")
    yield get_session("sparknlp_ft tests")
