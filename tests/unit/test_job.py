"""jobs/run.py: what a scheduler tries again, and what not."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "jobs" / "run.py"


class Command:
    """Stands for the command line: remembers what it was given, and ends as it was told."""

    def __init__(self, *codes: int) -> None:
        self.codes, self.given = list(codes), list[list[str]]()

    def __call__(self, arguments: list[str]) -> int:
        self.given.append(arguments)
        return self.codes.pop(0)


def run(monkeypatch: pytest.MonkeyPatch, command: Command, *arguments: str) -> int:
    monkeypatch.setattr("sparknlp_ft.cli.main", command)
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *arguments])
    try:
        # Not '__main__': what runs scripts on a cluster may give them another name.
        runpy.run_path(str(SCRIPT), run_name="job")
    except SystemExit as left:
        assert isinstance(left.code, int)
        return left.code
    return 0


def test_without_a_refusal_each_attempt_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    command = Command(2, 0)
    assert [run(monkeypatch, command, "score", "data.table=t") for _ in range(2)] == [2, 0]
    assert command.given == [["score", "data.table=t"]] * 2


def test_what_the_user_must_mend_is_not_tried_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command, refusal = Command(2), str(tmp_path / "refused" / "17-0-score")
    assert [run(monkeypatch, command, "--refusal", refusal, "score", "data.table=t") for _ in range(2)] == [2, 2]
    assert command.given == [["score", "data.table=t"]]
    assert "not tried again: an earlier attempt at score ended with exit code 2" in capsys.readouterr().err


@pytest.mark.parametrize("code", [1, 143])
def test_what_else_went_wrong_is_tried_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: int) -> None:
    command, refusal = Command(code, 0), tmp_path / "refused"
    assert [run(monkeypatch, command, "--refusal", str(refusal), "score") for _ in range(2)] == [code, 0]
    assert command.given == [["score"]] * 2 and not refusal.exists()
