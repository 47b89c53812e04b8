"""Whether the texts of a split are in another language or script than those of train: by pairs of letters, of a sample."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from pyspark.sql import functions as F

from sparknlp_ft.config import DataConfig
from sparknlp_ft.findings.finding import WARNING, Finding
from sparknlp_ft.tables import contracts
from sparknlp_ft.tables.contracts import TEST, TRAIN, VALIDATION, Roles

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

#: Texts of each split that are looked at, and characters of each.
TEXTS, CHARS = 1000, 300
#: Texts below which nothing is said.
FEWEST = 30
#: Jensen-Shannon divergence of pairs of letters, in bits, above what two parts of train differ by. Topics of one language differ by
#: less than half of it, related languages by twice as much.
DIVERGENCE = 0.15

_CLASSES = 1_000_000


def language_findings(df: DataFrame, roles: Roles, data: DataConfig, rows: Mapping[str, int]) -> list[Finding]:
    """Return the splits whose texts drift from train's.

    Args:
        df: The rows, as ``cured`` leaves them.
        roles: Columns by role.
        data: Names of splits.
        rows: Usable rows of each split; of validation only where the table has such rows itself, since a cut cannot drift.
    """
    if not (rows.get(TRAIN) and (rows.get(VALIDATION) or rows.get(TEST))):
        return []
    return list(drifted(_samples(df, roles, data, rows), rows))


def drifted(texts: Mapping[str, Sequence[str]], rows: Mapping[str, int]) -> Iterator[Finding]:
    """Yield a finding for each split whose sample of texts is written otherwise than train's."""
    own = texts.get(TRAIN, ())
    for split in (VALIDATION, TEST):
        other = texts.get(split, ())
        if min(len(own), len(other)) < FEWEST:
            continue
        # A small sample differs from any: what a part of train of the same size differs by is no drift.
        part = min(len(other), len(own) // 2)
        usual = divergence(own[part:], own[:part])
        found = divergence(own, other) - usual
        if found > DIVERGENCE:
            about = f"texts of {split} have other letters beside each other than those of train, as another language has ({found:.2f} bits)"
            cure = f"see whether {split} is of the same kind as train, and whether model.base knows both"
            yield Finding(WARNING, "languages that drift", about, rows.get(split, 0), cure)


def divergence(one: Sequence[str], other: Sequence[str]) -> float:
    """Return how far pairs of letters in some texts differ from those in others: Jensen-Shannon, from 0 to 1 bit."""
    counts = [_pairs(one), _pairs(other)]
    names = sorted(counts[0] | counts[1])
    if not all(counts):
        return 0.0 if not any(counts) else 1.0
    shares = np.asarray([[count[name] for name in names] for count in counts], dtype=np.float64)
    shares /= shares.sum(axis=1, keepdims=True)
    mean = shares.mean(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        bits = np.where(shares > 0, shares * np.log2(shares / mean), 0.0)
    return float(bits.sum() / 2)


def _pairs(texts: Sequence[str]) -> Counter[str]:
    found: Counter[str] = Counter()
    for text in texts:
        for word in "".join(one if one.isalpha() else " " for one in text.lower()).split():
            found.update(a + b for a, b in pairwise(f" {word} "))
    return found


def _samples(df: DataFrame, roles: Roles, data: DataConfig, rows: Mapping[str, int]) -> dict[str, list[str]]:
    """Return texts of each split, in an order that is the same each time."""
    split, text = contracts.raw_split(roles, data), F.concat_ws(" ", *contracts.plain_texts(roles))
    drawn = contracts.text_hash(roles, "language", _CLASSES)
    wanted = F.lit(False)
    for name in (TRAIN, VALIDATION, TEST):
        wanted = wanted | ((split == name) & (drawn < min(_CLASSES, round(_CLASSES * TEXTS / max(rows.get(name, 0), 1)))))
    usable = df.where(~contracts.no_text(roles) & wanted)
    chosen = usable.select(split.alias("split"), F.substring(text, 1, CHARS).alias("text"), drawn.alias("at"))
    result: dict[str, list[str]] = {}
    for row in sorted(chosen.limit(4 * TEXTS).collect(), key=lambda one: (one["at"], one["text"])):
        result.setdefault(row["split"], []).append(row["text"])
    return result
