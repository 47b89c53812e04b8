"""What tells whether a row's inputs have changed since it was scored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from sparknlp_ft.tables.contracts import Roles, clean_text
from sparknlp_ft.tables.names import column

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

INPUT_HASH = "_input_hash"


def with_input_hash(df: DataFrame, roles: Roles) -> DataFrame:
    """Add column ``_input_hash``: a digest of the row's texts by role, the same whatever their columns are called.

    The digest is of the JSON of all inputs: hashing them one by one and concatenating would confuse NULLs, as would JSON
    that leaves NULL fields out.
    """
    inputs = F.struct(*[clean_text(column(name)).alias(role) for role, name in roles.texts])
    return df.withColumn(INPUT_HASH, F.sha2(F.to_json(inputs, {"ignoreNullFields": "false"}), 256))
