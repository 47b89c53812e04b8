"""The command line: ``sparknlp-ft COMMAND --config FILE [section.key=value …] [--dry-run]``.

Exit codes: 0 done, 2 for what the user can fix (a short message, no traceback), 130 and 143 after Ctrl-C and SIGTERM, 1 for
anything else.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from sparknlp_ft import __version__
from sparknlp_ft.commands import command, command_names, commands, perform
from sparknlp_ft.config import Config, given_settings, load_config
from sparknlp_ft.errors import EXIT_INTERRUPTED, EXIT_OTHER, EXIT_USER, Stopped, TableAbsent, UserError
from sparknlp_ft.progress import setup_logging
from sparknlp_ft.secrecy import cleaned
from sparknlp_ft.steps.command import Command
from sparknlp_ft.tracking.addresses import keep_config_secret, keep_overrides_secret, without_secrets
from sparknlp_ft.versions import require_libraries

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: How a finding begins that a job would not survive, or that is worth a look.
WARNS = ("warning: ", "will fail: ")


def build_parser(known: Mapping[str, Command]) -> argparse.ArgumentParser:
    """Return the parser of some commands."""
    parser = argparse.ArgumentParser(prog="sparknlp-ft", description="Fine-tune transformers on Delta tables, and score whole tables.")
    parser.add_argument("--version", action="version", version=__version__)
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, one in known.items():
        subparser = subparsers.add_parser(name, help=one.help, description=one.help)
        subparser.add_argument(
            "--config", metavar="FILE", help="YAML file with the sections data, model, text, train, launch, tracking, score, package"
        )
        subparser.add_argument(
            "--dry-run", action="store_true", help="print the settings that are not the defaults, check what needs no cluster, and stop"
        )
        subparser.add_argument("--all", action="store_true", help="with --dry-run: print every setting")
        for option in one.options:
            subparser.add_argument(option.flag, **option.settings)
        subparser.add_argument(
            "overrides", nargs="*", metavar="section.key=value", help="settings that win over the file, e.g. train.epochs=3"
        )
    return parser


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse a command line; overrides may stand before, between and after the options."""
    given = list(sys.argv[1:] if argv is None else argv)
    # A command knows its own options: of the others nothing is imported, but to list them.
    parser = build_parser({given[0]: command(given[0])} if given and given[0] in command_names() else commands())
    args, rest = parser.parse_known_args(given)
    options = [argument for argument in rest if argument.startswith("-")]
    if options:
        parser.error(f"unrecognized arguments: {' '.join(options)}")
    args.overrides += rest
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    args = parse(argv)
    setup_logging()
    try:
        require_libraries()
        chosen = command(args.command)
        keep_overrides_secret(args.overrides)
        config = load_config(args.config, args.overrides, need_table=chosen.needs_table)
        keep_config_secret(config)
        for option in chosen.options:
            option.check(getattr(args, option.name))
        return _dry_run(chosen, config, whole=args.all) if args.dry_run else _run(config, args)
    except UserError as error:
        print(cleaned(f"sparknlp-ft {args.command}: {error}"), file=sys.stderr)
        return EXIT_USER
    except Stopped as stopped:
        print(cleaned(f"sparknlp-ft {args.command}: {stopped}"), file=sys.stderr)
        return stopped.exit_code
    except KeyboardInterrupt:
        print(f"sparknlp-ft {args.command}: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except Exception:  # the last stop before the shell: the traceback is the message
        print(cleaned(traceback.format_exc()), end="", file=sys.stderr)
        return EXIT_OTHER


def attempt(argv: Sequence[str] | None = None) -> int:
    """Run one command as ``main`` does, for a scheduler that tries again whatever failed; what only the user can mend runs once.

    Args:
        argv: The command line, behind ``--refusal FILE``: a file that is one for all attempts at a task. An attempt that ends with exit
            code 2 leaves it, and those that find it end at once. Without the option each attempt runs.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    if given[:1] != ["--refusal"]:
        return main(given)
    refusal, given = Path(given[1]), given[2:]
    if refusal.exists():
        print(
            f"not tried again: an earlier attempt at {given[0]} ended with exit code {EXIT_USER}; see there what to mend", file=sys.stderr
        )
        return EXIT_USER
    code = main(given)
    if code == EXIT_USER:
        refusal.parent.mkdir(parents=True, exist_ok=True)
        refusal.touch()
    return code


def _dry_run(chosen: Command, config: Config, *, whole: bool) -> int:
    values = config.model_dump(mode="json") if whole else given_settings(config)
    told = without_secrets(values)
    if not told["launch"]["env"]:
        told["launch"].pop("env")
    print(cleaned(yaml.safe_dump({name: told[name] for name in values}, sort_keys=False, allow_unicode=True)), end="")
    if not whole:
        print("# all other settings are the defaults: --dry-run --all prints them")
    found, errors = _findings(chosen, config)
    warnings = [line for line in found if line.startswith(WARNS)]
    for title, lines in (("errors", errors), ("warnings", warnings), ("found", [line for line in found if line not in warnings])):
        for line in [f"{title}:", *(f"  {line}" for line in lines)] if lines else []:
            print(cleaned("\n".join(f"# {part}" for part in line.splitlines())))
    return EXIT_USER if errors else 0


def _findings(chosen: Command, config: Config) -> tuple[list[str], list[str]]:
    """Return what was found, a line each, and what does not fit; a table that is not there yet is no error of a dry run."""
    found: list[str] = []
    errors: list[str] = []
    for check in (chosen.check, chosen.look):
        try:
            found += check(config)
        except TableAbsent as error:
            found.append(f"{WARNS[0]}{error}")
        except UserError as error:
            errors.append(str(error))
    return found, errors


def _run(config: Config, args: argparse.Namespace) -> int:
    print(cleaned(str(perform(args.command, config, args, lambda: _session(args.command)))))
    return 0


def _session(name: str) -> SparkSession:
    from sparknlp_ft.tables.session import get_session

    return get_session(f"sparknlp-ft {name}")


if __name__ == "__main__":
    sys.exit(main())
