"""Reproduce: the table version and the settings of a run once more, and how far the figures differ."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sparknlp_ft.config import Config
from sparknlp_ft.errors import ConfigError
from sparknlp_ft.reports.blocks import Report, Table
from sparknlp_ft.reports.page import Viewed
from sparknlp_ft.steps.checks import check_run_dir
from sparknlp_ft.steps.command import Command, Option
from sparknlp_ft.steps.fine_tuning import close_run, fine_tune, prepare, training_run
from sparknlp_ft.steps.ranks import with_ranks
from sparknlp_ft.steps.repeating import figures_of, open_again
from sparknlp_ft.tracking.store import connect

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True)
class Reproduction(Viewed):
    """A run and its repetition; metrics are those of the best epoch on validation rows."""

    run_id: str
    again: str
    table: str
    then: Mapping[str, float]
    now: Mapping[str, float]

    @property
    def largest_difference(self) -> float:
        """The largest difference of a metric that both have."""
        return max((abs(self.now[name] - self.then[name]) for name in self.then if name in self.now), default=float("nan"))

    def report(self) -> Report:
        """Return what notebooks show."""
        both = [(name, self.then[name], self.now[name]) for name in self.then if name in self.now]
        columns = ["metric", "then", "now", "difference"]
        table = Table("Validation metrics of the best epoch", columns, [[name, then, now, now - then] for name, then, now in both])
        said = f"Run {self.run_id} on {self.table} was trained again as run {self.again}."
        said += f" Metrics differ by {self.largest_difference:.2g} at most."
        return Report("reproduce", self.run_id, [said], [table])

    def __str__(self) -> str:
        lines = [f"{name:<20} {value:.6f} then, {self.now[name]:.6f} now" for name, value in self.then.items() if name in self.now]
        head = f"run    {self.run_id} on {self.table}\nagain  run {self.again}"
        return "\n".join([head, *lines, f"the largest difference is {self.largest_difference:.2g}"])


def run_reproduce(config: Config, spark: SparkSession, *, run_id: str) -> Reproduction:
    """Train again with the settings of a run, on the table version it was trained on; registers nothing and moves no alias.

    Args:
        config: Sections ``tracking`` and ``launch`` count: where the run is, and where it is repeated.
        spark: The session.
        run_id: A finished training.

    Raises:
        UserError: The run is not there, is not a finished training, or its table version can no longer be read.
        RankError: A rank failed.
    """
    then = figures_of(connect(config.tracking), run_id)
    job = open_again(with_ranks(config, spark), spark, run_id)
    job, base, manifest = prepare(job)
    with training_run(job, manifest, f"reproduce {run_id[:8]}") as run:
        run.set_tags({"reproduces": run_id})
        result = fine_tune(job, run, manifest, base)
    close_run(result, run.run_id)
    table = f"{job.source.ref.readable} version {job.source.version}"
    return Reproduction(run_id, run.run_id, table, then, result.best_metrics)


def check_reproduce(config: Config) -> list[str]:
    """Check where it trains; all other settings are the run's own."""
    check_run_dir(config)
    return []


def check_run_id(run_id: str | None) -> None:
    """Refuse what is no run's id.

    Raises:
        ConfigError: Says what one looks like.
    """
    if run_id is None or not re.fullmatch(r"[0-9a-f]{32}", run_id):
        raise ConfigError(f"{run_id!r} is not the id of a run: give the 32 digits that train printed, before any setting")


COMMAND = Command(
    place=10,
    help="a finished training → the same table version and settings again, and how far the metrics differ",
    check=check_reproduce,
    run=lambda config, spark, arguments: run_reproduce(config, spark, run_id=arguments.run_id),
    options=(Option("run_id", {"metavar": "RUN_ID", "help": "the run to repeat"}, check_run_id),),
    needs_table=False,
    subject=lambda config: config.tracking.experiment,
)
