"""What a command is: the command line, the dry run and the jobs know of it what stands here."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sparknlp_ft.config import Config


def _anything(value: Any) -> None:
    """Take every value."""


def _nothing(config: Config) -> list[str]:
    """Look at nothing."""
    return []


def _table(config: Config) -> str:
    return config.data.table


@dataclass(frozen=True)
class Option:
    """An option of one command alone.

    Attributes:
        flag: As it is given: ``--split``.
        settings: As ``ArgumentParser.add_argument`` takes them.
        check: Raises ConfigError for a value that does not fit.
    """

    flag: str
    settings: Mapping[str, Any]
    check: Callable[[Any], None] = _anything

    @property
    def name(self) -> str:
        """The name of its value among the parsed arguments."""
        return self.flag.removeprefix("--").replace("-", "_")


@dataclass(frozen=True)
class Command:
    """A command, which is called like the module of ``pipelines`` that it stands in.

    Attributes:
        place: Where it comes in the list of commands.
        help: What it does, in a line.
        check: Checks what needs neither Spark nor a hub, and returns what was found, a line each; raises UserError.
        run: Does it, given configuration, session (None unless ``needs_spark``) and parsed arguments; what it returns is printed.
        look: Looks at what lies in files on this machine, such as the table's columns; as ``check``.
        options: Options beside those of every command.
        needs_spark: Whether it works in a Spark session.
        needs_store: Whether it asks MLflow's store: one that does not answer is found before Spark is started.
        needs_table: Whether ``data.table`` must be given.
        subject: What it works on, in a word, for those who are told that it runs.
    """

    place: int
    help: str
    check: Callable[[Config], list[str]]
    run: Callable[[Config, Any, Namespace], object]
    look: Callable[[Config], list[str]] = _nothing
    options: tuple[Option, ...] = ()
    needs_spark: bool = True
    needs_store: bool = True
    needs_table: bool = True
    subject: Callable[[Config], str] = field(default=_table)
