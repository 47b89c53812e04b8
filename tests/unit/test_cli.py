"""The command line before any cluster starts: exit codes, messages, the dry run."""

import pytest

from sparknlp_ft.cli import main, parse


def test_dry_run_prints_the_resolved_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", "--dry-run", "data.table=tickets", "score.batch_tokens=99"]) == 0
    out = capsys.readouterr().out
    assert "batch_tokens: 99" in out
    assert "# task classification" in out


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
        (["train", "data.table=t", "data.on_misplaced=drop"], "data.on_misplaced: 'drop' means nothing to task classification"),
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
