"""What whole commands train on while they are broken: a small table and a tiny base model beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.tiny import tiny_model_dir

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

WORDS = {"lost": "card", "charged": "fee", "transfer": "money"}


@pytest.fixture(scope="module")
def table(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("broken")
    words = list(WORDS)
    rows = [(i, f"please help {words[i % 3]} my account {i % 7}", WORDS[words[i % 3]], "train") for i in range(160)]
    spark.createDataFrame(rows, "id int, text string, label string, split string").write.format("delta").save(
        str(folder / "lake" / "texts")
    )
    tiny_model_dir(folder)
    return folder
