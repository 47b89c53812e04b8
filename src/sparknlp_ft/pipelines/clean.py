"""Clean: snapshots, run folders and what killed jobs left are listed, and deleted if that is wanted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sparknlp_ft.config import Config
from sparknlp_ft.errors import ConfigError
from sparknlp_ft.reports.blocks import Cell, Report, Table
from sparknlp_ft.reports.page import Viewed
from sparknlp_ft.steps.command import Command, Option
from sparknlp_ft.steps.tidying import Spare, spare_folders

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

DAYS = 7.0


@dataclass(frozen=True)
class Cleaned(Viewed):
    """What there was to clean."""

    spare: tuple[Spare, ...]
    deleted: bool

    @property
    def size(self) -> int:
        """Bytes of all of them."""
        return sum(one.size for one in self.spare)

    def report(self) -> Report:
        """Return what notebooks show."""
        rows: list[list[Cell]] = [[one.folder.address, one.what, one.size / 1e6, one.days] for one in self.spare]
        return Report("clean", "folders", [str(self).splitlines()[-1]], [Table("", ["folder", "what", "MB", "days"], rows)])

    def __str__(self) -> str:
        lines = [f"{one.size / 1e6:10,.1f} MB  {one.days:6.1f} days  {one.folder.address}  ({one.what})" for one in self.spare]
        if not self.spare:
            return "there is nothing to clean"
        done = "deleted" if self.deleted else "would be deleted: give --yes"
        return "\n".join([*lines, f"{len(self.spare)} folder(s), {self.size / 1e6:,.1f} MB, {done}"])


def run_clean(config: Config, spark: SparkSession | None = None, *, days: float = DAYS, delete: bool = False) -> Cleaned:
    """List, and perhaps delete, what was not written to for some days and is not needed: no table, no model, no unfinished run.

    Args:
        config: Says where snapshots and run folders are.
        spark: Not needed.
        days: For how long nothing was written.
        delete: Delete it.
    """
    spare = spare_folders(config, days)
    for one in spare if delete else ():
        one.folder.delete()
    return Cleaned(tuple(spare), delete)


def check_clean(config: Config) -> list[str]:
    """Check nothing: there are no settings of its own."""
    return []


def check_days(days: float) -> None:
    """Refuse a time that is none.

    Raises:
        ConfigError: It is negative.
    """
    if days < 0:
        raise ConfigError(f"--days: {days} is less than 0; give the days for which nothing was written to a folder")


COMMAND = Command(
    place=9,
    help="old snapshots, finished run folders, what killed jobs left → listed; deleted with --yes",
    check=check_clean,
    run=lambda config, spark, arguments: run_clean(config, days=arguments.days, delete=arguments.yes),
    options=(
        Option("--days", {"type": float, "default": DAYS, "metavar": "N", "help": "untouched for so many days (default: 7)"}, check_days),
        Option("--yes", {"action": "store_true", "help": "delete them"}),
    ),
    needs_spark=False,
    needs_store=False,
    needs_table=False,
    subject=lambda config: config.launch.run_dir,
)
