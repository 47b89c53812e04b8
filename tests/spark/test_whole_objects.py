"""Run folder and snapshot on a storage of whole objects: train, resume, compare and search, with no append and no rename."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

from sparknlp_ft.config import Config, load_config
from sparknlp_ft.pipelines.compare import run_compare
from sparknlp_ft.pipelines.score import run_score
from sparknlp_ft.pipelines.train import run_train
from sparknlp_ft.training import recorder
from tests.tiny import tiny_model_dir

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

WORDS = {"lost": "card", "charged": "fee", "transfer": "money"}
ROWS = 120


class Killed(Exception):
    pass


@pytest.fixture(scope="module")
def config(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Config:
    folder = tmp_path_factory.mktemp("objects")
    words = list(WORDS)
    rows = [
        (i, f"please help {words[i % 3]} my account {i % 7}", WORDS[words[i % 3]], "test" if i % 5 == 0 else "train") for i in range(ROWS)
    ]
    spark.createDataFrame(rows, "id int, text string, label string, split string").write.format("delta").save(str(folder / "texts"))
    settings = [
        f"data={{table: {folder / 'texts'}, root: 'whole://{folder}/lake', validation_fraction: 0.2}}",
        f"model={{base: {tiny_model_dir(folder)}, dropout: 0.0}}",
        "text.max_length=32",
        "train={epochs: 3, batch_size: 8, learning_rate: 0.002, patience: null}",
        f"launch={{backend: solo, ranks: 1, checkpoint_steps: 3, run_dir: 'whole://{folder}/runs'}}",
        f"tracking.uri=sqlite:///{folder}/store/mlflow.db",
        # Words give these classes away, so the cheap baseline is perfect: what is tested here needs a model behind the alias.
        "tracking.gate=alias",
        "score.precision=float32",
        "compare.search={train.learning_rate: {low: 0.001, high: 0.01, log: true}}",
    ]
    return load_config(None, settings)


def runs_of(config: Config) -> Path:
    return Path(config.launch.run_dir.removeprefix("whole://"))


def test_a_killed_training_goes_on_and_is_scored_with(spark: SparkSession, config: Config) -> None:
    write, steps = recorder.Recorder._write_step, list[int]()

    def die(self: Any) -> None:
        steps.append(self.pending[-1].step)
        write(self)
        if self.rows > 1.5 * self.parts.train.rows:
            self.checkpoints.finish()
            raise Killed

    with mock.patch.object(recorder.Recorder, "_write_step", die), pytest.raises(Killed):
        run_train(config, spark)
    killed_at, steps[:] = steps[-1], []
    assert list(runs_of(config).glob("*/checkpoints/*/state.safetensors"))
    with mock.patch.object(recorder.Recorder, "_write_step", lambda self: (steps.append(self.pending[-1].step), write(self))):
        outcome = run_train(config, spark)
    assert killed_at - 3 <= steps[0] <= killed_at < outcome.result.steps == steps[-1], "what was done is not done again"
    assert outcome.result.best_dir.startswith("whole://")
    assert list((runs_of(config) / "_snapshots").glob("*/manifest.json"))
    scoring = config.model_copy(update={"score": config.score.model_copy(update={"model": outcome.model.display})})
    assert run_score(scoring, spark).scored == ROWS and run_score(scoring, spark).scored == 0


def test_the_same_job_starts_anew_once_its_run_was_logged(spark: SparkSession, config: Config) -> None:
    first, second = (run_train(config, spark) for _ in range(2))
    assert first.result.best_dir != second.result.best_dir and first.run_id != second.run_id
    assert first.result.best_metrics == second.result.best_metrics


def test_a_search_that_was_killed_goes_on(spark: SparkSession, config: Config) -> None:
    from sparknlp_ft.comparing import contest

    train, trained = contest.fine_tune, list[str]()

    def die(*args: Any, **options: Any) -> Any:
        if len(trained) == 2:
            raise KeyboardInterrupt
        trained.append("trial")
        return train(*args, **options)

    searched = config.model_copy(update={"compare": config.compare.model_copy(update={"candidates": []})})
    with mock.patch.object(contest, "fine_tune", die), pytest.raises(KeyboardInterrupt):
        run_compare(searched, spark, trials=3)
    asked = sorted(path.name for path in runs_of(config).glob("searches/*/*"))
    assert asked == ["0000-asked.json", "0000-ended.json", "0001-asked.json", "0001-ended.json", "0002-asked.json"]
    trained.clear()
    result = run_compare(searched, spark, trials=3)
    assert len(trained) == 0 and result.found is not None and (result.found.trials, result.found.failed) == (3, 0)
    assert not list(runs_of(config).glob("searches/*/*"))


def test_a_candidate_that_was_measured_is_not_trained_again(spark: SparkSession, config: Config) -> None:
    with mock.patch("sparknlp_ft.pipelines.compare.write_board", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        run_compare(config, spark)
    assert list((runs_of(config) / "measured").glob("*.json"))
    with mock.patch("sparknlp_ft.comparing.contest.fine_tune", side_effect=AssertionError("trained a second time")):
        result = run_compare(config, spark)
    assert result.winner is not None and not list((runs_of(config) / "measured").glob("*.json"))
