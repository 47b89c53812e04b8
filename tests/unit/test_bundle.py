"""The Databricks bundle, checked without a workspace: known fields only, references and files that exist, commands that load."""

from __future__ import annotations

import copy
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from databricks.bundles.experiments import MlflowExperiment
from databricks.bundles.jobs import ClusterSpec, Job, JobRunAs
from databricks.bundles.registered_models import RegisteredModel
from databricks.bundles.schemas import Schema
from databricks.bundles.volumes import Volume

from sparknlp_ft.cli import parse
from sparknlp_ft.commands import command, command_names
from sparknlp_ft.config import Config, load_config
from sparknlp_ft.errors import ConfigError

ROOT = Path(__file__).parents[2]
BUNDLE = yaml.safe_load((ROOT / "databricks.yml").read_text(encoding="utf-8"))
FILES = sorted((ROOT / "resources").glob("*.yml"))
KINDS: dict[str, Any] = {
    "jobs": Job,
    "schemas": Schema,
    "volumes": Volume,
    "experiments": MlflowExperiment,
    "registered_models": RegisteredModel,
}
RESOURCES: dict[str, dict[str, Any]] = {}
for _file in FILES:
    for _kind, _named in yaml.safe_load(_file.read_text(encoding="utf-8"))["resources"].items():
        RESOURCES.setdefault(_kind, {}).update(_named)
JOBS = RESOURCES["jobs"]
TASKS = [(name, task["task_key"]) for name, job in JOBS.items() for task in job["tasks"]]
#: Those that run a command.
COMMANDS = [(name, task) for name, task in TASKS if name != "horovod"]
DEVELOPMENT = [name for name, target in BUNDLE["targets"].items() if target["mode"] == "development"]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
REQUIREMENTS = [line for line in (ROOT / "resources" / "requirements.txt").read_text().splitlines() if line and not line.startswith("#")]

#: What the platform itself fills in; in development names get a prefix, which for an experiment has a blank and brackets.
PLATFORM = {
    "workspace.file_path": str(ROOT),
    "workspace.current_user.userName": "me@example.com",
    "bundle.name": "sparknlp_ft",
    "bundle.target": "aws",
    "resources.experiments.runs.name": "/Users/me@example.com/[dev me] sparknlp_ft_aws",
    "resources.schemas.lake.name": "dev_me_sparknlp_ft",
    "resources.registered_models.example.name": "dev_me_tickets",
}
#: Values that a run fills in, of https://docs.databricks.com/jobs/dynamic-value-references.
OF_A_RUN = {"job.run_id": "17", "job.repair_count": "0", "task.name": "task"}


def test_there_is_a_job_for_each_command_and_one_without_clusters_where_no_ranks_start() -> None:
    # What looks after runs and folders is for a command line.
    commands = set(command_names()) - {"status", "clean", "reproduce"}
    serverless = {f"{name}_serverless" for name in commands - {"train", "compare"}}
    assert set(JOBS) == commands | serverless | {"pipeline", "horovod"}


def test_the_bundle_has_known_fields_only() -> None:
    assert set(BUNDLE) == {"bundle", "include", "sync", "artifacts", "variables", "workspace", "targets"}
    for target in BUNDLE["targets"].values():
        assert set(target) <= {"mode", "default", "variables", "workspace", "run_as", "permissions", "resources"}
    for variable in BUNDLE["variables"].values():
        assert set(variable) <= {"description", "default", "type"}


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, named in RESOURCES.items() for name in named])
def test_a_resource_has_known_fields_only(kind: str, name: str) -> None:
    KINDS[kind].from_dict(_filled(RESOURCES[kind][name]))


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, named in RESOURCES.items() for name in named])
def test_an_unknown_field_is_refused(kind: str, name: str) -> None:
    with pytest.raises(ValueError, match="no_such_field"):
        KINDS[kind].from_dict({**_filled(RESOURCES[kind][name]), "no_such_field": 1})


def test_a_key_stands_for_one_resource() -> None:
    # `databricks bundle run KEY` would not know which.
    keys = [name for named in RESOURCES.values() for name in named]
    assert len(keys) == len(set(keys))


def test_every_variable_is_declared_and_every_declared_one_is_used() -> None:
    used = {found for text in _texts([BUNDLE, RESOURCES]) for found in re.findall(r"\$\{var\.(\w+)\}", text)}
    assert used == set(BUNDLE["variables"])


def test_every_reference_leads_to_something() -> None:
    for text in _texts([BUNDLE, RESOURCES]):
        for reference in re.findall(r"\$\{([^}]+)\}", text):
            _value(reference)


