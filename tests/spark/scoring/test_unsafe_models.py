"""Crafted models go through the real command: refused on the driver and on a worker, and nothing of theirs ran."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import cloudpickle
import pytest
import yaml

from sparknlp_ft.cli import main
from sparknlp_ft.config import Config
from sparknlp_ft.errors import ModelError
from sparknlp_ft.pipelines.score import run_score
from sparknlp_ft.steps import deployment
from sparknlp_ft.steps.deployment import deploy, wanted_model
from sparknlp_ft.steps.job import Job
from sparknlp_ft.steps.prediction import scoring_job
from sparknlp_ft.tracking import downloaded
from sparknlp_ft.tracking.downloaded import Inspected, Trust
from sparknlp_ft.tracking.store import ModelRef, Store
from tests.spark.scoring.conftest import Lake

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

CANARY = "c4n/ry s3cret"


def _evil(marker: Path) -> str:
    return f"import os\nopen(os.path.join({str(marker)!r}, __name__ + '.ran'), 'w').close()\n"


def _foreign_loader(root: Path, marker: Path) -> None:
    (root / "code" / "evil.py").write_text(_evil(marker))
    _change_flavor(root, loader_module="evil")


def _python_model(root: Path, marker: Path) -> None:
    (root / "python_model.pkl").write_bytes(cloudpickle.dumps(_Marks(str(marker / "pickle.ran"))))
    _change_flavor(root, loader_module="mlflow.pyfunc.model", python_model="python_model.pkl", cloudpickle_version="3")


def _pickled_weights(root: Path, marker: Path) -> None:
    [weights] = root.glob("data/*/model.safetensors")
    weights.with_name("pytorch_model.bin").write_bytes(cloudpickle.dumps(_Marks(str(marker / "weights.ran"))))
    weights.unlink()


def _remote_code(root: Path, marker: Path) -> None:
    [config] = root.glob("data/*/config.json")
    (config.parent / "modeling_evil.py").write_text(_evil(marker))
    values = {"auto_map": {"AutoConfig": "modeling_evil.C", "AutoModelForSequenceClassification": "modeling_evil.M"}, "model_type": "evil"}
    config.write_text(json.dumps({**json.loads(config.read_text()), **values}))


def _data_outside(root: Path, marker: Path) -> None:
    [folder] = root.glob("data/*")
    shutil.copytree(folder, marker / "elsewhere")
    _change_flavor(root, data=f"../../../../../../../../..{marker / 'elsewhere'}")


def _processing_outside(root: Path, marker: Path) -> None:
    (marker / "evil.py").write_text(_evil(marker))
    [meta] = root.glob("data/*/sparknlp_ft.json")
    meta.write_text(json.dumps({**json.loads(meta.read_text()), "processing": str(marker / "evil.py"), "columns": {"text": "body"}}))


def _processing_inside(root: Path, marker: Path) -> None:
    [meta] = root.glob("data/*/sparknlp_ft.json")
    (meta.parent / "processing.py").write_text(_evil(marker) + "def preprocess(frame):\n    return frame\n")
    meta.write_text(json.dumps({**json.loads(meta.read_text()), "processing": "processing.py", "columns": {"text": "body"}}))


def _cut_weights(root: Path, marker: Path) -> None:
    [weights] = root.glob("data/*/model.safetensors")
    weights.write_bytes(weights.read_bytes()[:-100])


def _change_flavor(root: Path, **values: str) -> None:
    described = yaml.safe_load((root / "MLmodel").read_text())
    described["flavors"]["python_function"] |= values
    (root / "MLmodel").write_text(yaml.safe_dump(described))


class _Marks:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return (open, (self.path, "w"))


CRAFTED: dict[str, tuple[Callable[[Path, Path], None], str]] = {
    "foreign loader": (_foreign_loader, "names the loader 'evil'"),
    "python model": (_python_model, "names the loader 'mlflow.pyfunc.model'"),
    "pickled weights": (_pickled_weights, "pytorch_model.bin': such a file may hold a pickle"),
    "remote code": (_remote_code, "modeling_evil.py': it is code"),
    "data outside": (_data_outside, "which leads out of the model's folder"),
    "processing outside": (_processing_outside, "'processing' is .* which leads out"),
    "processing inside": (_processing_inside, "set score.allow_code=true"),
    "cut weights": (_cut_weights, "model.safetensors' are damaged or cut short"),
}


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """A folder in which everything that runs leaves a file that ends in .ran."""
    folder = tmp_path / "marks"
    folder.mkdir()
    return folder


@pytest.fixture
def craft(monkeypatch: pytest.MonkeyPatch, marker: Path) -> Callable[[str], None]:
    """Have the store hand out a crafted model."""
    fetch = deployment.download_model

    def use(what: str) -> None:
        def download(store: Store, model: ModelRef, folder: str | Path) -> Path:
            root = fetch(store, model, folder)
            CRAFTED[what][0](root, marker) if what in CRAFTED else (root / "code" / "torch.py").write_text(_evil(marker))
            return root

        monkeypatch.setattr(deployment, "download_model", download)

    return use


@pytest.fixture
def config(lake: Lake, support: Callable[[int], list[tuple]]) -> Config:
    lake.write("support", support(12))
    return lake.config("support")


@pytest.mark.parametrize("what", CRAFTED)
def test_the_driver_refuses_it_before_anything_is_loaded(
    spark: SparkSession, config: Config, craft: Callable[[str], None], marker: Path, what: str
) -> None:
    craft(what)
    with pytest.raises(ModelError, match=f"(?s)model tiny/1 is not used: .*{CRAFTED[what][1]}"):
        run_score(config, spark)
    assert not list(marker.rglob("*.ran")) and not (Path(str(config.data.root)) / "support_predictions").exists()


def test_a_worker_refuses_it_too(
    spark: SparkSession, config: Config, craft: Callable[[str], None], marker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trusting(root: Path, trust: Trust, *, name: str) -> Inspected:
        [meta] = Path(root).glob("data/*/sparknlp_ft.json")
        return Inspected(meta.parent, replace(downloaded.load_meta(meta.parent), processing=None, columns={}))

    monkeypatch.setattr(deployment, "inspect", trusting)  # On the driver alone: workers import the module anew.
    craft("processing inside")
    with pytest.raises(ModelError, match=r"processing.py \(sha256 [0-9a-f]{64}\)"):
        run_score(config, spark)
    assert not list(marker.rglob("*.ran"))


def test_code_beside_a_good_model_is_not_imported(spark: SparkSession, config: Config, craft: Callable[[str], None], marker: Path) -> None:
    craft("code that shadows torch")
    result = run_score(config, spark)
    assert (result.ok, result.errors) == (12, 0) and not list(marker.rglob("*.ran"))


def test_the_command_line_says_it_in_a_line(
    spark: SparkSession, config: Config, craft: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    craft("cut weights")
    settings = [f"data={{root: {config.data.root}, table: support, columns: {{text: body}}}}", f"tracking.uri={config.tracking.uri}"]
    assert main(["score", *settings, "tracking.model_name=tiny"]) == 2
    error = capsys.readouterr().err
    assert "sparknlp-ft score: model tiny/1 is not used: weights" in error and "Traceback" not in error


def test_the_pickled_udf_does_not_know_the_store(spark: SparkSession, config: Config) -> None:
    job = scoring_job(config, spark)
    with_secret = Job(job.config, spark, replace(job.store, uri=f"http://me:{CANARY}@host"), job.source)
    with deploy(with_secret, wanted_model(config, job.store)) as deployed:
        pickled = cloudpickle.dumps(deployed.score.func)  # type: ignore[attr-defined]
    assert b"s3cret" not in pickled and b"mlflow.db" not in pickled
