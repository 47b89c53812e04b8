"""Any history of edits, new models, upkeep, runs beside each other and kills: each row of the source has its prediction, once."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from tests.faults.traced import Disk
from tests.spark.scoring.costless import config, label_of, run

if TYPE_CHECKING:
    from delta.tables import DeltaTable
    from pyspark.sql import SparkSession

KEYS = st.integers(0, 12)
SOURCE, OUTPUT = "texts", "texts_predictions"


class Histories(RuleBasedStateMachine):
    """A table, its predictions, and what both should hold."""

    spark: SparkSession

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="histories-"))
        self.disk = Disk(self.spark, self.folder / "lake")
        self.texts: dict[int, str] = {}
        self.predicted: dict[int, tuple[str, str]] = {}
        self.model, self.written = 1, 0

    @initialize(keys=st.sets(KEYS, min_size=1), vectors=st.booleans(), feed=st.booleans())
    def begin(self, keys: set[int], vectors: bool, feed: bool) -> None:
        self.texts = {key: f"text {key}" for key in keys}
        features = {"delta.enableDeletionVectors": str(vectors).lower(), "delta.enableChangeDataFeed": str(feed).lower()}
        self.disk.write(self.texts, **features)

    @rule(keys=st.sets(KEYS, min_size=1, max_size=4))
    def edit(self, keys: set[int]) -> None:
        self.written += 1
        chosen = keys & set(self.texts)
        self.table(SOURCE).update(among(chosen), {"body": f"'edit {self.written}'"})
        self.texts |= dict.fromkeys(chosen, f"edit {self.written}")

    @rule(keys=st.sets(KEYS, min_size=1, max_size=4))
    def append(self, keys: set[int]) -> None:
        self.written += 1
        new = dict.fromkeys(keys - set(self.texts), f"new {self.written}")
        if new:
            self.disk.write(new, "append")
        self.texts |= new

    @rule(keys=st.sets(KEYS, min_size=1, max_size=4))
    def delete(self, keys: set[int]) -> None:
        gone = keys & set(self.texts)
        if len(gone) < len(self.texts):
            self.table(SOURCE).delete(among(gone))
            self.texts = {key: text for key, text in self.texts.items() if key not in gone}

    @rule()
    def move_alias(self) -> None:
        self.model += 1

    @rule(name=st.sampled_from([SOURCE, OUTPUT]))
    def optimize(self, name: str) -> None:
        if self.there(name):
            self.table(name).optimize().executeCompaction()

    @rule(name=st.sampled_from([SOURCE, OUTPUT]))
    def vacuum(self, name: str) -> None:
        if self.there(name):
            self.table(name).vacuum(0)

    @rule()
    def score(self) -> None:
        self.disk.score(version=str(self.model))
        self.expect_all()
        version = self.version()
        self.disk.score(version=str(self.model))
        assert self.version() == version, "nothing was to be scored, and it was committed"

    @rule()
    def score_beside_another(self) -> None:
        errors: list[BaseException] = []

        def job() -> None:
            try:
                # A session of its own: the settings of a merge are its session's.
                run(self.spark.newSession(), config(f"traced://{self.disk.root}", SOURCE), version=str(self.model))
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=job) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not errors, errors
        self.expect_all()

    @rule(events=st.integers(0, 40))
    def killed(self, events: int) -> None:
        self.disk.score(events=events, version=str(self.model))
        # Its merge is committed whole or not at all.
        found = self.predictions()
        if found != self.predicted:
            self.expect_all()

    @precondition(lambda self: self.predicted)
    @invariant()
    def nothing_else_was_written(self) -> None:
        assert self.predictions() == self.predicted

    def expect_all(self) -> None:
        """What is there now: of each row of the source by its text, and of rows that have left what they had."""
        self.predicted |= {key: (label_of(text), str(self.model)) for key, text in self.texts.items()}
        assert self.predictions() == self.predicted

    def predictions(self) -> dict[int, tuple[str, str]]:
        if not self.there(OUTPUT):
            return {}
        rows = self.table(OUTPUT).toDF().select("id", "label", "model_version").collect()
        assert len({row["id"] for row in rows}) == len(rows), "a key comes twice"
        return {row["id"]: (row["label"], row["model_version"]) for row in rows}

    def version(self) -> int:
        return self.table(OUTPUT).history(1).collect()[0]["version"]

    def there(self, name: str) -> bool:
        return any((self.disk.root / name / "_delta_log").glob("*.json"))

    def table(self, name: str) -> DeltaTable:
        from delta.tables import DeltaTable

        return DeltaTable.forPath(self.spark, str(self.disk.root / name))

    def teardown(self) -> None:
        try:
            if self.texts:
                self.score()
                assert not list(self.disk.root.glob("*__scoring_*")), "stages are left"
        finally:
            shutil.rmtree(self.folder)


def among(keys: set[int]) -> str:
    return f"id IN ({', '.join(map(str, sorted(keys)))})" if keys else "false"


@pytest.fixture
def upkeep(spark: SparkSession) -> Iterator[SparkSession]:
    """A session that may vacuum what was deleted a moment ago."""
    name = "spark.databricks.delta.retentionDurationCheck.enabled"
    spark.conf.set(name, "false")
    yield spark
    spark.conf.unset(name)


def test_any_history_ends_with_each_row_predicted_once(upkeep: SparkSession) -> None:
    Histories.spark = upkeep
    few = settings(max_examples=max(3, settings().max_examples // 5), stateful_step_count=12, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(Histories, settings=few)
