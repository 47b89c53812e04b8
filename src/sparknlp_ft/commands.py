"""The one table of commands: each module of ``pipelines`` is a command of its name, and is imported when it is asked for."""

from __future__ import annotations

import importlib
import pkgutil

from sparknlp_ft import pipelines
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
