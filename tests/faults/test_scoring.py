"""A scoring run is killed before each kind of change that it makes to the disk, and the command runs again: every key once.

Most are killed by their file system (see ``traced``), one in earnest.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from delta.tables import DeltaTable
from pyspark.sql import SparkSession

from sparknlp_ft.scoring import merge
from sparknlp_ft.steps import staging
from tests.faults.traced import Disk
from tests.spark.scoring.costless import label_of

BEFORE = {key: f"text {key}" for key in range(8)}
AFTER = {key: f"text {key}" for key in range(2, 10)} | {3: "changed"}
#: Whether a run is killed before each event, not only before the first of each kind: minutes more.
EVERY_EVENT = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
#: Rows that a run on BEFORE, and then one on AFTER, has to commit.
NEW = {"first": 8, "second": 3}


@pytest.fixture(params=["first", "second"])
def scene(request: pytest.FixtureRequest, spark: SparkSession, tmp_path: Path) -> tuple[Disk, str]:
    """Tables before a first run, and before one that finds changed, new and vanished rows."""
    disk = Disk(spark, tmp_path / "lake")
    disk.write(BEFORE)
    if request.param == "second":
        disk.score()
        disk.write(AFTER, "overwrite")
    disk.keep()
    return disk, request.param


def kind(event: str) -> str | None:
    """Return an event without the names that differ from run to run; None for what Delta only speeds itself up with."""
    operation, _, path = event.partition(" ")
    if ".crc" in path:
        return None
    path = re.sub(r"__scoring_[0-9a-f]+", "__scoring", re.sub(r"^.*?/(texts_predictions)", r"\1", path))
    path = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "*", path)
    return f"{operation} {re.sub(r'part-[0-9]+.*', 'part', path)}"


def wrong(disk: Disk, which: str, commits: int) -> str | None:
    """Say what is not as an undisturbed run would leave it; None if nothing is.

    Args:
        disk: Where the tables lie.
        which: The scene.
        commits: Commits of the predictions table before the scene.
    """
    texts = BEFORE if which == "first" else AFTER
    table = DeltaTable.forPath(disk.spark, str(disk.root / "texts_predictions"))
    rows = [(row["id"], row["label"]) for row in table.toDF().select("id", "label").collect()]
    kept = {} if which == "first" else {key: text for key, text in BEFORE.items() if key not in AFTER}
    if sorted(rows) != sorted((key, label_of(text)) for key, text in (texts | kept).items()):
        return f"rows are {sorted(rows)}"
    history = [commit for commit in table.history().collect() if commit["version"] >= commits]
    counted = ("numTargetRowsInserted", "numTargetRowsUpdated")
    committed = sum(int(commit["operationMetrics"].get(name, 0)) for commit in history for name in counted)
    if committed != NEW[which]:
        return f"{committed} rows were committed"
    left = [path.name for path in disk.root.iterdir() if "__scoring_" in path.name]
    return f"{left} are left" if left else None


def commits_of(disk: Disk) -> int:
    return len(list((disk.root / "texts_predictions" / "_delta_log").glob("*.json")))


def after_a_kill(disk: Disk, which: str, events: int, commits: int) -> str | None:
    """Kill a run behind so many events, run again, and say what is wrong then."""
    disk.put_back()
    disk.score(events=events)
    disk.score()
    if (found := wrong(disk, which, commits)) is not None:
        return found
    done = [event for event in disk.score() if "/_delta_log/" in event]
    return f"the next run wrote {done}" if done else None


def test_killed_before_every_kind_of_event_the_next_run_makes_it_good(scene: tuple[Disk, str]) -> None:
    disk, which = scene
    commits = commits_of(disk)
    events = disk.score()
    assert wrong(disk, which, commits) is None
    kinds = {name: at for at, event in reversed(list(enumerate(events))) if (name := kind(event)) is not None}
    assert len(kinds) >= 6, kinds
    chosen = range(len(events)) if EVERY_EVENT else sorted(kinds.values())
    failures = {f"{at}: {events[at]}": found for at in chosen if (found := after_a_kill(disk, which, at, commits)) is not None}
    assert not failures


class Unheard:
    """A merge that is committed, and whose answer is lost."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder

    def execute(self) -> None:
        from delta.exceptions import ConcurrentAppendException

        self.builder.execute()
        raise ConcurrentAppendException(message="[DELTA_CONCURRENT_APPEND] the answer was lost")


