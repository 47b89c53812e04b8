"""The one table of commands: each module of ``pipelines`` is a command of its name, and is imported when it is asked for."""

from __future__ import annotations

import importlib
import pkgutil
from argparse import Namespace
from collections.abc import Callable
from typing import Any

from sparknlp_ft import pipelines
from sparknlp_ft.config import Config
from sparknlp_ft.steps.command import Command


def command_names() -> list[str]:
    """Return the names of all commands, without importing any."""
    return [module.name for module in pkgutil.iter_modules(pipelines.__path__)]


def command(name: str) -> Command:
    """Return a command by its name."""
    found: Command = importlib.import_module(f"{pipelines.__name__}.{name}").COMMAND
    return found


def commands() -> dict[str, Command]:
    """Return all commands by their names, in the order in which they are listed."""
    found = {name: command(name) for name in command_names()}
    return dict(sorted(found.items(), key=lambda pair: pair[1].place))


def perform(name: str, config: Config, arguments: Namespace, session: Callable[[], Any]) -> Any:
    """Run a command and return what it came to: all that can be found out without Spark is, before it is asked for.

    Args:
        name: Of the command.
        config: The configuration.
        arguments: Values of the command's options, and ``config`` and ``overrides`` as they were given.
        session: Gives the Spark session.

    Raises:
        UserError: Configuration, table, model or cluster do not fit.
    """
    from sparknlp_ft.tracking.notify import notified
    from sparknlp_ft.tracking.store import ask

    chosen = command(name)
    for option in chosen.options:
        option.check(getattr(arguments, option.name))
    chosen.check(config)
    chosen.look(config)
    with notified(config.tracking.notify, f"sparknlp-ft {name} {chosen.subject(config)}") as ended:
        if chosen.needs_store:
            ask(config.tracking)
        result = chosen.run(config, session() if chosen.needs_spark else None, arguments)
        ended(result)
    return result
