"""The main job in one session with a tiny model: ingest, train, score, score again, change, score, evaluate."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from delta.tables import DeltaTable
from pyspark.sql import functions as F
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from sparknlp_ft.config import Config, load_config
from sparknlp_ft.errors import ConfigError
from sparknlp_ft.pipelines.evaluate import run_evaluate
from sparknlp_ft.pipelines.ingest import run_ingest
from sparknlp_ft.pipelines.promote import Promotion, run_promote
from sparknlp_ft.pipelines.score import run_score
from sparknlp_ft.pipelines.train import TrainOutcome, run_train
from sparknlp_ft.steps.baselines import measure_baselines
from sparknlp_ft.steps.job import open_job
from sparknlp_ft.tracking.registry import resolve_model
from sparknlp_ft.tracking.store import connect, set_alias
from tests.tiny import tiny_model_dir

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROWS = 311
WORDS = {"lost": "card", "charged": "fee", "transfer": "money"}

#: What real tables hold besides good text: each must be scored or marked, and change no other row.
ODD_TEXTS = {
    1000: None,
    1001: "",
    1002: " \t\n ",
    1003: "🙂🙃 👩‍👩‍👧‍👦",
    1004: "لقد فقدت بطاقتي",
    1005: "a\x00b",
    1006: "lost " * 20_000,
}


@pytest.fixture(scope="module")
def trained(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, TrainOutcome]:
    folder = tmp_path_factory.mktemp("job")
    rng = np.random.default_rng(0)
    with (folder / "messages.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["ticket", "body", "intent", "split"])
        for i in range(ROWS):
            word = list(WORDS)[i % 3]
            noise = " ".join(rng.choice(["my", "the", "please", "help", "with", "account"], size=rng.integers(1, 12)))
            writer.writerow([i, f"{noise} {word}", WORDS[word], "test" if i % 10 == 0 else "train"])
    settings = [
        "data.table=messages",
        "data.key=ticket",
        "data.columns={text: body, label: intent}",
        "data.validation_fraction=0.2",
        f"data.root={folder / 'lake'}",
        f"data.sources=[{{format: csv, path: {folder / 'messages.csv'}}}]",
        f"model.base={tiny_model_dir(folder)}",
        "model.dropout=0.0",
        "text.max_length=32",
        "train={epochs: 20, batch_size: 16, learning_rate: 0.001, patience: null}",
        f"launch={{backend: solo, ranks: 1, run_dir: {folder / 'runs'}}}",
        f"tracking.uri=sqlite:///{folder}/store/mlflow.db",
        # Words give these classes away, so the cheap baseline is perfect: what is tested here needs a model behind the alias.
        "tracking.gate=alias",
        f"tracking.tensorboard={folder / 'events'}",
    ]
    config = load_config(None, settings)
    run_ingest(config, spark)
    return config, run_train(config, spark)


def predictions(config: Config) -> str:
    return f"{config.data.root}/messages_predictions"


def test_train_registers_a_model_and_moves_the_alias(trained: tuple[Config, TrainOutcome]) -> None:
    _config, outcome = trained
    assert outcome.verdict.moved
    assert outcome.model.display == "classification-messages/1"
    assert outcome.verdict.new > 0.9
    assert outcome.verdict.test["accuracy"] > 0.9
    splits = outcome.manifest.splits
    assert sum(split.rows for split in splits.values()) == ROWS
    assert splits["test"].rows == outcome.verdict.test_rows == len(range(0, ROWS, 10))


def test_what_is_found_in_the_rows_is_told_and_kept_with_the_run(trained: tuple[Config, TrainOutcome], tmp_path: Path) -> None:
    config, outcome = trained
    kept = Path(connect(config.tracking).client.download_artifacts(outcome.run_id, "findings.json", str(tmp_path)))
    found = json.loads(kept.read_text(encoding="utf-8"))
    assert [one["kind"] for one in found] == [one.kind for one in outcome.findings]
    # Of made-up messages of a word or two some are equal.
    [equal] = [one for one in outcome.findings if one.kind == "equal texts in train and test"]
    assert equal.count and equal.examples and "my" not in equal.message.split()


def test_a_second_training_does_not_move_the_alias_unless_better(spark: SparkSession, trained: tuple[Config, TrainOutcome]) -> None:
    config, outcome = trained
    again = run_train(config.model_copy(update={"train": config.train.model_copy(update={"epochs": 1, "learning_rate": 1e-6})}), spark)
    assert not again.verdict.moved
    assert again.verdict.rival == outcome.model.display
    assert again.verdict.rival_value == pytest.approx(outcome.verdict.new)
    assert again.manifest == outcome.manifest  # the snapshot was not built again


def test_a_model_that_is_there_is_promoted_only_if_better(spark: SparkSession, trained: tuple[Config, TrainOutcome]) -> None:
    config, outcome = trained
    store = connect(config.tracking)

    def promote(model: str) -> Promotion:
        return run_promote(config.model_copy(update={"score": config.score.model_copy(update={"model": model})}), spark)

    assert not promote("classification-messages/2").verdict.moved
    set_alias(store, resolve_model(store, "classification-messages/2"), "champion")
    floors = config.tracking.model_copy(update={"at_least": {"accuracy": 1.5}})
    candidate = config.score.model_copy(update={"model": f"runs:/{outcome.run_id}/model"})
    kept = run_promote(config.model_copy(update={"score": candidate, "tracking": floors}), spark).verdict
    assert not kept.moved and kept.missed == {"accuracy": 1.5} and all(one.beaten for one in kept.rivals)
    assert f"misses tracking.at_least: accuracy {kept.new:.4f}, not 1.5, on" in str(kept) and "does not beat" not in str(kept)
    assert "What would help: more rows, another model.base, longer training. score.model=" in str(kept)
    promoted = promote(f"runs:/{outcome.run_id}/model").verdict
    assert promoted.moved and promoted.model.display == "classification-messages/1"  # no version was made a second time
    assert promoted.rival == "classification-messages/2" and promoted.new == pytest.approx(outcome.verdict.new)
    assert promoted.test == outcome.verdict.test
    with pytest.raises(ConfigError, match=r"score.model: not given"):
        run_promote(config, spark)


def test_a_model_that_is_only_as_good_as_the_cheap_baseline_does_not_get_the_alias(
    spark: SparkSession, trained: tuple[Config, TrainOutcome]
) -> None:
    config, outcome = trained
    tracking = config.tracking.model_copy(update={"gate": "baseline", "alias": "best"})
    score = config.score.model_copy(update={"model": outcome.model.display})
    strict = config.model_copy(update={"tracking": tracking, "score": score})
    verdict = run_promote(strict, spark).verdict
    assert not verdict.moved and verdict.rival == "TF-IDF + logistic regression" and verdict.rival_value == 1.0
    assert "What would help" in str(verdict) and "of draws" in str(verdict)
    shown = {entry.name: (entry.validation, entry.test) for entry in measure_baselines(open_job(strict, spark))}
    assert shown == {entry.name: (entry.validation, entry.test) for entry in verdict.baselines}  # as compare would show them
    assert verdict.as_metrics()["baseline/validation/accuracy"] == 1.0


def test_training_goes_on_from_a_registered_model(spark: SparkSession, trained: tuple[Config, TrainOutcome]) -> None:
    config, outcome = trained
    base = config.model.model_copy(update={"base": "models:/classification-messages@champion"})
    train = config.train.model_copy(update={"epochs": 1, "learning_rate": 1e-7})
    tracking = config.tracking.model_copy(update={"model_name": "further", "tensorboard": None})
    further = run_train(config.model_copy(update={"model": base, "train": train, "tracking": tracking}), spark)
    assert further.verdict.new == pytest.approx(outcome.verdict.new)  # the head came along, and hardly moved
    run = connect(config.tracking).client.get_run(further.run_id)
    assert run.data.params["model.base"] == "models:/classification-messages/1"
    assert further.manifest == outcome.manifest  # the same tokenizer


def test_metrics_are_in_the_run_and_in_event_files(trained: tuple[Config, TrainOutcome]) -> None:
    config, outcome = trained
    folder = Path(config.tracking.tensorboard or "") / config.model_name / outcome.run_id[:8]
    [file] = folder.iterdir()
    assert file.name.endswith(".classification")
    events = EventAccumulator(str(folder)).Reload()
    accuracies = [event.value for event in events.Scalars("validation/accuracy")]
    assert accuracies == pytest.approx([epoch["metrics"]["accuracy"] for epoch in outcome.result.epochs])
    assert events.Scalars("train/loss")[-1].step == outcome.result.steps
    run = connect(config.tracking).client.get_run(outcome.run_id)
    assert run.data.metrics["rows/train"] == outcome.manifest.splits["train"].rows
    assert run.data.metrics["training/steps"] == outcome.result.steps
    assert run.data.metrics["model/size_mb"] > 0
    assert run.data.tags["version.python"].startswith("3.")


def test_training_and_scoring_see_the_same_ids_and_logits(spark: SparkSession, trained: tuple[Config, TrainOutcome]) -> None:
    from sparknlp_ft.models.first_token import answer_by_first
    from sparknlp_ft.models.folder import load_model
    from sparknlp_ft.scoring.engine import load_engine
    from sparknlp_ft.tasks import get_task
    from sparknlp_ft.training.feed import Feed
    from sparknlp_ft.training.forward import Forward

    config, outcome = trained
    loaded, task = load_model(outcome.result.best_dir), get_task("classification")
    engine = load_engine(outcome.result.best_dir, batch_tokens=500, precision="float32")
    assert answer_by_first(loaded.network), "as the network that is trained does in evaluation"
    forward = Forward(loaded.network, task, loaded.setup, torch.device("cpu"), torch.float32)
    feed = Feed(outcome.manifest, "train", rank=0, size=1, encoder=loaded.encoder, config=config.train)
    rows = spark.read.format("delta").load(f"{config.data.root}/messages").select(F.xxhash64("ticket"), "text").collect()
    texts = {row[0]: row[1] for row in rows}
    seen = 0
    for batch in feed.evaluation(500):
        inputs = [engine.model.encoder.assemble(ids) for ids in engine.model.encoder.tokenize([texts[row] for row in batch.row])]
        assert [row.ids.tolist() for row in inputs] == [row.ids.tolist() for (row,) in batch.windows]
        with torch.inference_mode():
            trained_logits = forward.results(batch)
        np.testing.assert_array_equal(engine.logits(inputs), trained_logits)
        seen += len(batch)
    assert seen == outcome.manifest.splits["train"].rows


def test_score_is_complete_idempotent_and_incremental(spark: SparkSession, trained: tuple[Config, TrainOutcome]) -> None:
    config, outcome = trained
    first = run_score(config, spark)
    table = DeltaTable.forPath(spark, predictions(config))
    assert first.scored == ROWS
    assert table.toDF().count() == ROWS == table.toDF().select("ticket").distinct().count()
    version = table.history(1).head()["version"]

    assert run_score(config, spark).scored == 0
    assert table.history(1).head()["version"] == version

    source = DeltaTable.forPath(spark, f"{config.data.root}/messages")
    source.update(F.col("ticket").isin(3, 5, 8, 13, 21), {"text": F.concat(F.lit("please "), F.col("text"))})
    third = run_score(config, spark)
    assert third.scored == 5
    rows = {int(row["ticket"]): row for row in table.toDF().collect()}  # all columns of a CSV file are strings
    assert len(rows) == ROWS
    newest = source.history(1).head()["version"]
    assert {ticket for ticket, row in rows.items() if row["source_version"] == newest} == {3, 5, 8, 13, 21}
    assert {(row["model_name"], row["model_version"], row["run_id"]) for row in rows.values()} == {
        ("classification-messages", "1", outcome.run_id)
    }
    assert {row["status"] for row in rows.values()} == {"ok"}


def test_odd_texts_are_scored_or_marked_and_change_no_other_row(spark: SparkSession, trained: tuple[Config, TrainOutcome]) -> None:
    config, _ = trained
    run_score(config, spark)
    table = spark.read.format("delta").load(predictions(config))
    before = {int(row["ticket"]): (row["label"], row["score"]) for row in table.collect()}
    schema = "ticket long, text string, label string, split string"
    odd = spark.createDataFrame([(i, text, None, "other") for i, text in ODD_TEXTS.items()], schema)
    bad_bytes = spark.range(1).select(
        F.lit(1007).cast("long").alias("ticket"),
        F.expr("cast(unhex('6c6f7374ff') as string)").alias("text"),
        F.lit(None).cast("string").alias("label"),
        F.lit("other").alias("split"),
    )
    source = spark.read.format("delta").load(f"{config.data.root}/messages")
    kinds = dict(source.dtypes)
    rows = odd.unionByName(bad_bytes).select(*[F.col(name).cast(kind) for name, kind in kinds.items()])
    rows.write.format("delta").mode("append").save(f"{config.data.root}/messages")

    result = run_score(config, spark)
    assert result.scored == len(ODD_TEXTS) + 1
    after = {int(row["ticket"]): row for row in spark.read.format("delta").load(predictions(config)).collect()}
    assert {ticket: (row["label"], row["score"]) for ticket, row in after.items() if ticket < 1000} == before
    status = {ticket: after[ticket]["status"] for ticket in range(1000, 1008)}
    assert [status[ticket] for ticket in (1000, 1001, 1002)] == ["empty"] * 3
    assert all(after[ticket]["label"] is None for ticket in (1000, 1001, 1002))
    assert all(after[ticket]["status"] == "ok" and after[ticket]["label"] is not None for ticket in range(1003, 1008))
    assert after[1006]["truncated"]
    assert "UTF-8" in after[1007]["error"]


def test_evaluate_reports_what_the_gate_reported(spark: SparkSession, trained: tuple[Config, TrainOutcome]) -> None:
    config, outcome = trained
    report = run_evaluate(config.model_copy(update={"data": config.data.model_copy(update={"version": 0})}), spark, split="test")
    assert report.rows == outcome.verdict.test_rows
    assert report.metrics["accuracy"] == pytest.approx(outcome.verdict.test["accuracy"])
