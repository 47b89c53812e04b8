"""Status: the last runs, the models with their aliases, the tables with their versions, and what can go on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sparknlp_ft.config import Config
from sparknlp_ft.reports.blocks import Cell, Report, Table
from sparknlp_ft.reports.page import Viewed
from sparknlp_ft.steps.command import Command, Option
from sparknlp_ft.steps.standing import TableView, count_stale, list_tables, said_of_scores
from sparknlp_ft.steps.tidying import Spare, left_by_killed
from sparknlp_ft.tracking.overview import ModelView, RunView, last_runs, registered
from sparknlp_ft.tracking.store import connect
from sparknlp_ft.training.leftovers import CUT_OFF, FINISHED, Left, left_in

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

RUNS = 8

_MERGED = "the same command takes over what is whole of it, `sparknlp-ft clean` deletes it"


@dataclass(frozen=True)
class Status(Viewed):
    """How things stand."""

    runs: Sequence[RunView]
    models: Sequence[ModelView]
    tables: Sequence[TableView]
    left: Sequence[Left]
    killed: Sequence[Spare]  #: What scorings and ingests that were killed left behind.
    stale: tuple[int, int] | None  #: Rows without a prediction by the aliased model, of how many; None if nobody asked.

    def report(self) -> Report:
        """Return what notebooks show."""
        unfinished: list[list[Cell]] = [[one.run.address, one.state, one.checkpoints, _go_on(one)] for one in self._open()]
        unfinished += [[one.folder.address, one.what, None, _MERGED] for one in self.killed]
        return Report(
            "status",
            "how things stand",
            [] if self.stale is None else [_stale(self.stale)],
            [
                Table("Last runs", ["run", "name", "status", "started (UTC)", "table"], [_run(one) for one in self.runs]),
                Table("Models", ["model", "versions", "aliases"], [[one.name, one.versions, _aliases(one)] for one in self.models]),
                Table("Tables", ["table", "version", "holds scores of", "columns"], [self._table(one) for one in self.tables]),
                *([Table("Unfinished", ["folder", "state", "checkpoints", "to go on"], unfinished)] if unfinished else []),
            ],
        )

    def __str__(self) -> str:
        lines = ["last runs", *[f"  {run}  {status:<9} {at}  {name}  {table}" for run, name, status, at, table in map(_run, self.runs)]]
        lines += ["models", *[f"  {one.name}: {one.versions} version(s); aliases: {_aliases(one)}" for one in self.models]]
        told = [(one, self._scores(one)) for one in self.tables]
        lines += ["tables", *[f"  {one.path}: version {one.version}{scores and ', with scores of '}{scores}" for one, scores in told]]
        if self.stale is not None:
            lines.append(f"  {_stale(self.stale)}")
        unfinished = [f"  {one.run.address}: {one.state}, {one.checkpoints} checkpoint(s); {_go_on(one)}" for one in self._open()]
        unfinished += [f"  {one.folder.address}: {one.what}; {_MERGED}" for one in self.killed]
        return "\n".join([*lines, *(["unfinished", *unfinished] if unfinished else [])])

    def _table(self, one: TableView) -> list[Cell]:
        return [one.path, one.version, self._scores(one), ", ".join(one.columns)]

    def _scores(self, one: TableView) -> str:
        return said_of_scores(one, self.tables, self.models)

    def _open(self) -> list[Left]:
        return [one for one in self.left if one.state in (CUT_OFF, FINISHED)]


def run_status(config: Config, spark: SparkSession | None = None, *, rows: bool = False) -> Status:
    """Look at the store, the tables under ``data.root`` and the run folders; Spark is used where stale rows are to be counted.

    Args:
        config: Says where they are.
        spark: A session, if there is one.
        rows: Count the rows of ``data.table`` that have no prediction by the model behind the alias.

    Raises:
        UserError: The store does not answer, or, with ``rows``, table or model are not there.
    """
    store = connect(config.tracking)
    stale = count_stale(config, spark) if rows else None
    left = list(left_in(config.launch.run_dir))
    return Status(last_runs(store, RUNS), registered(store), list_tables(config.data.root), left, list(left_by_killed(config)), stale)


def _run(run: RunView) -> list[Cell]:
    return [run.run_id, run.name, run.status, f"{run.started:%Y-%m-%d %H:%M}", run.table]


def _aliases(model: ModelView) -> str:
    return ", ".join(f"{alias} → {version}" for alias, version in sorted(model.aliases.items())) or "none"


def _go_on(one: Left) -> str:
    if one.run_id is None:
        return "start the same command again"
    register = "registers its model" if one.state == FINISHED else "goes on"
    return f"the same command {register}: its settings are in config.json of run {one.run_id}"


def _stale(stale: tuple[int, int]) -> str:
    return f"{stale[0]:,} of {stale[1]:,} rows have no prediction by the model behind the alias"


def check_status(config: Config) -> list[str]:
    """Check nothing: what is not there is not listed."""
    return []


COMMAND = Command(
    place=8,
    help="last runs, models with aliases, tables with versions, stale rows, unfinished runs and how to go on",
    check=check_status,
    run=lambda config, spark, arguments: run_status(config, spark, rows=arguments.rows),
    options=(Option("--rows", {"action": "store_true", "help": "also count rows that score would score (starts Spark)"}),),
    needs_spark=False,
    needs_table=False,
    subject=lambda config: re.sub(r".*/", "", config.data.root),
)
