"""Every launcher, every reader and any number of ranks give the same training: the losses, gradients and metrics of one file."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import typing
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from sparknlp_ft.config import LaunchConfig
from sparknlp_ft.errors import DataError, LaunchError, RankError
from sparknlp_ft.training.job import TrainJob
from sparknlp_ft.training.launch import check_slots
from sparknlp_ft.training.launcher import launcher_names
from sparknlp_ft.training.readers import get_reader, reader_names
from sparknlp_ft.training.run_folder import RunFolder
from sparknlp_ft.training.worker import run_rank
from tests.golden import assert_golden, figures, golden_job, trained, with_launch
from tests.ranks import as_ranks
from tests.snapshots import random_lanes, write_snapshot

ROOT = Path(__file__).parents[2]


def test_settings_name_the_files_there_are() -> None:
    for setting, names in (("backend", ["auto", *launcher_names()]), ("reader", reader_names())):
        assert sorted(typing.get_args(LaunchConfig.model_fields[setting].annotation)) == names


@pytest.mark.parametrize("reader", reader_names())
@pytest.mark.parametrize("ranks", [1, 2, 3, 7])
def test_any_number_of_ranks_and_any_reader_give_the_same_losses(tmp_path: Path, ranks: int, reader: str) -> None:
    job = with_launch(golden_job(tmp_path), reader=reader)
    job.folder.prepare(keep=False)
    as_ranks(ranks, lambda comm: run_rank(job, comm))
    assert_golden(figures(job.folder))


@pytest.mark.parametrize("reader", reader_names())
def test_alone(tmp_path: Path, reader: str) -> None:
    assert_golden(trained(golden_job(tmp_path), None, backend="solo", ranks=1, reader=reader))


@pytest.mark.parametrize(("backend", "reader"), [("horovod", "arrow"), ("torch", "petastorm"), ("torch", "arrow")])
def test_in_spark(tmp_path: Path, spark: Any, backend: str, reader: str) -> None:
    assert_golden(trained(golden_job(tmp_path), spark, backend=backend, reader=reader))


def test_torchrun_needs_no_spark(tmp_path: Path) -> None:
    assert_golden(trained(golden_job(tmp_path), None, backend="torch"))


def under_torchrun(job: TrainJob, tmp_path: Path, processes: int = 2) -> subprocess.CompletedProcess[str]:
    """Have each process of torchrun launch the same job, and print what it came to."""
    script = tmp_path / "program.py"
    script.write_text(
        "import json, os, sys\n"
        "from sparknlp_ft.training.job import TrainJob\n"
        "from sparknlp_ft.training.launch import launch\n"
        "job = TrainJob(**json.loads(sys.argv[1]))\n"
        "result = launch(job, job.resolved.launch, None, slots=lambda: 0, on_event=lambda event: None)\n"
        # In one write: the processes share a pipe.
        "os.write(1, f\"{os.environ['RANK']} {result.ranks} {result.steps} {result.best_dir}\\n\".encode())\n"
    )
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command = [sys.executable, *torchrun, str(script), json.dumps(job.to_dict())]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=ROOT)


def test_a_process_of_torchrun_is_a_rank_already(tmp_path: Path) -> None:
    job = with_launch(golden_job(tmp_path), backend="torch")
    done = under_torchrun(job, tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    best = (job.folder.result() or {})["best_dir"]
    assert sorted(line for line in done.stdout.splitlines() if best in line) == [f"0 2 18 {best}", f"1 2 18 {best}"]
    assert_golden(figures(job.folder))


def test_another_number_of_processes_than_ranks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": "0", "WORLD_SIZE": "4", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(LaunchError, match="launch.ranks: 2, and torchrun started 4 process"):
        check_slots(LaunchConfig(backend="torch", ranks=2), slots=0)


def test_more_ranks_than_slots_are_refused_whatever_starts_them() -> None:
    with pytest.raises(LaunchError, match="3 ranks need 3 slots"):
        check_slots(LaunchConfig(backend="torch", ranks=3), slots=2)
    check_slots(LaunchConfig(backend="solo", ranks=3), slots=2)


def test_an_error_in_a_rank_of_torch_arrives_with_its_own_message_and_kind(
    tmp_path: Path, spark: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    job = golden_job(tmp_path)
    path = next(Path(job.manifest_path).glob("split=train/lane=1/*.parquet"))  # Lane 1 is rank 1's.
    pq.write_table(pq.read_table(path).slice(1), path, row_group_size=20)
    with pytest.raises(DataError, match=r"^snapshot lane 1: row group 0 of .* should give 17 rows, and 16 came"):
        trained(job, spark, backend="torch", restarts=3)
    assert "Traceback" not in capfd.readouterr().err


def test_an_unforeseen_error_in_a_rank_of_torch_arrives_with_its_traceback(tmp_path: Path) -> None:
    job = golden_job(tmp_path)
    next(Path(job.manifest_path).glob("split=train/lane=3/*.parquet")).write_bytes(b"not a Parquet file")
    with pytest.raises(RankError, match=r"(?s)^rank 1: ArrowInvalid: .*Traceback"):
        trained(job, None, backend="torch", reader="arrow")


prepare = RunFolder.prepare


def test_a_folder_that_ranks_of_torch_do_not_share_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RunFolder, "prepare", lambda folder, keep: prepare(folder, keep=keep)[:-1])
    with pytest.raises(LaunchError, match="is not a folder that all ranks share with the driver .*rank 0.*rank 1"):
        trained(golden_job(tmp_path), None, backend="torch")


def test_ranks_that_do_not_come_up_in_time_are_ended(tmp_path: Path) -> None:
    with pytest.raises(RankError, match="rank 0, 1 did not come up within launch.start_timeout=1 s"):
        trained(golden_job(tmp_path), None, backend="torch", start_timeout=1)


@pytest.mark.parametrize("name", reader_names())
def test_a_reader_gives_each_row_group_in_order_and_leaves_no_thread(tmp_path: Path, name: str) -> None:
    manifest = write_snapshot(tmp_path, {"train": random_lanes((70,))}, rows_per_file=30, rows_per_group=8)
    files = [str(tmp_path / file.path) for file in manifest.splits["train"].lanes[0]]
    from fsspec.implementations.local import LocalFileSystem

    before = threading.active_count()
    groups = list(get_reader(name)(LocalFileSystem(), files, ["row", "ids"]))
    assert [len(group["row"]) for group in groups] == [8, 8, 8, 6, 8, 8, 8, 6, 8, 2]
    table = pq.read_table(files[0])
    assert [row for group in groups[:4] for row in group["row"].tolist()] == table["row"].to_pylist()
    assert [ids for group in groups[:4] for ids in group["ids"]] == table["ids"].to_pylist()
    part = get_reader(name)(LocalFileSystem(), files, ["row"])
    next(part)
    part.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
