"""The printed profile of a table: rows by split, labels, lengths, and what is missing or doubled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from sparknlp_ft.config import DataConfig
from sparknlp_ft.tables import contracts
from sparknlp_ft.tables.contracts import column
from sparknlp_ft.tables.delta import Pinned, read
from sparknlp_ft.tables.encode import token_lengths, tokenizer_files, tokenizing_encoder
from sparknlp_ft.text.encoder import tokenizer_fingerprint

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

    from sparknlp_ft.tables.contracts import Roles
    from sparknlp_ft.tasks import Task

#: Above this many rows, lengths in tokens are those of a sample of about as many.
SAMPLE_ROWS = 200_000
#: Labels that are listed by name; the rest is summed up.
LISTED_LABELS = 200
SHARES = (0.5, 0.9, 0.95, 0.99, 1.0)
WIDTH = 110


@dataclass(frozen=True)
class Profile:
    """What one version of a table holds. Quantiles are at ``SHARES``."""

    table: str
    version: int
    rows: int
    splits: Mapping[str, int]  #: As the table's own split column names them; empty if it has none.
    labels: Mapping[str, int]
    without_text: int
    without_label: int
    mended: int  #: Texts that are not valid UTF-8, and are read with U+FFFD for each bad byte.
    repeated: int  #: Rows whose texts stand in an earlier row too.
    words: tuple[int, ...]
    characters: tuple[int, ...]
    tokens: tuple[int, ...] | None  #: None where there was no tokenizer.
    sampled: int | None  #: Rows that ``tokens`` is of, if not all.

    def __str__(self) -> str:
        head = [f"{self.table} at version {self.version}: {self.rows:,} rows"]
        if self.splits:
            head.append("  splits      " + ", ".join(f"{name} {rows:,}" for name, rows in self.splits.items()))
        told = {
            "without text": self.without_text,
            "without label": self.without_label,
            "bad UTF-8": self.mended,
            "text seen before": self.repeated,
        }
        head.append("  of these    " + ", ".join(f"{name} {rows:,}" for name, rows in told.items()))
        return "\n".join([*head, *self._lengths(), *self._label_lines()])

    def _lengths(self) -> list[str]:
        names = ["median", *(f"{share:.0%}" for share in SHARES[1:-1]), "longest"]
        lines = [f"  {'length in':<12}" + "".join(f"{name:>9}" for name in names)]
        sample = f"  (sample of {self.sampled:,} rows)" if self.sampled else ""
        for name, values in (("tokens" + sample, self.tokens), ("words", self.words), ("characters", self.characters)):
            if values:
                lines.append(
                    f"  {name.split('  ')[0]:<12}" + "".join(f"{value:>9,}" for value in values) + name[6:] * name.startswith("tokens")
                )
        return lines

    def _label_lines(self) -> list[str]:
        if not self.labels:
            return []
        ranked = sorted(self.labels.items(), key=lambda pair: (-pair[1], pair[0]))
        cells = [f"{label} {rows:,}" for label, rows in ranked[:LISTED_LABELS]]
        wide = max(map(len, cells)) + 2
        each = max(1, WIDTH // wide)
        lines = ["    " + "".join(f"{cell:<{wide}}" for cell in cells[at : at + each]).rstrip() for at in range(0, len(cells), each)]
        rest = ranked[LISTED_LABELS:]
        more = [f"    and {len(rest):,} more labels with {sum(rows for _, rows in rest):,} rows"] if rest else []
        return [f"  {len(ranked):,} labels", *lines, *more]


def profile_table(spark: SparkSession, pinned: Pinned, data: DataConfig, task: Task, *, model_dir: str | Path | None) -> Profile:
    """Look through a table version: two passes, one of them over the texts (a sample of a large table) with the tokenizer.

    Raises:
        DataError: The table lacks a column that the task needs.
    """
    df = read(spark, pinned)
    roles = contracts.resolve_roles(df, data, task, need_target=False)
    texts = [contracts.clean_text(column(name)) for _, name in roles.texts]
    totals = _totals(df, roles)
    rows = totals["rows"]
    counts = _counts(df, roles)
    tokens, sampled = _tokens(df.select(*texts), rows, model_dir) if model_dir is not None else (None, None)
    return Profile(
        table=pinned.ref.display,
        version=pinned.version,
        rows=rows,
        splits=_summed(counts, 0) if roles.split else {},
        labels=_summed(counts, 1) if roles.target else {},
        without_text=totals["without_text"] or 0,
        without_label=sum(n for _, label, n in counts if label is None) if roles.target else 0,
        mended=totals["mended"] or 0,
        repeated=rows - totals["distinct"],
        words=tuple(totals["words"] or ()),
        characters=tuple(totals["characters"] or ()),
        tokens=tokens,
        sampled=sampled,
    )


def quantiles(counts: Mapping[int, int], shares: Sequence[float]) -> tuple[int, ...]:
    """Return the smallest values that at least the given shares of all rows do not exceed.

    Args:
        counts: Rows by value.
        shares: Each in (0, 1].
    """
    total = sum(counts.values())
    found, below = [], 0
    ordered = iter(sorted(counts.items()))
    value = 0
    for share in sorted(shares):
        while below < share * total:
            value, rows = next(ordered)
            below += rows
        found.append(value)
    return tuple(found)


def _totals(df: DataFrame, roles: Roles) -> dict:
    columns = [column(name) for _, name in roles.texts]
    texts = [F.coalesce(contracts.clean_text(one), F.lit("")) for one in columns]
    joined = F.concat_ws(" ", *texts)
    words = F.when(contracts.is_blank(joined), 0).otherwise(F.size(F.split(F.trim(joined), r"(?U)\s+")))
    blank, mended = contracts.is_blank(columns[0]), contracts.is_mended(columns[0])
    for one in columns[1:]:
        blank, mended = blank | contracts.is_blank(one), mended | contracts.is_mended(one)
    row = df.agg(
        F.count(F.lit(1)).alias("rows"),
        F.sum(blank.cast("bigint")).alias("without_text"),
        F.sum(mended.cast("bigint")).alias("mended"),
        F.count_distinct(F.xxhash64(*texts)).alias("distinct"),
        F.percentile_approx(words, list(SHARES), 10_000).alias("words"),
        F.percentile_approx(F.length(joined), list(SHARES), 10_000).alias("characters"),
    ).first()
    assert row is not None
    return row.asDict()


def _counts(df: DataFrame, roles: Roles) -> list[tuple[str | None, str | None, int]]:
    split = column(roles.split).cast("string") if roles.split else F.lit(None).cast("string")
    label = contracts.label_column(df, roles.target) if roles.target else F.lit(None).cast("string")
    rows = df.groupBy(split.alias("split"), label.alias("label")).count().orderBy(F.desc("count")).limit(100_000).collect()
    return [(row[0], row[1], row[2]) for row in rows]


def _summed(counts: list[tuple[str | None, str | None, int]], at: int) -> dict[str, int]:
    sums: Counter[str] = Counter()
    for one in counts:
        name, rows = one[at], one[2]
        if at == 0 or name is not None:
            sums["(none)" if name is None else str(name)] += rows
    return dict(sums)


def _tokens(texts: DataFrame, rows: int, model_dir: str | Path) -> tuple[tuple[int, ...], int | None]:
    spark = texts.sparkSession
    content, fingerprint = spark.sparkContext.broadcast(tokenizer_files(model_dir)), tokenizer_fingerprint(model_dir)
    if rows > SAMPLE_ROWS:
        texts = texts.sample(SAMPLE_ROWS / rows, seed=0)

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return token_lengths(batches, tokenizing_encoder(fingerprint, content.value))

    filled = texts.na.fill("")
    found = filled.mapInArrow(run, "length bigint, rows bigint").groupBy("length").agg(F.sum("rows")).collect()
    counts = {row[0]: row[1] for row in found}
    return quantiles(counts, SHARES), sum(counts.values()) if rows > SAMPLE_ROWS else None
