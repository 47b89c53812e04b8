"""The Databricks bundle, checked without a workspace: known fields only, files that exist, commands that parse."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from databricks.bundles.jobs import Job

from sparknlp_ft.cli import parse
from sparknlp_ft.commands import command_names
from sparknlp_ft.config import load_config

ROOT = Path(__file__).parents[2]
BUNDLE = yaml.safe_load((ROOT / "databricks.yml").read_text(encoding="utf-8"))
FILES = sorted((ROOT / "resources").glob("*.yml"))
JOBS: dict[str, Any] = {name: job for file in FILES for name, job in yaml.safe_load(file.read_text())["resources"]["jobs"].items()}


def test_there_is_a_job_for_each_command() -> None:
    # What looks after runs and folders is for a command line.
    assert set(JOBS) == set(command_names()) - {"status", "clean", "reproduce"}


@pytest.mark.parametrize("name", JOBS)
def test_the_definition_has_known_fields_only(name: str) -> None:
    Job.from_dict(JOBS[name])


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(ValueError, match="no_such_field"):
        Job.from_dict({**JOBS["train"], "no_such_field": 1})


def test_every_variable_is_declared_and_every_declared_one_is_used() -> None:
    texts = [(ROOT / "databricks.yml").read_text(), *(file.read_text() for file in FILES)]
    used = {name for text in texts for name in re.findall(r"\$\{var\.(\w+)\}", text)}
    assert used == set(BUNDLE["variables"])


@pytest.mark.parametrize("target", BUNDLE["targets"])
def test_a_target_gives_every_variable_that_has_no_default(target: str) -> None:
    required = {name for name, variable in BUNDLE["variables"].items() if "default" not in variable}
    assert required <= set(BUNDLE["targets"][target]["variables"]) <= set(BUNDLE["variables"])


@pytest.mark.parametrize("name", JOBS)
def test_the_task_runs_a_command_that_parses_and_loads(name: str) -> None:
    task = JOBS[name]["tasks"][0]
    assert (ROOT / "resources" / task["spark_python_task"]["python_file"]).resolve().is_file()
    assert task["job_cluster_key"] in {cluster["job_cluster_key"] for cluster in JOBS[name]["job_clusters"]}
    parameters = {parameter["name"]: parameter["default"] for parameter in JOBS[name]["parameters"]}
    command = [_filled(text, parameters) for text in task["spark_python_task"]["parameters"]]
    args = parse(command)
    assert args.command == name
    config = load_config(args.config, args.overrides)
    if name == "package":  # reads no table
        assert config.package.name == "c.s.ner" and Path(str(config.package.processing)).is_file()
        return
    assert config.data.table == "c.s.banking77"
    assert config.data.root.startswith("/Volumes/")


def _filled(text: str, parameters: dict[str, str]) -> str:
    """Put in what Databricks would: the job's parameters and the bundle's values."""
    text = re.sub(r"\{\{job\.parameters\.(\w+)\}\}", lambda match: parameters[match.group(1)], text)
    values = {"workspace.file_path": str(ROOT), "var.catalog": "c", "var.schema": "s", "var.volume": "v", "var.experiments": "/e"}
    return re.sub(r"\$\{([\w.]+)\}", lambda match: values[match.group(1)], text)
