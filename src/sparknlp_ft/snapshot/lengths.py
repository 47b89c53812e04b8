"""How long the texts of a table are, in tokens of the model that is to read them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from sparknlp_ft.sessions import hold
from sparknlp_ft.snapshot.encode import token_lengths, tokenizer_files, tokenizing_encoder
from sparknlp_ft.tables import contracts
from sparknlp_ft.tables.contracts import Roles
from sparknlp_ft.tables.names import column
from sparknlp_ft.text.encoder import tokenizer_fingerprint

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

#: Above this many rows, lengths are those of a sample of about as many.
SAMPLE_ROWS = 200_000


def length_counts(df: DataFrame, roles: Roles, model_dir: str | Path, *, rows: int) -> tuple[dict[int, int], bool]:
    """Return the rows of each length in tokens, and whether they are only a sample of the ``rows`` rows."""
    texts = df.select(*[F.coalesce(contracts.clean_text(column(name)), F.lit("")).alias(role) for role, name in roles.texts])
    spark = texts.sparkSession
    content, fingerprint = hold(spark, tokenizer_files(model_dir)), tokenizer_fingerprint(model_dir)
    if rows > SAMPLE_ROWS:
        texts = texts.sample(SAMPLE_ROWS / rows, seed=0)

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return token_lengths(batches, tokenizing_encoder(fingerprint, content.value))

    found = texts.mapInArrow(run, "length bigint, rows bigint").groupBy("length").agg(F.sum("rows")).collect()
    content.release()
    return {row[0]: row[1] for row in found}, rows > SAMPLE_ROWS