@pytest.mark.parametrize("target", DEVELOPMENT)
def test_a_target_of_a_cloud_gives_every_variable_that_has_no_default(target: str) -> None:
    required = {name for name, variable in BUNDLE["variables"].items() if "default" not in variable}
    assert required <= set(BUNDLE["targets"][target]["variables"]) <= set(BUNDLE["variables"])


def test_each_cloud_has_nodes_of_its_own() -> None:
    for kind in ("node_type", "gpu_node_type"):
        assert len({BUNDLE["targets"][target]["variables"][kind] for target in DEVELOPMENT}) == len(DEVELOPMENT) == 3


def test_a_runtime_for_gpus_goes_to_nodes_with_gpus_and_no_other() -> None:
    cpu, gpu = (ClusterSpec.from_dict(_filled(BUNDLE["variables"][name]["default"])) for name in ("cpu_cluster", "gpu_cluster"))
    nodes = BUNDLE["targets"]["aws"]["variables"]
    assert "-cpu-ml-" in str(cpu.spark_version) and cpu.node_type_id == nodes["node_type"] and cpu.driver_node_type_id is None
    assert "-gpu-ml-" in str(gpu.spark_version) and gpu.node_type_id == gpu.driver_node_type_id == nodes["gpu_node_type"]


def test_models_go_to_unity_catalog() -> None:
    # MLflow on a cluster follows the workspace's default else; serverless jobs know no other registry.
    for name in ("cpu_cluster", "gpu_cluster"):
        assert BUNDLE["variables"][name]["default"]["spark_env_vars"]["MLFLOW_REGISTRY_URI"] == "databricks-uc"


def test_production_is_the_service_principals_alone() -> None:
    prod = BUNDLE["targets"]["prod"]
    assert prod["workspace"]["root_path"].startswith("/Workspace/Users/${var.service_principal}/")
    JobRunAs.from_dict(_filled(prod["run_as"]))
    for kind, named in prod["resources"].items():
        for name, changed in named.items():
            KINDS[kind].from_dict(_filled({**RESOURCES[kind][name], **changed}))


def test_no_two_files_become_one_notebook() -> None:
    scripts = {file.with_suffix("") for file in ROOT.glob("notebooks/*.py")}
    assert scripts & {file.with_suffix("") for file in ROOT.glob("notebooks/*.ipynb")}
    assert "notebooks/*.ipynb" in BUNDLE["sync"]["exclude"]


def test_each_build_has_a_version_of_its_own() -> None:
    assert BUNDLE["artifacts"]["wheel"]["dynamic_version"] is True


def test_the_requirements_are_the_extras() -> None:
    wanted = [*EXTRAS["train"], *EXTRAS["compare"], *EXTRAS["report"], *EXTRAS["demo"]]
    assert wanted == REQUIREMENTS


@pytest.mark.parametrize(("job", "task"), TASKS)
def test_a_task_has_where_and_what_it_runs(job: str, task: str) -> None:
    definition = _task(job, task)
    assert (ROOT / "resources" / definition["spark_python_task"]["python_file"]).resolve().is_file()
    if "job_cluster_key" in definition:
        clusters = {one["job_cluster_key"]: one["new_cluster"] for one in JOBS[job]["job_clusters"]}
        assert clusters[definition["job_cluster_key"]] == f"${{var.{definition['job_cluster_key']}_cluster}}"
        return
    environments = {one["environment_key"]: one["spec"] for one in JOBS[job]["environments"]}
    assert "../dist/*.whl" in environments[definition["environment_key"]]["dependencies"]
    assert definition["disable_auto_optimization"] is True


@pytest.mark.parametrize(("job", "task"), TASKS)
def test_what_the_user_must_mend_is_not_tried_again(job: str, task: str) -> None:
    definition = _task(job, task)
    given = definition["spark_python_task"]["parameters"]
    if definition["max_retries"] == 0:
        return
    assert given[0] == "--refusal"
    # A repaired run is a new try, and tasks of a run have a file each.
    assert {"{{job.run_id}}", "{{job.repair_count}}", "{{task.name}}"} <= set(re.findall(r"\{\{.*?\}\}", given[1]))


@pytest.mark.parametrize("job", JOBS)
def test_every_parameter_of_a_job_is_declared_and_every_declared_one_is_used(job: str) -> None:
    declared = {parameter["name"] for parameter in JOBS[job]["parameters"]}
    assert declared == {found for text in _texts(JOBS[job]["tasks"]) for found in re.findall(r"\{\{job\.parameters\.(\w+)\}\}", text)}


