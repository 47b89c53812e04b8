"""Dockerfile and deploy/: what they copy, at which versions, and what a container runs; no image is built."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from sparknlp_ft.cli import parse
from sparknlp_ft.config import load_config

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
APPLICATION = yaml.safe_load((ROOT / "deploy" / "spark-application.yaml").read_text(encoding="utf-8"))


def locked(package: str) -> str:
    found = re.search(rf"^{package}==([\w.]+)", LOCK, flags=re.MULTILINE)
    assert found is not None
    return found[1]


def test_cuda_is_of_the_major_version_of_torchs() -> None:
    images = re.findall(r"nvidia/cuda:(\d+)\.", DOCKERFILE)
    assert set(images) == {locked("cuda-toolkit").split(".")[0]} and len(images) == 2


def test_the_container_is_not_root_and_either_device_has_both_stages() -> None:
    assert DOCKERFILE.rindex("\nUSER 185\n") > DOCKERFILE.rindex("\nFROM ")
    stages = {f"{stage}-on-{device}" for stage in ("build", "run") for device in ("cuda", "cpu")}
    assert stages <= set(re.findall(r" AS ([\w-]+)", DOCKERFILE))


def test_what_is_copied_is_there_and_all_that_set_up_reads_is() -> None:
    shown = [line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert all((ROOT / name).exists() for name in shown)
    read = re.findall(r"cat (requirements.lock) (pyproject.toml) (scripts)/", (ROOT / "scripts" / "setup.sh").read_text(encoding="utf-8"))
    assert read and {*read[0], "src", "README.md", "LICENSE"} <= set(shown)


def run(folder: Path, variables: Mapping[str, str], *arguments: str) -> list[str]:
    """Run the entry point with programs that print what they were given, a line each; returns the lines."""
    for name in ("spark-submit", "java", "sparknlp-ft"):
        program = folder / name
        program.write_text(f"#!/bin/bash\nprintf '%s\\n' {name} \"$@\"\n")
        program.chmod(0o755)
    env = {"PATH": f"{folder}:/usr/bin:/bin", **variables}
    done = subprocess.run([ROOT / "deploy" / "entrypoint.sh", *arguments], env=env, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_a_driver_is_submitted_where_it_is(tmp_path: Path) -> None:
    given = ["--properties-file", "/opt/spark/conf/spark.properties", "local:///opt/sparknlp_ft/jobs/run.py", "score", "data.table=a b"]
    ran = run(tmp_path, {"SPARK_DRIVER_BIND_ADDRESS": "10.0.0.7"}, "driver", *given)
    assert ran == ["spark-submit", "--deploy-mode", "client", "--conf", "spark.driver.bindAddress=10.0.0.7", *given]


def test_an_executor_runs_with_what_spark_tells_it(tmp_path: Path) -> None:
    told = {
        "SPARK_HOME": "/opt/spark",
        "SPARK_JAVA_OPT_0": "-Da=b c",
        "SPARK_JAVA_OPT_1": "-De=f",
        "SPARK_EXECUTOR_MEMORY": "2g",
        "SPARK_DRIVER_URL": "spark://driver:7078",
        "SPARK_APPLICATION_ID": "app-1",
        "SPARK_EXECUTOR_ID": "3",
        "SPARK_EXECUTOR_CORES": "1",
        "SPARK_RESOURCE_PROFILE_ID": "0",
        "SPARK_EXECUTOR_POD_IP": "10.0.0.8",
        "SPARK_EXECUTOR_POD_NAME": "exec-3",
    }
    ran = run(tmp_path, told, "executor")
    assert ran[:8] == ["java", "-Da=b c", "-De=f", "-Xms2g", "-Xmx2g", "-cp", "/opt/spark/conf:/opt/spark/jars/*:", ran[7]]
    assert ran[7] == "org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend"
    assert dict(zip(ran[8::2], ran[9::2], strict=True)) == {
        "--driver-url": "spark://driver:7078",
        "--app-id": "app-1",
        "--executor-id": "3",
        "--cores": "1",
        "--resourceProfileId": "0",
        "--hostname": "10.0.0.8",
        "--podName": "exec-3",
    }


def test_anything_else_is_run_as_it_is(tmp_path: Path) -> None:
    assert run(tmp_path, {}, "sparknlp-ft", "score", "data.table=a b") == ["sparknlp-ft", "score", "data.table=a b"]


def test_an_executor_that_is_not_told_all_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError) as failed:
        run(tmp_path, {"SPARK_HOME": "/opt/spark", "SPARK_EXECUTOR_MEMORY": "2g"}, "executor")
    assert "SPARK_DRIVER_URL: unbound variable" in failed.value.stderr


def test_the_application_runs_a_command_that_loads() -> None:
    spec = APPLICATION["spec"]
    assert spec["sparkVersion"] == locked("pyspark")
    for file in (spec["mainApplicationFile"].removeprefix("local://"), spec["arguments"][2]):
        assert (ROOT / file.removeprefix("/opt/sparknlp_ft/")).is_file()
    args = parse(spec["arguments"])
    config = load_config(ROOT / args.config.removeprefix("/opt/sparknlp_ft/"), args.overrides)
    mounted = spec["executor"]["volumeMounts"][0]["mountPath"]
    assert config.launch.run_dir.startswith(mounted) and config.data.root.startswith(mounted)
    assert config.launch.ranks == spec["executor"]["instances"] * spec["executor"]["cores"]
