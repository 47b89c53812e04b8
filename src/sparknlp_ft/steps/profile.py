"""Profile: one version of a table → what ``ingest`` prints about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sparknlp_ft.config import Config
from sparknlp_ft.errors import UserError
from sparknlp_ft.findings.finding import Finding, ordered
from sparknlp_ft.findings.look import cut_findings, look_through
from sparknlp_ft.progress import log
from sparknlp_ft.reports.profile import SHARES, Profile, quantiles
from sparknlp_ft.snapshot.lengths import length_counts
from sparknlp_ft.steps.base_model import find_base
from sparknlp_ft.tables.contracts import Roles, resolve_roles
from sparknlp_ft.tables.counts import split_label_counts, text_totals
from sparknlp_ft.tables.cures import cured
from sparknlp_ft.tables.delta import Pinned, read
from sparknlp_ft.tables.places import tell_places
from sparknlp_ft.tasks import get_task

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def profile_table(spark: SparkSession, pinned: Pinned, config: Config) -> Profile:
    """Look through a table version; lengths are in the tokens of the base model, and left out where there is none.

    Raises:
        DataError: The table lacks a column that the task needs.
    """
    task, model_dir = get_task(config.data.task), _tokenizer_folder(config)
    df = read(spark, pinned)
    roles = resolve_roles(df, config.data, task, need_target=False)
    totals = text_totals(df, roles, shares=SHARES)
    counts = split_label_counts(df, roles, task)
    lengths, is_sample = length_counts(df, roles, model_dir, rows=totals.rows) if model_dir is not None else ({}, False)
    tell_places(df, roles, config.data, task)
    found = look_through(cured(df, roles, config.data, task), roles, config.data, task)
    return Profile(
        table=pinned.ref.readable,
        version=pinned.version,
        rows=totals.rows,
        splits=_summed(("(none)" if split is None else split, rows) for split, _, _, rows in counts) if roles.split else {},
        labels=_summed((label, labels) for _, label, labels, _ in counts if label is not None),
        without_text=totals.without_text,
        without_label=sum(rows for _, label, labels, rows in counts if label is None and not labels) if roles.target else 0,
        mended=totals.mended,
        repeated=totals.rows - totals.distinct,
        words=totals.words,
        characters=totals.characters,
        tokens=quantiles(lengths, SHARES) if lengths else None,
        sampled=sum(lengths.values()) if is_sample else None,
        findings=ordered([*found, *_cut(lengths, config, roles)]),
    )


def _cut(lengths: Mapping[int, int], config: Config, roles: Roles) -> list[Finding]:
    """Special tokens are taken as most models have them: one around each text and one more."""
    window = config.text.window or get_task(config.data.task).default_window
    return cut_findings(lengths, max_length=config.text.max_length, special=1 + len(roles.texts), window=window)


def _tokenizer_folder(config: Config) -> Path | None:
    try:
        return find_base(config)
    except UserError as error:
        log.warning("no lengths in tokens: %s", error)
        return None


def _summed(pairs: Iterable[tuple[str, int]]) -> dict[str, int]:
    sums: Counter[str] = Counter()
    for name, rows in pairs:
        sums[name] += rows
    return dict(sums)