@pytest.mark.parametrize(("job", "task"), COMMANDS)
def test_a_task_runs_a_command_that_parses_and_loads(job: str, task: str) -> None:
    config = _config(job, _task(job, task))
    if task == "package":  # reads no table
        assert config.package.name == "dev.dev_me_sparknlp_ft.ner" and Path(str(config.package.processing)).is_file()
        return
    assert config.data.table == "dev.dev_me_sparknlp_ft.tickets"
    assert config.data.root.startswith("/Volumes/dev/dev_me_sparknlp_ft/")
    if task == "ingest":
        assert [source.path for source in config.data.sources] == ["/Volumes/dev/dev_me_sparknlp_ft/sparknlp_ft/sources/tickets.csv"]
        return
    assert config.tracking.uri == "databricks"
    assert config.tracking.experiment == "/Users/me@example.com/[dev me] sparknlp_ft_aws"
    assert config.tracking.model_name == "dev.dev_me_sparknlp_ft.dev_me_tickets"


@pytest.mark.parametrize("job", ["train", "compare", "pipeline"])
def test_what_trains_finds_base_model_and_reader_among_the_requirements(job: str) -> None:
    task = next(task for task in JOBS[job]["tasks"] if task["task_key"] in ("train", "compare"))
    config = _config(job, task)
    package = re.fullmatch(r"package:(\w+)/.*", config.model.base)
    assert package is not None and any(line.startswith(package[1].replace("_", "-")) for line in REQUIREMENTS)
    assert config.launch.reader == "arrow" and config.launch.run_dir.startswith("/Volumes/")
    assert {"requirements": "${var.training_requirements}"} in task["libraries"]


def test_a_typo_in_a_setting_is_found() -> None:
    task = copy.deepcopy(_task("train", "train"))
    given = task["spark_python_task"]["parameters"]
    given[given.index("tracking.uri=databricks")] = "tracking.url=databricks"
    with pytest.raises(ConfigError, match=r"tracking.url: no such key"):
        _config("train", task)


def test_the_pipeline_scores_with_what_was_evaluated() -> None:
    after = {task["task_key"]: [one["task_key"] for one in task.get("depends_on", [])] for task in JOBS["pipeline"]["tasks"]}
    assert after == {"ingest": [], "train": ["ingest"], "evaluate": ["train"], "score": ["evaluate"]}
    for task in JOBS["pipeline"]["tasks"]:
        alone, here = _task(task["task_key"], task["task_key"]), task["spark_python_task"]
        # Train asks for the floor of evaluate as well: a model that stops the chain there has no alias by then.
        floor = ["tracking.at_least.{{job.parameters.floor}}"] if task["task_key"] == "train" else []
        assert here["parameters"] == alone["spark_python_task"]["parameters"] + floor
        assert here["python_file"] == alone["spark_python_task"]["python_file"] and task["libraries"] == alone["libraries"]
    assert _config("pipeline", _task("pipeline", "train")).tracking.at_least == {"accuracy": 0.5}


def test_only_score_starts_by_itself() -> None:
    assert [name for name, job in JOBS.items() if {"schedule", "trigger", "continuous"} & set(job)] == ["score"]


def _task(job: str, key: str) -> dict[str, Any]:
    return next(task for task in JOBS[job]["tasks"] if task["task_key"] == key)


def _config(job: str, task: dict[str, Any]) -> Config:
    """Return the configuration of a task's command, run with the job's defaults."""
    parameters = {f"job.parameters.{parameter['name']}": _filled(parameter["default"]) for parameter in JOBS[job]["parameters"]}
    known = {**OF_A_RUN, **parameters}
    given = [
        re.sub(r"\{\{([\w.]+)\}\}", lambda match: str(known[match[1]]), text) for text in _filled(task["spark_python_task"]["parameters"])
    ]
    args = parse(given[2:])
    assert args.command == task["task_key"] and given[1].startswith("/Volumes/")
    for option in command(args.command).options:
        option.check(getattr(args, option.name))
    return load_config(args.config, args.overrides, need_table=command(args.command).needs_table)


def _texts(value: Any) -> Iterator[str]:
    """Yield every string in a nest of mappings and lists."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    elif isinstance(value, str):
        yield value


def _filled(value: Any) -> Any:
    """Put in what the command line of Databricks would, for the target of one cloud."""
    if isinstance(value, dict):
        return {key: _filled(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner) for inner in value]
    if not isinstance(value, str):
        return value
    whole = re.fullmatch(r"\$\{([\w.]+)\}", value)
    return _value(whole[1]) if whole else re.sub(r"\$\{([\w.]+)\}", lambda match: str(_value(match[1])), value)


def _value(reference: str) -> Any:
    if reference in PLATFORM:
        return PLATFORM[reference]
    kind, _, path = reference.partition(".")
    if kind == "var":
        return _filled(BUNDLE["targets"]["aws"]["variables"].get(path, BUNDLE["variables"][path].get("default")))
    assert kind == "resources", reference
    found: Any = RESOURCES
    for part in path.split("."):
        found = found[part]
    return _filled(found)
