"""The configuration: defaults < YAML < overrides, all problems at once, absolute paths."""

from pathlib import Path

import pytest

from sparknlp_ft.config import load_config
from sparknlp_ft.errors import ConfigError


def test_overrides_win_over_the_file_and_defaults_fill_the_rest(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text("data: {table: tickets, key: ticket}\ntrain: {epochs: 3, seed: 7}\n")
    config = load_config(file, ["train.epochs=5", "data.columns.text=body", "score.where=a = 'x=y'"])
    assert (config.train.epochs, config.train.seed, config.train.lanes) == (5, 7, 8)
    assert config.data.key == ["ticket"]
    assert config.data.columns == {"text": "body"}
    assert config.score.where == "a = 'x=y'"


def test_paths_become_absolute_and_addresses_stay(tmp_path: Path) -> None:
    (tmp_path / "mymodel").mkdir()
    overrides = ["data.table=t", "data.root=s3://bucket/lake", "launch.run_dir=runs", "model.base=mymodel"]
    config = load_config(None, overrides, base_dir=tmp_path)
    assert config.data.root == "s3://bucket/lake"
    assert config.launch.run_dir == str(tmp_path / "runs")
    assert config.model.base == str(tmp_path / "mymodel")


def test_hub_name_is_not_taken_for_a_path(tmp_path: Path) -> None:
    assert load_config(None, ["data.table=t", "model.base=bert-base-uncased"], base_dir=tmp_path).model.base == "bert-base-uncased"


def test_all_problems_are_named_together_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(None, ["data.table=t", "train.epoch=3", "lunch.ranks=2", "train.batch_size=many", "nonsense"])
    message = str(caught.value)
    assert "4 problem(s)" in message
    for expected in ("train.epoch", "'epochs'", "lunch", "'launch'", "train.batch_size: 'many'", "'nonsense'"):
        assert expected in message


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["train.batch_size=0"], "train.batch_size: 0"),
        (["launch.ranks=9"], "more than train.lanes 8"),
        (["data.key=[]"], "data.key"),
        (["data.validation_fraction=1.5"], "data.validation_fraction: 1.5"),
        (["data.sources=[{format: xls, path: a}]"], "data.sources.0.format: 'xls'"),
        (["data.sources=[{format: csv, path: a, sep: ;}]"], "data.sources.0.sep"),
    ],
)
def test_values_that_do_not_fit_are_refused(overrides: list[str], expected: str) -> None:
    with pytest.raises(ConfigError, match="problem") as caught:
        load_config(None, ["data.table=t", *overrides])
    assert expected in str(caught.value)


@pytest.mark.parametrize("content", ["- a\n- b\n", "data: [unclosed", "just text"])
def test_a_file_that_holds_no_sections_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(content)
    with pytest.raises(ConfigError, match="job.yaml"):
        load_config(file)


def test_a_missing_file_offers_its_nearest_neighbour(tmp_path: Path) -> None:
    (tmp_path / "banking.yaml").write_text("data: {table: t}\n")
    with pytest.raises(ConfigError, match="banking.yaml"):
        load_config(tmp_path / "bankign.yaml")


def test_flat_lists_every_setting_by_its_dotted_path() -> None:
    flat = load_config(None, ["data.table=t"]).flat()
    assert flat["train.weight_decay"] == 0.01
    assert flat["train.learning_rate"] is None  # settled when the rows and the model are known
    assert flat["data.columns"] == {}


def test_model_name_is_one_per_task_and_table() -> None:
    assert load_config(None, ["data.table=main.support.tickets"]).model_name == "classification-main-support-tickets"
    assert load_config(None, ["data.table=/lake/tickets/"]).model_name == "classification-tickets"
