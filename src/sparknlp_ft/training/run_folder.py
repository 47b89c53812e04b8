"""The run's folder, which the driver and all ranks share: metrics, rank errors, and the proof that it is shared.

launch.json           token of this launch, written by the driver, looked for by every rank
metrics.jsonl         one event per line, appended by rank 0, read by the driver while it waits
errors/rank-N.json    what went wrong in rank N, written before it leaves
checkpoint/           see ``checkpoint``
best-E/               the best model so far, after epoch E
result.json           what a finished run came to, written last
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
import traceback
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sparknlp_ft.errors import USER_ERRORS, LaunchError, RankError, UserError

METRICS = "metrics.jsonl"
TOKEN = "launch.json"
RESULT = "result.json"

#: What Horovod raises in the ranks that were well when another one failed.
ECHOES = frozenset({"HorovodInternalError"})


def prepare(run_dir: str | Path, *, keep: bool) -> str:
    """Make the folder ready for a launch and return the launch's token.

    Args:
        run_dir: The folder; made if missing.
        keep: Keep the checkpoint, metrics and best model of an earlier launch, to go on from.

    Raises:
        LaunchError: The folder cannot be written.
    """
    folder, token = Path(run_dir), uuid.uuid4().hex
    try:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(folder / "errors", ignore_errors=True)
        if not keep:
            (folder / METRICS).unlink(missing_ok=True)
            (folder / RESULT).unlink(missing_ok=True)
            for stale in (folder / "checkpoint", *folder.glob("best-*")):
                shutil.rmtree(stale, ignore_errors=True)
        (folder / "errors").mkdir()
        (folder / METRICS).touch()
        (folder / TOKEN).write_text(json.dumps({"token": token}), encoding="utf-8")
    except OSError as error:
        raise LaunchError(f"launch.run_dir: {str(run_dir)!r} cannot be written: {error}. Give a folder that can.") from error
    return token


def problem_with(run_dir: str | Path, token: str, rank: int) -> str | None:
    """Say why a rank cannot use the run's folder; None if it reads the driver's token there and can write."""
    folder = Path(run_dir)
    try:
        found = json.loads((folder / TOKEN).read_text(encoding="utf-8"))["token"]
        (folder / "errors" / f"started-{rank}").write_text(f"{os.getpid()} on {socket.gethostname()}", encoding="utf-8")
    except (OSError, ValueError, KeyError) as error:
        return f"rank {rank}: {error}"
    return None if found == token else f"rank {rank}: another launch's folder is there"


def append_event(run_dir: str | Path, event: dict[str, Any]) -> None:
    """Append one event to the metrics file (rank 0 alone)."""
    with (Path(run_dir) / METRICS).open("a", encoding="utf-8") as file:
        file.write(json.dumps(event) + "\n")


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write a file that is there whole or not at all."""
    partial = path.with_name(f".{path.name}.part")
    partial.write_text(json.dumps(values), encoding="utf-8")
    partial.replace(path)


def write_result(run_dir: str | Path, result: dict[str, Any]) -> None:
    """Write what the run came to."""
    write_json(Path(run_dir) / RESULT, result)


def read_result(run_dir: str | Path) -> dict[str, Any] | None:
    """Return what an earlier, finished run in this folder came to; None if there was none."""
    path = Path(run_dir) / RESULT
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


class EventReader:
    """Reads events as they are appended, each once, from where the file ended when the reader was made."""

    def __init__(self, run_dir: str | Path) -> None:
        self.path = Path(run_dir) / METRICS
        self.position = self.path.stat().st_size

    def new(self) -> Iterator[dict[str, Any]]:
        with self.path.open("rb") as file:
            file.seek(self.position)
            for line in file:
                if not line.endswith(b"\n"):  # Still being written.
                    return
                self.position += len(line)
                yield json.loads(line)


def write_error(run_dir: str | Path, rank: int, error: BaseException) -> None:
    """Leave word of what went wrong in a rank."""
    values = {
        "rank": rank,
        "time": time.time(),
        "type": type(error).__name__,
        "message": str(error),
        "user": isinstance(error, UserError),
        "traceback": "".join(traceback.format_exception(error)),
    }
    write_json(Path(run_dir) / "errors" / f"rank-{rank}.json", values)


def first_error(run_dir: str | Path, *, ranks: int, launcher: Exception) -> Exception:
    """Return, as an exception to raise, why ranks failed.

    The earliest error that a rank left counts, unless it is Horovod's echo of another's; where there are only echoes, a
    rank was killed before it could leave word.

    Args:
        run_dir: The run's folder.
        ranks: Number of ranks.
        launcher: What the launcher itself made of it.
    """
    errors = [json.loads(path.read_text(encoding="utf-8")) for path in (Path(run_dir) / "errors").glob("rank-*.json")]
    own = [error for error in errors if error["type"] not in ECHOES]
    if not own:
        silent = sorted(set(range(ranks)) - {error["rank"] for error in errors})
        which = f"rank {', '.join(map(str, silent))} left without a word" if silent else "no rank left word of an error of its own"
        hint = "exit code 137 means that it was killed, mostly for want of memory; see the executors' stderr"
        return RankError(f"{which}: {str(launcher).strip()} ({hint})")
    first = min(own, key=lambda error: error["time"])
    if first["type"] in USER_ERRORS:
        return USER_ERRORS[first["type"]](first["message"])
    return RankError(f"rank {first['rank']}: {first['type']}: {first['message']}\n{first['traceback']}")
