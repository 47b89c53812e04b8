"""Every YAML file in conf/ loads, and the reference is in step with the models."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from sparknlp_ft.config import Config, DataConfig, load_config

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("file", sorted((ROOT / "conf").glob("*.yaml")), ids=lambda file: file.name)
def test_it_loads(file: Path) -> None:
    assert load_config(file).data.table


def test_the_reference_is_written_from_the_models() -> None:
    written = runpy.run_path(str(ROOT / "scripts" / "write_reference.py"))["reference"]()
    assert (ROOT / "conf" / "reference.yaml").read_text(encoding="utf-8") == written, "run make reference"


def test_the_reference_holds_the_defaults(tmp_path: Path) -> None:
    defaults = Config(data=DataConfig(table="messages"))
    expected = load_config(None, ["data.table=messages"], base_dir=tmp_path)
    assert load_config(ROOT / "conf" / "reference.yaml", base_dir=tmp_path) == expected
    assert expected.train == defaults.train


def test_the_demo_stays_within_its_folder() -> None:
    config = load_config(ROOT / "conf" / "demo.yaml", base_dir="/anywhere")
    paths = [config.data.root, config.launch.run_dir, config.tracking.artifacts, *(source.path for source in config.data.sources)]
    assert all(str(path).startswith("/anywhere/demo_run/") for path in paths)
