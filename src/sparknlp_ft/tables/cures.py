"""What ``data.clean``, ``data.on_conflict`` and ``data.on_misplaced`` make of a table's rows. The table itself stays as it is.

The one place that does it: snapshot, survey, baselines and evaluation all read rows that went through ``cured``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparknlp_ft.config import DataConfig
from sparknlp_ft.progress import log
from sparknlp_ft.tables import contracts
from sparknlp_ft.tables.contracts import TRAIN, Roles
from sparknlp_ft.tables.names import column
from sparknlp_ft.tables.places import placed
from sparknlp_ft.tables.spelling import LABELLED, corrections, shown_label
from sparknlp_ft.tables.targets import KINDS
from sparknlp_ft.versions import valid_utf8

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from sparknlp_ft.tasks import Task

#: Distinct labels above which the label column is surely another one; the survey says so.
MOST_LABELS = 100_000

_TEXT, _BEST = "__text", "__best"


def cured(df: DataFrame, roles: Roles, data: DataConfig, task: Task) -> DataFrame:
    """Return the rows as the configuration wants them mended; without such settings as they are.

    Args:
        df: The rows of the pinned table.
        roles: Its columns by role; the target's may be missing.
        data: The settings.
        task: The task.
    """
    if roles.target is None:
        return df
    if (target := placed(df, roles, data, task)) is not None:
        df = df.withColumn(roles.target, target)
    if data.clean.labels != "none" and task.target_kind in LABELLED:
        df = _spelled(df, roles, data, task)
    if data.on_conflict != "keep" and task.target_kind in LABELLED:
        df = _agreed(df, roles, data, task)
    return df


def text_key(roles: Roles) -> Column:
    """Return a hash of a row's texts: equal for texts that differ only by blanks."""
    return F.xxhash64(*contracts.plain_texts(roles))


def _spelled(df: DataFrame, roles: Roles, data: DataConfig, task: Task) -> DataFrame:
    assert roles.target is not None
    label = F.explode(KINDS[task.target_kind].labels(df, roles.target)).alias("label")
    each = df.select((contracts.raw_split(roles, data) == TRAIN).alias("own"), label).where(F.col("label").isNotNull())
    found = each.groupBy("label").agg(F.count_if("own")).limit(MOST_LABELS + 1).collect()
    if len(found) > MOST_LABELS or not (changed := corrections({row[0]: row[1] for row in found}, data.clean.labels)):
        return df
    some = ", ".join(f"{shown_label(old)} → {shown_label(new)}" for old, new in list(changed.items())[:5])
    log.info("data.clean.labels=%s: %d label(s) are written otherwise (%s)", data.clean.labels, len(changed), some)
    table = F.create_map(*[F.lit(part) for pair in changed.items() for part in pair])

    def mended(one: Column) -> Column:
        return F.coalesce(F.try_element_at(table, one), one)

    target, kind = column(roles.target), df.schema[roles.target].dataType
    if isinstance(kind, T.StringType):
        return df.withColumn(roles.target, mended(valid_utf8(target)))
    if isinstance(kind, T.ArrayType) and isinstance(kind.elementType, T.StringType):
        return df.withColumn(roles.target, F.transform(target, lambda one: mended(valid_utf8(one))))
    if isinstance(kind, T.ArrayType) and isinstance(kind.elementType, T.StructType):
        return df.withColumn(roles.target, F.transform(target, lambda one: one.withField("label", mended(one["label"]))))
    return df  # Numbers are spelled one way.


def _agreed(df: DataFrame, roles: Roles, data: DataConfig, task: Task) -> DataFrame:
    """Leave out the rows of train whose texts have several targets there, or give all of them the most frequent one.

    Of targets equally frequent the one with the smallest hash is taken, which is the same in every run.
    """
    assert roles.target is not None
    keyed = df.withColumn(_TEXT, F.when(contracts.raw_split(roles, data) == TRAIN, text_key(roles)))
    value = KINDS[task.target_kind].value(df, roles.target)
    own = keyed.where(F.col(_TEXT).isNotNull() & ~contracts.no_text(roles)).select(
        _TEXT, value.alias("value"), column(roles.target).alias("one")
    )
    counts = own.where("value IS NOT NULL").groupBy(_TEXT, "value").agg(F.count("*").alias("rows"), F.first("one").alias("one"))
    order = F.struct("rows", -F.xxhash64("value").cast("decimal(20,0)"))
    groups = counts.groupBy(_TEXT).agg(F.max_by(F.struct("one"), order).alias(_BEST), F.count("*").alias("values"))
    torn = groups.where("values > 1").select(_TEXT, _BEST)
    if data.on_conflict == "drop":
        return keyed.join(torn, _TEXT, "left_anti").drop(_TEXT)
    joined = keyed.join(torn, _TEXT, "left")
    given = column(roles.target).isNotNull() & F.col(_BEST).isNotNull()
    return joined.withColumn(roles.target, F.when(given, F.col(_BEST)["one"]).otherwise(column(roles.target))).drop(_TEXT, _BEST)
