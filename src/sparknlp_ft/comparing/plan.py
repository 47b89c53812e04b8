"""What a comparison is to do, checked before anything is trained; and the run that it is logged to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sparknlp_ft.comparing.board import find_board
from sparknlp_ft.comparing.candidates import Candidate, candidates_of
from sparknlp_ft.comparing.search import check_trials
from sparknlp_ft.config import Config
from sparknlp_ft.steps.checks import compared_metric
from sparknlp_ft.steps.job import Job, open_job
from sparknlp_ft.steps.ranks import with_ranks
from sparknlp_ft.tables.delta import TableRef
from sparknlp_ft.tracking.store import Run, start_run

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True)
class Plan:
    """What a comparison is to do."""

    job: Job
    candidates: list[Candidate]
    measure: str
    board: TableRef

    @property
    def start(self) -> Config:
        """The configuration that a search starts from: the first candidate's, if there are any."""
        return self.candidates[0].config if self.candidates else self.job.config


def plan_comparison(config: Config, spark: SparkSession, trials: int | None) -> Plan:
    """Refuse what cannot be compared, pin the table, and find the leaderboard.

    Raises:
        UserError: Settings, table, leaderboard or cluster do not fit.
    """
    check_trials(trials)
    if trials or config.compare.candidates != []:
        config = with_ranks(config, spark)
    candidates, measure = candidates_of(config), compared_metric(config)
    job = open_job(config, spark)
    board = find_board(job)
    return Plan(job, candidates, measure, board)


@contextmanager
def comparison_run(plan: Plan) -> Iterator[Run]:
    """Open the run that those of all baselines and candidates are children of."""
    with start_run(plan.job.store, f"compare {plan.job.config.model_name}", system_metrics=False) as run:
        run.log_table(plan.job.source, context="compare")
        yield run
