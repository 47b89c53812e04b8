"""Every command in the README and in docs/FEATURES.md exists and parses; every file and setting they name is there."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest
import yaml

from sparknlp_ft.cli import parse
from sparknlp_ft.commands import command
from sparknlp_ft.config import Config, load_config

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FEATURES = (ROOT / "docs" / "FEATURES.md").read_text(encoding="utf-8")
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL) for line in block.splitlines() if line.strip()]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
BUNDLE = yaml.safe_load((ROOT / "databricks.yml").read_text(encoding="utf-8"))
JOBS = {job for file in (ROOT / "resources").glob("*.yml") for job in yaml.safe_load(file.read_text())["resources"].get("jobs", {})}
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_parses(line: str) -> None:
    words = shlex.split(line)
    if words[0] == "make":
        assert set(words[1:]) <= TARGETS
    elif words[0].endswith("sparknlp-ft"):
        _loads(words[1:])
    elif words[0] == "spark-submit":
        at = next(i for i, word in enumerate(words) if word.startswith("jobs/"))
        assert (ROOT / words[at]).is_file()
        _loads(words[at + 1 :])
    elif words[0] == "databricks":
        assert words[1] == "bundle"
        assert words[words.index("-t") + 1] in BUNDLE["targets"]
        if words[2] == "run":
            assert words[3] in JOBS
    elif words[0].endswith("mlflow"):
        assert words[1:3] == ["ui", "--backend-store-uri"]
    elif words[0].endswith("pip"):
        extras = words[2].partition("[")[2].rstrip("]").split(",")
        assert words[1] == "install" and set(extras) <= set(PYPROJECT["project"]["optional-dependencies"])
    else:
        assert words[0] == "export"


@pytest.mark.parametrize("line", sorted(set(re.findall(r"`(sparknlp-ft [^`]+)`", FEATURES))))
def test_a_feature_has_a_command_that_parses(line: str) -> None:
    _loads(shlex.split(line)[1:])


def test_the_two_commands_come_first() -> None:
    assert COMMANDS[:2] == ["make demo", "make test"]
    assert "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


@pytest.mark.parametrize("link", re.findall(r"\]\((?!http)([^)#]+)\)", README))
def test_a_link_leads_somewhere(link: str) -> None:
    assert (ROOT / link).exists()


def test_the_tree_is_the_tree() -> None:
    tree = README.split("```")[3]
    for name in re.findall(r"^(\w+/)", tree, flags=re.MULTILINE):
        assert (ROOT / name).is_dir(), name
    for name in re.findall(r"^  (\w+(?:/|\.py))", tree, flags=re.MULTILINE):
        assert (ROOT / "src" / "sparknlp_ft" / name).exists(), name


def test_settings_named_in_the_text_exist() -> None:
    sections = "|".join(Config.model_fields)
    named = set(re.findall(rf"`((?:{sections})\.[a-z_]+)`", README + FEATURES))
    assert named
    for dotted in named:
        section, key = dotted.split(".")
        model = Config.model_fields[section].annotation
        assert model is not None and key in model.model_fields, dotted


def _loads(arguments: list[str]) -> None:
    args = parse(arguments)
    config = None if args.config is None else ROOT / args.config
    assert load_config(config, args.overrides, need_table=command(args.command).needs_table)
