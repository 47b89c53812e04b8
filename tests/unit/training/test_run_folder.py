"""The run folder: found again by what decides a result, left alone once it is closed, and readable while it is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparknlp_ft.errors import DataError, RankError
from sparknlp_ft.training.run_folder import RunFolder, Runs


@pytest.fixture(params=["disk", "whole objects"])
def runs(request: pytest.FixtureRequest, tmp_path: Path) -> Runs:
    return Runs.at(str(tmp_path / "runs") if request.param == "disk" else f"whole://{tmp_path}/runs")


def test_a_run_is_found_again_until_it_is_closed(runs: Runs) -> None:
    first = runs.run("model", {"epochs": 1})
    first.prepare(keep=True)
    assert runs.run("model", {"epochs": 1}).address == first.address != runs.run("model", {"epochs": 2}).address
    for _ in range(10):
        run = runs.run("model", {"epochs": 1})
        run.write_result({"steps": 1})
        run.close("0123")
    last = runs.run("model", {"epochs": 1})
    assert last.address == f"{first.address}.11" and last.result() is None


def test_a_launch_is_found_by_its_token(runs: Runs) -> None:
    run = runs.run("model", 1)
    token = run.prepare(keep=True)
    assert run.problem_with(token, 0) is None and run.started(0)["process"]  # type: ignore[index]
    later = run.prepare(keep=True)
    assert run.problem_with(later, 1) is None and "launch is not there" in str(run.problem_with(token, 0))
    assert run.started(0) is None


def test_events_come_once_and_in_order_also_while_one_is_being_written(runs: Runs) -> None:
    run = runs.run("model", 1)
    for number in (1, 2, 3):
        run.write_event(number, {"event": "step", "step": number})
    run.folder.write("events/000004.json", b'{"event": "st')
    run.write_event(5, {"event": "step", "step": 5})
    assert [event["step"] for event in run.events()] == [1, 2, 3] and [event["step"] for event in run.events(2)] == [3]
    run.write_event(4, {"event": "step", "step": 4})
    assert [event["step"] for event in run.events(3)] == [4, 5] and run.event_count() == 5


def test_a_new_start_keeps_the_base_alone(runs: Runs, tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "config.json").write_text("{}")
    run = runs.run("model", 1)
    run.base(tmp_path / "base")
    run.publish_best(2, tmp_path / "base")
    run.write_event(1, {})
    run.prepare(keep=True)
    assert run.has_best(2) and run.event_count() == 1
    run.prepare(keep=False)
    assert run.folder.names() == ["base", "base.whole.json", "launches"]


def test_best_models_but_those_wanted_are_deleted(runs: Runs, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    run = runs.run("model", 1)
    for epoch in (1, 2, 11):
        run.publish_best(epoch, tmp_path / "model")
    run.keep_best(1, 2)
    assert [run.has_best(epoch) for epoch in (1, 2, 11)] == [True, True, False]
    assert RunFolder.of_best(run.best(1).address).address == run.address


def test_the_first_error_that_is_no_echo_is_the_reason(runs: Runs) -> None:
    run = runs.run("model", 1)
    launcher = RuntimeError("exit code 1")
    assert "rank 0, 1 left without a word" in str(run.first_error(ranks=2, launcher=launcher))
    run.write_error(0, type("HorovodInternalError", (RuntimeError,), {})("lost"))
    assert "rank 1 left without a word" in str(run.first_error(ranks=2, launcher=launcher))
    run.write_error(1, DataError("lane 1 is short"))
    assert isinstance(error := run.first_error(ranks=2, launcher=launcher), DataError) and str(error) == "lane 1 is short"
    run.write_error(1, ValueError("odd"))
    assert isinstance(error := run.first_error(ranks=2, launcher=launcher), RankError) and "rank 1: ValueError: odd" in str(error)
