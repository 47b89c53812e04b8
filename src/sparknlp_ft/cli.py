"""The command line: ``sparknlp-ft COMMAND --config FILE [section.key=value …] [--dry-run]``.

Exit codes: 0 done, 2 for what the user can fix (a short message, no traceback), 1 for anything else.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Callable, Sequence

import yaml

from sparknlp_ft import __version__
from sparknlp_ft.config import Config, load_config
from sparknlp_ft.errors import EXIT_OTHER, EXIT_USER, UserError
from sparknlp_ft.progress import setup_logging

COMMANDS = {
    "ingest": "files or Hub data sets → a Delta table that keeps the contract",
    "train": "Delta table → fine-tuned model, tracked and registered",
    "score": "Delta table + registered model → predictions, merged by key",
    "evaluate": "registered model + labelled table → metrics, per-label table, confusion matrix",
    "promote": "a run's model or a version → the alias, if it beats the aliased model on validation rows",
    "compare": "candidates and cheap baselines on one table → leaderboard of quality, size and speed; search for settings",
    "package": "model folder of any origin + your own functions → a registered model like one trained here",
}


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(prog="sparknlp-ft", description="Fine-tune transformers on Delta tables, and score whole tables.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, help_text in COMMANDS.items():
        command = commands.add_parser(name, help=help_text, description=help_text)
        command.add_argument(
            "--config", metavar="FILE", help="YAML file with the sections data, model, text, train, launch, tracking, score, package"
        )
        command.add_argument(
            "--dry-run", action="store_true", help="print the resolved configuration, check what needs no cluster, and stop"
        )
        command.add_argument(
            "overrides", nargs="*", metavar="section.key=value", help="settings that win over the file, e.g. train.epochs=3"
        )
        if name == "evaluate":
            command.add_argument("--split", default="test", help="rows to evaluate: test, validation, train or all (default: test)")
        if name == "compare":
            command.add_argument(
                "--search", type=int, metavar="N", help="also try N settings from compare.search, on validation rows alone"
            )
    return parser


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse a command line; overrides may stand before, between and after the options."""
    parser = build_parser()
    args, rest = parser.parse_known_args(argv)
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
        config = load_config(args.config, args.overrides, need_table=args.command != "package")
        _check_arguments(args)
        if args.dry_run:
            return _dry_run(args.command, config)
        return _run(args, config)
    except UserError as error:
        print(f"sparknlp-ft {args.command}: {error}", file=sys.stderr)
        return EXIT_USER
    except KeyboardInterrupt:
        print(f"sparknlp-ft {args.command}: interrupted", file=sys.stderr)
        return EXIT_OTHER
    except Exception:  # the last stop before the shell: the traceback is the message
        traceback.print_exc()
        return EXIT_OTHER


def _check_arguments(args: argparse.Namespace) -> None:
    if args.command == "evaluate":
        from sparknlp_ft.pipelines.evaluate import check_split

        check_split(args.split)
    if args.command == "compare":
        from sparknlp_ft.pipelines.search import check_trials

        check_trials(args.search)


def _dry_run(command: str, config: Config) -> int:
    from sparknlp_ft.pipelines.checks import check_before_cluster
    from sparknlp_ft.tracking.addresses import without_secrets

    print(yaml.safe_dump(without_secrets(config.model_dump(mode="json")), sort_keys=False, allow_unicode=True), end="")
    for line in check_before_cluster(command, config):
        print(f"# {line}")
    return 0


def _run(args: argparse.Namespace, config: Config) -> int:
    from sparknlp_ft.pipelines.checks import check_before_cluster
    from sparknlp_ft.tables.session import get_session
    from sparknlp_ft.tracking.notify import notified

    check_before_cluster(args.command, config)
    what = config.package.model if args.command == "package" else config.data.table
    with notified(config.tracking.notify, f"sparknlp-ft {args.command} {what}") as ended:
        if args.command == "package":  # needs no Spark
            from sparknlp_ft.pipelines.package import run_package

            summary: object = run_package(config)
        else:
            summary = _pipeline(args)(config, get_session(f"sparknlp-ft {args.command}"))
        print(summary)
        ended(summary)
    return 0


def _pipeline(args: argparse.Namespace) -> Callable[..., object]:
    """Return the pipeline of a command; its result prints as the command's summary."""
    if args.command == "ingest":
        from sparknlp_ft.pipelines.ingest import run_ingest

        return run_ingest
    if args.command == "train":
        from sparknlp_ft.pipelines.train import run_train

        return run_train
    if args.command == "score":
        from sparknlp_ft.pipelines.score import run_score

        return run_score
    if args.command == "promote":
        from sparknlp_ft.pipelines.promote import run_promote

        return run_promote
    if args.command == "compare":
        from sparknlp_ft.pipelines.compare import run_compare
        from sparknlp_ft.tracking.addresses import shown_overrides

        overrides = shown_overrides([override for override in args.overrides if not override.startswith("compare")])
        given = [*(["--config", args.config] if args.config else []), *overrides]
        return lambda config, spark: run_compare(config, spark, trials=args.search, given=given)
    from sparknlp_ft.pipelines.evaluate import run_evaluate

    return lambda config, spark: run_evaluate(config, spark, split=args.split)


if __name__ == "__main__":
    sys.exit(main())
