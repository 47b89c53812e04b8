"""The table of commands: found by their files, told in the order of a job, and imported one at a time."""

from __future__ import annotations

import subprocess
import sys

import pytest

from sparknlp_ft.cli import build_parser, parse
from sparknlp_ft.commands import command_names, commands


def test_every_module_is_a_command_and_they_come_in_the_order_of_a_job() -> None:
    assert list(commands()) == ["ingest", "train", "score", "evaluate", "promote", "compare", "package", "status", "clean", "reproduce"]
    assert sorted(commands()) == command_names()
    places = [command.place for command in commands().values()]
    assert len(set(places)) == len(places)


def test_help_tells_what_each_does() -> None:
    text = build_parser(commands()).format_help()
    assert all(command.help.split()[0] in text for command in commands().values())


@pytest.mark.parametrize("name", command_names())
def test_every_command_takes_what_all_take_and_its_own(name: str) -> None:
    given = [option.flag for option in commands()[name].options if not option.flag.startswith("--")]
    args = parse([name, *given, "--config", "some.yaml", "train.seed=1", "--dry-run"])
    assert (args.command, args.config, args.overrides, args.dry_run) == (name, "some.yaml", ["train.seed=1"], True)
    assert all(hasattr(args, option.name) for option in commands()[name].options)


def test_an_option_is_its_commands_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert parse(["evaluate"]).split == "test"
    with pytest.raises(SystemExit):
        parse(["score", "--split", "test"])
    assert "unrecognized arguments: --split" in capsys.readouterr().err


def test_a_command_imports_no_other_command() -> None:
    code = """
import sys
from sparknlp_ft.cli import main
assert main(["score", "--dry-run", "data.table=t"]) == 0
print(*sorted(name for name in sys.modules if name.startswith("sparknlp_ft.pipelines.")))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "sparknlp_ft.pipelines.score"
