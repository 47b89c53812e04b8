"""Evaluate: any registered model on any labelled table, through the same UDF that scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sparknlp_ft.config import Config
from sparknlp_ft.steps.checks import check_task, look_at_scored
from sparknlp_ft.steps.command import Command, Option
from sparknlp_ft.steps.deployment import wanted_model
from sparknlp_ft.steps.evaluation import Evaluation, check_split, evaluate_rows, log_evaluation, rows_of_split
from sparknlp_ft.steps.floors import check_floors, check_names, hold_against, read_floors
from sparknlp_ft.steps.job import open_job
from sparknlp_ft.steps.wrong_rows import check_wrong, wrong_rows
from sparknlp_ft.tables.contracts import TEST
from sparknlp_ft.tables.delta import files_present
from sparknlp_ft.tasks import get_task

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def run_evaluate(
    config: Config, spark: SparkSession, *, split: str = TEST, model: str | None = None, wrong: int = 0, at_least: Sequence[str] = ()
) -> Evaluation:
    """Evaluate a registered model on a split of ``data.table`` and log the result to the model's run.

    Args:
        config: The configuration; ``score.model`` names the model, the alias of this table's model by default.
        spark: The session.
        split: 'test', 'validation', 'train' or 'all'.
        model: Name of the model, instead of ``score.model``.
        wrong: Show so many of the most wrong rows in the report, with their texts.
        at_least: What the model must reach, as METRIC=NUMBER each.

    Raises:
        UserError: Table, split or model are not there, or do not fit each other; or the model reaches less, which is logged all the same.
    """
    check_split(split)
    floors = read_floors(at_least)
    check_names(floors, get_task(config.data.task))
    if model is not None:
        config = config.model_copy(update={"score": config.score.model_copy(update={"model": model})})
    job = open_job(config, spark)
    wanted = wanted_model(config, job.store)
    with files_present(job.source):
        title = f"{job.source.ref.readable} version {job.source.version}, {split}"
        result = evaluate_rows(job, wanted, rows := rows_of_split(job, split), title)
        result = replace(result, wrong=wrong_rows(job, wanted, rows, wrong)) if wrong else result
    return hold_against(replace(result, logged=log_evaluation(job, result, split)) if wanted.run_id else result, floors)


COMMAND = Command(
    place=4,
    help="registered model + labelled table → metrics, per-label table, confusion matrix",
    check=check_task,
    look=look_at_scored,
    run=lambda config, spark, arguments: run_evaluate(
        config, spark, split=arguments.split, wrong=arguments.wrong, at_least=arguments.at_least
    ),
    options=(
        Option("--split", {"default": TEST, "help": "rows to evaluate: test, validation, train or all (default: test)"}, check_split),
        Option(
            "--wrong",
            {"type": int, "default": 0, "metavar": "N", "help": "show N of the most wrong rows in the report, with their texts"},
            check_wrong,
        ),
        Option(
            "--at-least",
            {
                "action": "append",
                "default": [],
                "metavar": "METRIC=NUMBER",
                "help": "exit with 2 if it reaches less; may be repeated",
            },
            check_floors,
        ),
    ),
)
