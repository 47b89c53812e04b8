"""The demo's places and its last page; the run itself is what `make demo` shows."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import yaml

from sparknlp_ft.config import load_config
from sparknlp_ft.demo.run import places, write_data
from sparknlp_ft.demo.summary import Prediction, Summary
from sparknlp_ft.reports.leaderboard import BASELINE, Entry

CONF = Path(__file__).parents[3] / "conf" / "demo.yaml"


def test_everything_is_kept_in_one_folder(tmp_path: Path) -> None:
    out = tmp_path / "with a space"
    config = load_config(CONF, places(out))
    kept = [config.data.root, config.launch.run_dir, config.tracking.artifacts, *(source.path for source in config.data.sources)]
    assert all(str(path).startswith(f"{out}/") for path in kept)
    assert config.tracking.uri == f"sqlite:///{out}/mlflow/mlflow.db"


def test_the_written_configuration_is_the_one_that_ran(tmp_path: Path) -> None:
    config = load_config(CONF, places(tmp_path))
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json")))
    assert load_config(tmp_path / "config.yaml", base_dir="/elsewhere") == config


def test_data_is_written_by_split(tmp_path: Path) -> None:
    rows = write_data(tmp_path)
    lines = {split: len((tmp_path / f"{split}.csv").read_text().splitlines()) - 1 for split in ("train", "test")}
    assert sum(lines.values()) == len(rows)


def test_the_last_page_says_what_a_reader_wants_to_know(tmp_path: Path) -> None:
    table = SimpleNamespace(ref=SimpleNamespace(display="/lake/messages"), version=3)
    result = SimpleNamespace(best_epoch=2, train_rows_per_second=150.4, ranks=2, steps=270, precision="bfloat16")
    values: dict[str, Any] = {
        "rows": 3680,
        "intents": 16,
        "tests": 640,
        "baselines": [
            Entry(name, BASELINE, {"accuracy": value}, {"accuracy": value}) for name, value in (("majority", 0.0625), ("TF-IDF", 0.9))
        ],
        "trained": SimpleNamespace(source=table, result=result, verdict="champion → m/1"),
        "scored": SimpleNamespace(scored=3680, rows_per_second=400.0),
        "scoring_seconds": 12.0,
        "again": SimpleNamespace(scored=0),
        "evaluated": SimpleNamespace(metrics={"accuracy": 0.9751}),
        "predictions": [
            Prediction("Where is my parcel? " * 9, "delivery_late", "delivery_late", 0.99, "1", 3),
            Prediction("Hm", "app_crash", None, None, "1", 3),
        ],
        "seconds": 200.0,
        "out": tmp_path,
        "config": load_config(CONF, places(tmp_path)),
    }
    page = str(Summary(**cast("Any", values)))
    for expected in (
        "0.975 on test",
        "0.900 TF-IDF",
        "0.062 majority",
        "3,040 train, 640 test",
        "150 rows/s on 2 ranks",
        "/lake/messages, version 3",
        "champion → m/1",
        "0 rows to score",
    ):
        assert expected in page
    assert "(it is app_crash)" in page
    assert f"mlflow ui --backend-store-uri sqlite:///{tmp_path}/mlflow/mlflow.db" in page
    assert f"score --config {tmp_path}/config.yaml" in page
    assert max(map(len, page.splitlines())) < 200