@pytest.mark.parametrize("control", [False, True], ids=["as it is", "control: without the transaction id"])
def test_a_merge_whose_answer_is_lost_is_not_made_twice(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, control: bool
) -> None:
    disk = Disk(spark, tmp_path / "lake")
    disk.write(BEFORE)
    clauses, settings, made = merge._clauses, merge.session_settings, []

    def lost_once(*args: Any) -> Any:
        made.append(args)
        return Unheard(clauses(*args)) if len(made) == 1 else clauses(*args)

    monkeypatch.setattr(merge, "_clauses", lost_once)
    monkeypatch.setattr(merge, "WAITS", (0.0,))
    if control:
        monkeypatch.setattr(
            merge,
            "session_settings",
            lambda spark, given: settings(spark, {name: value for name, value in given.items() if "txn" not in name}),
        )
    disk.score()
    found = wrong(disk, "first", 0)
    assert len(made) == 2 and (found == "16 rows were committed" if control else found is None), found


def test_control_without_looking_for_what_was_left_a_stage_stays(scene: tuple[Disk, str], monkeypatch: pytest.MonkeyPatch) -> None:
    from contextlib import nullcontext

    disk, which = scene
    commits = commits_of(disk)
    last = len(disk.score()) - 1  # The stage is deleted last.
    monkeypatch.setattr(staging, "left_over", lambda *args: nullcontext(None))
    monkeypatch.setattr(staging, "clear_left_over", lambda *args: None)
    monkeypatch.setattr("sparknlp_ft.steps.staleness.clear_left_over", lambda *args: None)
    assert "are left" in (after_a_kill(disk, which, last, commits) or "")


def test_a_command_that_is_killed_when_all_is_scored_does_not_score_again(spark: SparkSession, tmp_path: Path) -> None:
    from sparknlp_ft.config import TrackingConfig
    from sparknlp_ft.tracking import store
    from sparknlp_ft.tracking.logged import log_model
    from tests.tiny import tiny_classifier_dir, tiny_texts

    tracking = TrackingConfig(uri=f"sqlite:///{tmp_path}/mlflow.db", model_name="tiny")
    connected = store.connect(tracking)
    with store.start_run(connected, "tiny", system_metrics=False) as opened:
        model = tiny_classifier_dir(tmp_path / "model")
        version = store.register(
            connected, log_model(opened, model, text_roles=("text",), example=pd.DataFrame({"text": tiny_texts(1)})), "tiny"
        )
    store.set_alias(connected, version, "champion")
    rows = spark.createDataFrame(list(enumerate(tiny_texts(60))), "id long, text string")
    rows.write.format("delta").save(str(tmp_path / "texts"))

    def start() -> subprocess.Popen[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYSPARK_GATEWAY", "SPARK_"))}
        return subprocess.Popen(
            [sys.executable, "-m", "sparknlp_ft.cli", "score", "data.table=texts", f"data.root={tmp_path}", f"tracking.uri={tracking.uri}",
             "tracking.model_name=tiny", "score.precision=float32"],
            env={**environment, "SPARKNLP_FT_MASTER": "local[2,4]"}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    first = start()
    end = time.monotonic() + 180
    while not list(tmp_path.glob("texts_predictions__scoring_*/scores/_delta_log/*.json")):
        assert first.poll() is None and time.monotonic() < end, first.communicate()[1][-3000:]
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    first.communicate(timeout=30)
    second = start()
    output, errors = second.communicate(timeout=180)
    assert second.returncode == 0, errors[-3000:]
    assert "60 rows were scored by a run that did not end" in errors and "scored       60 rows" in output
    assert not list(tmp_path.glob("texts_predictions__scoring_*"))
    found = spark.read.format("delta").load(str(tmp_path / "texts_predictions"))
    assert (found.count(), found.select("id").distinct().count()) == (60, 60)
