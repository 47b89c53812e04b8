"""The rows that a model is surest of and wrong about, with their texts: only if somebody asks, for they leave the table with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from sparknlp_ft.errors import ConfigError
from sparknlp_ft.reports.blocks import Table, as_cell
from sparknlp_ft.scoring.ddl import fields
from sparknlp_ft.scoring.incremental import SCORED, model_roles, partitions_for, with_scores
from sparknlp_ft.scoring.rows import OK
from sparknlp_ft.steps.deployment import deploy
from sparknlp_ft.steps.job import Job
from sparknlp_ft.tables.contracts import resolve_roles
from sparknlp_ft.tables.names import column
from sparknlp_ft.tables.session import slots
from sparknlp_ft.tables.targets import KINDS
from sparknlp_ft.tables.watch import spark_step
from sparknlp_ft.tracking.store import ModelRef

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

#: Characters of a text that are shown.
MOST_CHARS = 400


def check_wrong(count: int) -> None:
    """Refuse a number of rows that is none.

    Raises:
        ConfigError: It is negative.
    """
    if count < 0:
        raise ConfigError(f"--wrong: {count} is less than 0; give the number of rows to show")


def wrong_rows(job: Job, model: ModelRef, rows: DataFrame, count: int) -> Table:
    """Return the rows with a wrong label, the surest first: key, target, prediction, confidence, text.

    Args:
        job: The table and the settings.
        model: The model.
        rows: Labelled rows.
        count: How many.

    Raises:
        ConfigError: The task has not one label a row.
    """
    with deploy(job, model) as deployment:
        task = deployment.task
        if task.target_kind != "label" or ("score", "double") not in fields(deployment.fields):
            raise ConfigError(f"--wrong: rows of {task.name} have not one label with a confidence; leave it out")
        data = deployment.reading(job.config.data, rows.columns)
        roles = model_roles(resolve_roles(rows, data, task, need_target=True), deployment.text_roles)
        assert roles.target is not None
        asked = rows.withColumn("_target", KINDS[task.target_kind].value(rows, roles.target))
        scored = with_scores(asked, roles, deployment.score, partitions=partitions_for(rows.count(), slots(job.spark)))
        name = fields(task.prediction_fields)[0][0]
        wrong = scored.where((F.col(SCORED)["status"] == OK) & F.col("_target").isNotNull() & (F.col(SCORED)[name] != F.col("_target")))
        texts = [F.substring(column(text), 1, MOST_CHARS) for _, text in roles.texts]
        shown = [*map(column, roles.key), F.col("_target"), F.col(SCORED)[name], F.col(SCORED)["score"], *texts]
        with spark_step("looking for the most wrong rows", job.spark):
            found = wrong.orderBy(F.col(SCORED)["score"].desc(), *map(column, roles.key)).limit(count).select(*shown).collect()
    titles = [*roles.key, "target", "prediction", "confidence", *(role for role, _ in roles.texts)]
    return Table("Most wrong rows", titles, [[as_cell(_plain(value)) for value in row] for row in found], "Asked for with --wrong.")


def _plain(value: Any) -> object:
    return value if isinstance(value, (int, float, str)) or value is None else str(value)
