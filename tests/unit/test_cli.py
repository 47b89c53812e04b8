"""The command line before any cluster starts: exit codes, messages, the dry run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sparknlp_ft.cli import main, parse
from sparknlp_ft.config import load_config
from sparknlp_ft.errors import LaunchError
from sparknlp_ft.snapshot.build import check_snapshots
from sparknlp_ft.steps import checks
from sparknlp_ft.storage import Folder


def test_dry_run_prints_the_resolved_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", "--dry-run", "data.table=tickets", "score.batch_tokens=99"]) == 0
    out = capsys.readouterr().out
    assert "batch_tokens: 99" in out
    assert "#   task classification" in out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["train", "data.table=t", "train.epoch=3"], "Did you mean 'epochs'?"),
        (["train", "data.table=t", "data.task=clasification"], "Did you mean 'classification'?"),
        (["train", "data.table=t", "text.window=haed"], "Did you mean 'head'?"),
        (["train", "data.table=t", "data.columns={txt: body}"], "'txt' is not a role"),
        (["train", "data.table=t", "train.metric=acuracy"], "Valid: accuracy"),
        (["train", "data.table=t", "data.clean.labels=trim"], "data.clean.labels: 'trim'"),
        (
            ["train", "data.table=t", "data.task=regression", "data.on_conflict=drop"],
            "data.on_conflict: 'drop' means nothing to task regression",
        ),
        (["train", "data.table=t", "launch.elastic=true"], "launch.restarts does the same"),
        (["train", "data.table=t", "data.on_misplaced=drop"], "data.on_misplaced: 'drop' means nothing to task classification"),
        (
            ["train", "data.table=t", "data.task=token_classification", "data.on_misplaced=repair"],
            "'repair' finds answers by their text, and entities have none; take 'drop'",
        ),
        (["train", "data.table=t", "model.base=/no/such/model"], "/no/such/model"),
        (["train", "data.table=t", "text.max_length=1024"], "text.max_length=512 or less"),
        (["ingest", "data.table=t"], "data.sources"),
        (["ingest", "data.table=t", "data.sources=[{format: csv, path: nothing.csv}]"], "nothing.csv"),
        (["train", "--config", "nothing.yaml"], "nothing.yaml"),
    ],
)
def test_what_the_user_can_fix_exits_2_with_a_message_and_no_traceback(
    arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert expected in captured.err
    assert "Traceback" not in captured.err


def test_a_dry_run_prints_what_differs_and_all_of_it_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", "--dry-run", "data.table=tickets", "score.batch_tokens=99"]) == 0
    short = capsys.readouterr().out
    assert "data:\n  table: tickets\nscore:\n  batch_tokens: 99\n# all other" in short and "epochs" not in short
    assert main(["score", "--dry-run", "--all", "data.table=tickets"]) == 0
    assert "epochs: null" in capsys.readouterr().out


def test_a_dry_run_tells_all_errors_and_warnings_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "starts_here", lambda: True)  # As in a process of its own: other tests may have a session open.
    wrong = ["train.metric=acuracy", "train.class_weights=balanced", "data.task=regression", "model.base=/no/such/model"]
    assert main(["train", "--dry-run", "data.table=t", f"data.root={tmp_path}", *wrong]) == 2
    out = capsys.readouterr().out
    errors, warnings = out.index("# errors:"), out.index("# warnings:")
    assert errors < out.index("'acuracy'") < warnings and "/no/such/model" in out and "train.class_weights" in out
    assert out.index("is not there") > warnings


def delta_folder(folder: Path, *names: str) -> Path:
    """Write the log of a table with these columns, all of them strings."""
    fields = [{"name": name, "type": "string", "nullable": True, "metadata": {}} for name in names]
    action = {"metaData": {"id": "x", "schemaString": json.dumps({"type": "struct", "fields": fields})}}
    (folder / "_delta_log").mkdir(parents=True)
    (folder / "_delta_log" / f"{0:020d}.json").write_text(json.dumps(action), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "data.columns={text: boddy}"], "Did you mean 'body'?"),
        (["train", "data.columns={text: body, label: queue}", "data.key=ticket"], "Did you mean 'ticket_id'?"),
        (["train", "data.columns={text: body, label: queue}", "model.pooling=difference"], "model.pooling: 'difference' is of two texts"),
        (["score", "data.key=ticket"], "Did you mean 'ticket_id'?"),
        (["evaluate", "data.table=tikets"], "Did you mean 'tickets'?"),
    ],
)
def test_what_a_table_lacks_is_said_before_spark_starts(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    delta_folder(tmp_path / "tickets", "ticket_id", "body", "queue")
    monkeypatch.setattr("sparknlp_ft.cli._session", lambda name: pytest.fail("Spark was started"))
    monkeypatch.setattr("sparknlp_ft.steps.checks.starts_here", lambda: True)
    command, *rest = arguments
    assert main([command, f"data.root={tmp_path}", "data.table=tickets", "data.key=ticket_id", *rest]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("mode", [[], ["--dry-run"]], ids=["run", "dry run"])
@pytest.mark.parametrize("command", ["train", "compare"])
def test_folders_that_cannot_be_written_are_found_before_spark_starts(
    command: str, mode: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("x")
    monkeypatch.setattr("sparknlp_ft.cli._session", lambda name: pytest.fail("Spark was started"))
    settings = ["data.table=t", f"data.root={tmp_path}/file/lake", f"launch.run_dir={tmp_path}/file/runs"]
    assert main([command, *mode, *settings]) == 2
    captured = capsys.readouterr()
    told = captured.out if mode else captured.err
    assert f"launch.run_dir: '{tmp_path}/file/runs' cannot be written: '{tmp_path}/file' is no folder" in told
    assert f"data.root: snapshots are kept in '{tmp_path}/file/lake/_snapshots', which cannot be written" in told
    assert "Traceback" not in captured.err and [path.name for path in tmp_path.iterdir()] == ["file"]


def test_snapshots_that_are_there_already_need_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lake" / "_snapshots" / "abc").mkdir(parents=True)
    monkeypatch.setattr(Folder, "obstacle", lambda self: "Read-only file system" if "lake" in self.address else None)
    config = load_config(None, ["data.table=t", f"data.root={tmp_path}/lake", f"launch.run_dir={tmp_path}/runs"])
    checks.check_folders(config)
    with pytest.raises(LaunchError, match="Read-only file system"):
        check_snapshots(config)


def test_an_unknown_command_exits_2() -> None:
    with pytest.raises(SystemExit) as caught:
        main(["trian"])
    assert caught.value.code == 2


def test_overrides_may_stand_anywhere() -> None:
    args = parse(["evaluate", "data.table=t", "--split", "train", "score.threads=2", "--dry-run", "train.seed=1"])
    assert args.overrides == ["data.table=t", "score.threads=2", "train.seed=1"]
    assert (args.split, args.dry_run) == ("train", True)


def test_an_unknown_option_exits_2() -> None:
    with pytest.raises(SystemExit) as caught:
        main(["train", "--confg", "x.yaml"])
    assert caught.value.code == 2
