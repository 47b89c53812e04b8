"""Names of columns and of the parts of a table's name, quoted here alone: they may hold whatever characters they like."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import Column


def quoted(name: str) -> str:
    """Return a name quoted for Spark, so that no character in it means anything."""
    return f"`{name.replace('`', '``')}`"


def column(name: str) -> Column:
    """Return a top-level column by its exact name."""
    from pyspark.sql import functions as F

    return F.col(quoted(name))
