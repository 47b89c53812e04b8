"""The parts of scoring a table: the pinned source, where predictions go, the rows that have none yet, the merge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sparknlp_ft.config import Config
from sparknlp_ft.errors import ConfigError, DataError, shown
from sparknlp_ft.identity import fingerprint
from sparknlp_ft.scoring import ddl
from sparknlp_ft.scoring.incremental import (
    IN_PLACE_PREFIX,
    LINEAGE,
    Fresh,
    model_roles,
)
from sparknlp_ft.scoring.rows import STATUS_FIELDS
from sparknlp_ft.steps.deployment import Deployment
from sparknlp_ft.steps.job import Job
from sparknlp_ft.tables.contracts import Roles, resolve_roles
from sparknlp_ft.tables.delta import Pinned, TableRef, exists, latest_version, pin, properties_of, read
from sparknlp_ft.tables.names import column
from sparknlp_ft.tracking.store import connect
from sparknlp_ft.versions import message

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

#: Settings of ``score`` that decide which rows are scored and where, and not what comes of one.
_OF_THE_RUN = {
    "model", "table", "output", "where", "partitions", "threads", "max_error_fraction", "retry_errors", "on_deleted", "by_source",
}  # fmt: skip


@dataclass(frozen=True)
class Target:
    """Where predictions go: a table of their own, or columns of the source itself."""

    ref: TableRef
    in_place: bool
    known: Pinned | None  #: The table as it was found; None: there is none yet.


@dataclass(frozen=True)
class Scoring:
    """One table that one model scores."""

    job: Job
    target: Target
    deployment: Deployment
    rows: DataFrame  #: of the source: those that ``score.where`` leaves
    roles: Roles

    @property
    def columns(self) -> list[str]:
        """Names of what the model and its status add to a row."""
        return [*ddl.names(self.deployment.fields), *ddl.names(STATUS_FIELDS)]

    @property
    def prefix(self) -> str:
        """What stands before these names where the table, or its key, has such names of its own."""
        own = {name.lower() for name in (*self.columns, *LINEAGE)}
        clash = any(key.lower() in own for key in self.roles.key)
        return IN_PLACE_PREFIX if self.target.in_place or clash else ""

    @property
    def keys(self) -> tuple[str, ...]:
        """Columns that tell predictions apart."""
        source = (f"{self.prefix}source_table",) if self.job.config.score.by_source and not self.target.in_place else ()
        return (*self.roles.key, *source)

    @property
    def fresh(self) -> Fresh:
        """When a prediction still holds."""
        model = self.deployment.model
        return Fresh((model.name, model.version), self.prefix, self.job.config.score.retry_errors)

    @property
    def fits(self) -> dict[str, object]:
        """What decides the scores of a row with given inputs, as plain values."""
        model, score = self.deployment.model, self.job.config.score.model_dump(mode="json", exclude=_OF_THE_RUN)
        return {
            "format": 1, "model": [model.name, model.version, model.run_id], "settings": fingerprint(score),
            "keys": [*self.keys], "texts": [[*text] for text in self.roles.texts], "columns": [*self.columns],
            "prefix": self.prefix, "source": self.job.source.ref.display,
        }  # fmt: skip


def scoring_job(config: Config, spark: SparkSession) -> Job:
    """Connect to the store and pin the table to score; ``data.version`` speaks of ``data.table`` alone."""
    version = config.data.version if config.score.table in (None, config.data.table) else None
    ref = TableRef.parse(config.score.table or config.data.table, config.data.root)
    return Job(config, spark, connect(config.tracking), pin(spark, ref, version))


def find_target(job: Job) -> Target:
    """Return where predictions go: ``score.output``, or the source's name with ``_predictions``.

    Raises:
        ConfigError: The source itself, at a version that is not its latest, or where rows cannot be changed.
    """
    config, source = job.config, job.source
    if config.score.output is None:
        ref = source.ref.beside("_predictions")
    else:
        ref = TableRef.parse(config.score.output, config.data.root)
    in_place = (ref.kind, ref.value) == (source.ref.kind, source.ref.value)
    if in_place:
        _require_writable(job)
        return Target(ref, in_place, source)
    return Target(ref, in_place, pin(job.spark, ref) if exists(job.spark, ref) else None)


def _require_writable(job: Job) -> None:
    """Refuse a source that predictions cannot be added to, before it is scored."""
    source = job.source
    if source.version != latest_version(job.spark, source.ref):
        raise ConfigError(
            f"data.version: {source.version} is not the latest version of {source.ref.display!r}, and predictions are to be added to that "
            "table; leave data.version out, or give another score.output"
        )
    properties = properties_of(job.spark, source.ref)
    if properties.get("delta.appendOnly", "false").lower() == "true":
        raise ConfigError(
            f"score.output: {source.ref.display!r} takes new rows alone (delta.appendOnly), and predictions are to be added to the rows "
            "it has; give another score.output"
        )


def plan_scoring(job: Job, target: Target, deployment: Deployment) -> Scoring:
    """Find the rows and the columns that the model reads.

    Raises:
        ConfigError: ``score.where`` cannot be read.
        DataError: A column is missing.
    """
    rows = _select_rows(read(job.spark, job.source), job.config)
    data = deployment.reading(job.config.data, rows.columns)
    roles = model_roles(resolve_roles(rows, data, deployment.task, need_target=False), deployment.text_roles)
    return Scoring(job, target, deployment, rows, roles)


def _select_rows(rows: DataFrame, config: Config) -> DataFrame:
    """Return the rows that fulfil ``score.where``.

    Raises:
        ConfigError: The condition cannot be read, or names a column that is not there.
    """
    from pyspark.errors import AnalysisException

    if config.score.where is None:
        return rows
    try:
        chosen = rows.where(config.score.where)
        chosen.columns  # noqa: B018  # Spark Connect reads a condition when it is asked for something.
    except AnalysisException as error:  # ParseException is one too
        reason = message(error).strip().splitlines()[0]
        raise ConfigError(
            f"score.where: {config.score.where!r} is not a condition on the columns {', '.join(rows.columns)}: {reason}"
        ) from error
    return chosen


def known_predictions(scoring: Scoring) -> DataFrame | None:
    """Return the predictions so far, as they were found; None if there are none or they stand in the source.

    Raises:
        DataError: The columns of predictions clash with the table's own, the output is no predictions table, or it holds those of
            another table.
    """
    target, prefix, new = scoring.target, scoring.prefix, [*scoring.columns, *LINEAGE]
    if target.in_place:
        columns = scoring.rows.columns
        have = [name for name in columns if name.lower() in {f"{prefix}{name}".lower() for name in new}]
        if have and f"{prefix}input_hash" not in columns:
            raise DataError(
                f"the source has column(s) {shown(have)} that are not predictions of ours; rename them, or give another score.output"
            )
        return None
    if target.known is None:
        return None
    known = read(scoring.job.spark, target.known)
    missing = [name for name in (*scoring.roles.key, *[prefix + one for one in ("status", *LINEAGE)]) if name not in known.columns]
    if missing:
        raise DataError(
            f"score.output: {target.ref.display!r} is not a predictions table with this key: it has no column {missing[0]!r}; "
            "give another one"
        )
    return _of_this_source(scoring, known)


def _of_this_source(scoring: Scoring, known: DataFrame) -> DataFrame:
    """Return the predictions of the source, and refuse those of another one where they may be taken for each other."""
    here = scoring.job.source.ref.display
    of = column(f"{scoring.prefix}source_table")
    if scoring.job.config.score.by_source:
        return known.where(of == here)
    # Files whose smallest and largest name is this one are not opened for it.
    other = known.where(of != here).select(of).first()
    if other is not None:
        raise DataError(
            f"score.output: {scoring.target.ref.display!r} holds predictions of {other[0]!r}, and {here!r} is to be scored into it: rows "
            "with the same key would overwrite each other. Give another score.output, or set score.by_source=true. If the table was "
            "moved, set source_table in its predictions to the new place"
        )
    return known


def reads(config: Config) -> str:
    """Return a fingerprint of the settings that decide which rows a run finds, and by which columns."""
    data, score = config.data, config.score
    return fingerprint([data.task, data.key, sorted(data.columns.items()), score.on_deleted, score.by_source])
