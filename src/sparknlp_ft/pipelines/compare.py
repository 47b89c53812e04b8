"""Compare: cheap baselines and candidate models on the same rows of one pinned table; quality, size and speed.

Validation rows alone choose. The test split is reported once for each candidate, and decides nothing.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sparknlp_ft.comparing.board import write_board
from sparknlp_ft.comparing.candidates import Candidate, candidates_of, search_space
from sparknlp_ft.comparing.cheap import compared_baselines
from sparknlp_ft.comparing.comparison import Comparison, log_comparison
from sparknlp_ft.comparing.contest import Contest, Trained
from sparknlp_ft.comparing.plan import comparison_run, plan_comparison
from sparknlp_ft.comparing.search import check_trials
from sparknlp_ft.config import Config
from sparknlp_ft.errors import UserError
from sparknlp_ft.steps.checks import (
    check_base,
    check_folders,
    check_loss,
    check_metric,
    check_task,
    check_window,
    compared_metric,
    look_at_table,
)
from sparknlp_ft.steps.command import Command, Option
from sparknlp_ft.steps.facts import TableFacts
from sparknlp_ft.steps.gate import Verdict, judge
from sparknlp_ft.steps.job import Job
from sparknlp_ft.steps.lineage import lineage
from sparknlp_ft.tracking.addresses import shown_overrides
from sparknlp_ft.tracking.store import find_registered, register

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def run_compare(config: Config, spark: SparkSession, *, trials: int | None = None, given: Sequence[str] = ()) -> Comparison:
    """Measure the baselines and all candidates on one version of ``data.table``, and write the leaderboard.

    Args:
        config: The configuration; ``compare`` says what is compared.
        spark: The session.
        trials: Also search for better settings, from the first candidate's (or, without candidates, the configuration's).
        given: Arguments of the command line, for the commands that are shown at the end.

    Raises:
        UserError: Configuration, table or cluster do not fit, or every candidate failed for such a reason.
        RankError: Every candidate failed, and one for another reason.
    """
    plan = plan_comparison(config, spark, trials)
    with comparison_run(plan) as run:
        baselines, contest = compared_baselines(plan.job, plan.measure), Contest(plan.job, run)
        contest.run_all(plan.candidates)
        found = contest.run_search(plan.start, trials, plan.measure) if trials else None
        winner = contest.winner(plan.measure)
        verdict = _register(plan.job, winner) if config.compare.register_winner and winner else None
        result = Comparison(plan, run.run_id, [*baselines, *contest.entries], winner, found, verdict, given)
        write_board(plan.job, plan.board, result.entries, plan.measure, run.run_id)
        contest.forget()
        log_comparison(run, result)
    return result


def _register(job: Job, winner: Trained) -> Verdict:
    # A comparison that was cut off may have registered it already.
    name, tags = job.config.model_name, lineage(job.source, winner.manifest)
    model = find_registered(job.store, name, winner.model) or register(job.store, winner.model, name, tags=tags)
    return judge(job.using(winner.candidate.config), model, TableFacts.of_manifest(winner.manifest))


def check_compare(config: Config) -> list[str]:
    """Check the settings of all candidates. A base model that is not there is reported, and stops no other candidate."""
    found = check_task(config)
    check_folders(config)
    compared_metric(config)
    search_space(config)
    return found + [f"candidate {one.name}: {line}" for one in candidates_of(config) for line in _check_candidate(one)]


def _check_candidate(candidate: Candidate) -> list[str]:
    check_window(candidate.config)
    check_metric(candidate.config)
    check_loss(candidate.config)
    try:
        return check_base(candidate.config)
    except UserError as error:
        return [f"will fail: {error}"]


def _given(arguments: Namespace) -> list[str]:
    """Return the arguments that other commands take as well, for the commands that are shown; none that is a secret."""
    overrides = shown_overrides([override for override in arguments.overrides if not override.startswith("compare")])
    return [*(["--config", arguments.config] if arguments.config else []), *overrides]


COMMAND = Command(
    place=6,
    help="candidates and cheap baselines on one table → leaderboard of quality, size and speed; search for settings",
    check=check_compare,
    look=look_at_table,
    run=lambda config, spark, arguments: run_compare(config, spark, trials=arguments.search, given=_given(arguments)),
    options=(
        Option(
            "--search",
            {"type": int, "metavar": "N", "help": "also try N settings from compare.search, on validation rows alone"},
            check_trials,
        ),
    ),
)
