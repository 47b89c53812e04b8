"""compare: baselines and candidates on one leaderboard, one MLflow parent with a child each, a restart, a search."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

from sparknlp_ft.cli import parse
from sparknlp_ft.config import Config, load_config
from sparknlp_ft.errors import ConfigError, DataError
from sparknlp_ft.pipelines.compare import Comparison, run_compare
from sparknlp_ft.pipelines.score import run_score
from sparknlp_ft.tracking.store import connect, find_alias
from tests.tiny import tiny_model_dir

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

WORDS = {"lost": "card", "charged": "fee", "transfer": "money"}
ROWS = 180
CANDIDATES = """[
  {name: full}, {name: frozen, set: {model.tuning: frozen, text.window: sliding}}, {name: elsewhere, set: {model.base: /no/such/folder}}
]"""


@pytest.fixture(scope="module")
def config(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Config:
    folder = tmp_path_factory.mktemp("compare")
    words = list(WORDS)
    splits = ["test", "validation", *["train"] * 4]
    rows = [(i, f"please help {words[i % 3]} my account {i % 7}", WORDS[words[i % 3]], splits[i // 3 % 6]) for i in range(ROWS)]
    spark.createDataFrame(rows, "id int, text string, label string, split string").write.format("delta").save(
        str(folder / "lake" / "texts")
    )
    settings = [
        "data.table=texts",
        f"data.root={folder / 'lake'}",
        f"model.base={tiny_model_dir(folder)}",
        "model.dropout=0.0",
        "text.max_length=32",
        "train={epochs: 8, batch_size: 8, learning_rate: 0.002, patience: null}",
        f"launch={{backend: solo, ranks: 1, run_dir: {folder / 'runs'}}}",
        f"tracking.uri=sqlite:///{folder}/store/mlflow.db",
        # Words give these classes away, so the cheap baseline is perfect: what is tested here needs a model behind the alias.
        "tracking.gate=alias",
        f"compare.candidates={CANDIDATES}",
        "compare.register_winner=true",
    ]
    return load_config(None, settings)


@pytest.fixture(scope="module")
def compared(spark: SparkSession, config: Config) -> Comparison:
    """A comparison that was cut off before its end and started again."""
    with mock.patch("sparknlp_ft.pipelines.compare._register", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        run_compare(config, spark)
    with mock.patch("sparknlp_ft.comparing.contest.fine_tune", side_effect=AssertionError("trained a second time")):
        return run_compare(config, spark)


def board(spark: SparkSession, config: Config) -> list[Any]:
    return spark.read.format("delta").load(f"{config.data.root}/texts_leaderboard").collect()


def test_all_that_was_compared_is_on_the_board(spark: SparkSession, config: Config, compared: Comparison) -> None:
    rows = {row["name"]: row for row in board(spark, config) if row["compare_id"] == compared.run_id}
    assert set(rows) == {"majority", "TF-IDF + logistic regression", "full", "frozen", "elsewhere"}
    assert rows["majority"]["test"] == pytest.approx(1 / 3)
    full, frozen = rows["full"], rows["frozen"]
    assert full["validation"] > rows["majority"]["validation"]
    assert 0 < frozen["trained_share"] < full["trained_share"] == 1
    for row in (full, frozen):
        assert row["training_seconds"] > 0 and row["scoring_rows_per_second"] > 0 and row["size_mb"] > 0
        assert row["test_metrics"]["accuracy"] == row["test"] and row["source_version"] == 0
    assert frozen["settings"]["text.window"] == "sliding" and full["settings"]["text.window"] == "null"
    assert "/no/such/folder" in rows["elsewhere"]["error"] and rows["elsewhere"]["rank"] is None
    best = max((row for row in rows.values() if row["rank"]), key=lambda row: row["validation"])
    assert rows[best["name"]]["validation"] == next(row for row in rows.values() if row["rank"] == 1)["validation"]


def test_each_has_a_run_below_the_parent(config: Config, compared: Comparison) -> None:
    client = connect(config.tracking).client
    parent = client.get_run(compared.run_id)
    children = client.search_runs([parent.info.experiment_id], filter_string=f"tags.mlflow.parentRunId = '{compared.run_id}'")
    finished = {run.info.run_name for run in children if run.info.status == "FINISHED"}
    assert finished == {"baseline majority", "baseline TF-IDF + logistic regression", "full", "frozen"}
    artifacts = {artifact.path for artifact in client.list_artifacts(compared.run_id)}
    assert {"leaderboard.png", "leaderboard.txt"} <= artifacts
    assert parent.data.tags["winner"] == compared.winner.entry.name  # type: ignore[union-attr]


def test_the_winner_is_registered_through_the_gate(spark: SparkSession, config: Config, compared: Comparison) -> None:
    assert compared.verdict is not None and compared.verdict.moved and compared.winner is not None
    champion = find_alias(connect(config.tracking), config.model_name, "champion")
    assert champion is not None and champion.run_id == compared.winner.model.run_id
    runs = Path(config.launch.run_dir)
    left = [path.name for path in runs.glob("*") if list(path.glob("best-*")) or path.is_file()] + list(runs.glob("measured/*"))
    assert not left, "models are in MLflow, results on the leaderboard: folders and notes are gone"
    assert run_score(config, spark).scored == ROWS
    assert compared.winner.entry.name in str(compared) and "elsewhere failed" in str(compared)


def test_a_search_chooses_on_validation_and_its_commands_parse(spark: SparkSession, config: Config) -> None:
    space = {"train.learning_rate": {"low": 0.001, "high": 0.01, "log": True}, "train.epochs": [1, 2], "train.batch_size": [64, 7]}
    compare = config.compare.model_copy(update={"search": space, "candidates": [], "register_winner": False, "table": "tried"})
    searched = run_compare(config.model_copy(update={"compare": compare}), spark, trials=2, given=["--config", "my conf.yaml"])
    found = searched.found
    assert found is not None and (found.trials, found.failed) == (2, 0) and set(found.settings) == set(space)
    assert 0.001 <= found.settings["train.learning_rate"] <= 0.01 and found.settings["train.epochs"] in (1, 2)
    [entry] = [entry for entry in searched.entries if entry.kind == "model"]
    assert entry.validation["accuracy"] == pytest.approx(found.value)
    commands = [line.partition("sparknlp-ft ")[2] for line in str(searched).splitlines() if "sparknlp-ft " in line]
    train, score = (parse(shlex.split(command)) for command in commands)
    assert train.config == score.config == "my conf.yaml" and f"train.epochs={found.settings['train.epochs']}" in train.overrides
    assert not list(Path(config.launch.run_dir).glob("searches/*"))


def test_what_cannot_be_compared_is_refused_before_anything_is_trained(spark: SparkSession, config: Config) -> None:
    def with_compare(**values: Any) -> Config:
        return config.model_copy(update={"compare": config.compare.model_copy(update=values)})

    with pytest.raises(ConfigError, match=r"--search: 0 is no number of trials"):
        run_compare(config, spark, trials=0)
    with pytest.raises(DataError, match=r"is no leaderboard: it has no column"):
        run_compare(with_compare(table="texts_copy"), _copied(spark, config))
    with pytest.raises(ConfigError, match=r"is the table that is compared on"):
        run_compare(with_compare(table="texts"), spark)


def _copied(spark: SparkSession, config: Config) -> SparkSession:
    spark.read.format("delta").load(f"{config.data.root}/texts").write.format("delta").save(f"{config.data.root}/texts_copy")
    return spark
