"""A downloaded model is read as plain data first: what would run code, leads outside or is broken is refused by name."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from sparknlp_ft.errors import ModelError
from sparknlp_ft.tracking.downloaded import LOADER, Trust, inspect, load_logged_engine, model_folder
from tests.tiny import tiny_classifier_dir

MLMODEL = {"flavors": {"python_function": {"loader_module": LOADER, "data": "data/model", "code": "code"}}}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_classifier_dir(tmp_path_factory.mktemp("saved"))


@pytest.fixture
def logged(saved: Path, tmp_path: Path) -> Path:
    """A folder as it is downloaded from MLflow."""
    root = tmp_path / "logged"
    shutil.copytree(saved, root / "data" / "model")
    shutil.copytree(saved, tmp_path / "outside")
    (root / "MLmodel").write_text(yaml.safe_dump(MLMODEL))
    return root


def change_json(file: Path, **values: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def change_flavor(root: Path, **values: object) -> None:
    flavor = {**MLMODEL["flavors"]["python_function"], **values}
    (root / "MLmodel").write_text(yaml.safe_dump({"flavors": {"python_function": flavor}}))


def meta(root: Path, **values: object) -> None:
    change_json(root / "data/model/sparknlp_ft.json", **values)


def settings(root: Path, **values: object) -> None:
    change_json(root / "data/model/config.json", **values)


def write(root: Path, name: str, content: str | bytes = b"") -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_bytes(content.encode() if isinstance(content, str) else content)


def cut(root: Path, left: int) -> None:
    file = root / "data/model/model.safetensors"
    file.write_bytes(file.read_bytes()[:left])


def link_data(root: Path) -> None:
    shutil.rmtree(root / "data/model")
    (root / "data/model").symlink_to(root.parent / "outside")


def link_weights(root: Path) -> None:
    file = root / "data/model/model.safetensors"
    file.unlink()
    file.symlink_to(root.parent / "outside/model.safetensors")


def no_weights(root: Path) -> None:
    (root / "data/model/model.safetensors").unlink()


BROKEN: dict[str, tuple[Callable[[Path], None], str]] = {
    "foreign loader": (lambda root: change_flavor(root, loader_module="evil"), r"loader 'evil'.*score.trusted_loaders=\[evil\]"),
    "loader that is a list": (lambda root: change_flavor(root, loader_module=["evil"]), "names the loader"),
    "python model": (lambda root: change_flavor(root, loader_module="mlflow.pyfunc.model", python_model="m.pkl"), "mlflow.pyfunc.model"),
    "data up": (lambda root: change_flavor(root, data="../outside"), "'data' is '../outside', which leads out"),
    "data absolute": (lambda root: change_flavor(root, data="/etc"), "'data' is '/etc', which leads out"),
    "data linked": (link_data, "'data' is 'data/model', which leads out"),
    "data not there": (lambda root: change_flavor(root, data="data/other"), "there is no such folder"),
    "data a number": (lambda root: change_flavor(root, data=3), "'data' is 3"),
    "no MLmodel": (lambda root: (root / "MLmodel").unlink(), "MLmodel' does not describe a model"),
    "MLmodel no YAML": (lambda root: write(root, "MLmodel", "a: [b"), "MLmodel' does not describe a model"),
    "MLmodel with a tag": (lambda root: write(root, "MLmodel", "!!python/object/apply:os.system ['touch /tmp/x']"), "does not describe"),
    "MLmodel no mapping": (lambda root: write(root, "MLmodel", "- a"), "does not describe"),
    "MLmodel binary": (lambda root: write(root, "MLmodel", b"\xff\xfe\x00"), "does not describe"),
    "MLmodel of another flavor": (lambda root: write(root, "MLmodel", "flavors: {sklearn: {}}"), "no 'python_function'"),
    "pickle beside": (lambda root: write(root, "data/model/pytorch_model.bin"), "/pytorch_model.bin'.*pickle"),
    "pickle at the root": (lambda root: write(root, "python_model.pkl"), "'python_model.pkl'.*pickle"),
    "pickle deep": (lambda root: write(root, "data/model/more/x.joblib"), "x.joblib'.*pickle"),
    "code beside": (lambda root: write(root, "data/model/modeling.py"), "modeling.py': it is code"),
    "adapter": (
        lambda root: write(root, "data/model/adapter_config.json", "{}"),
        "/adapter_config.json': it leads to the weights of another",
    ),
    "weights linked": (link_weights, "model.safetensors': it is a link out"),
    "no weights": (no_weights, r"no \*.safetensors file"),
    "weights cut": (lambda root: cut(root, 3000), r"model.safetensors' are damaged or cut short"),
    "weights cut in the header": (lambda root: cut(root, 20), "no header that fits"),
    "weights empty": (lambda root: cut(root, 0), "it has 0 bytes"),
    "weights no JSON": (lambda root: write(root, "data/model/model.safetensors", b"\x04" + 7 * b"\0" + b"{]}}"), "header cannot be read"),
    "weights of a list": (lambda root: write(root, "data/model/model.safetensors", b"\x02" + 7 * b"\0" + b"[]"), "header cannot be read"),
    "index outside": (
        lambda root: write(root, "data/model/model.safetensors.index.json", '{"weight_map": {"a": "../../x.safetensors"}}'),
        "names '../../x.safetensors'",
    ),
    "auto_map": (lambda root: settings(root, auto_map={"AutoModel": "modeling.X"}), "'auto_map', by which"),
    "auto_map within": (lambda root: settings(root, sub={"auto_map": {"AutoModel": "x"}}), "'auto_map', by which"),
    "kernel": (lambda root: settings(root, _attn_implementation="someone/kernel"), "would fetch code from the Hub"),
    "config broken": (lambda root: write(root, "data/model/config.json", "{"), "config.json' cannot be read"),
    "config a list": (lambda root: write(root, "data/model/config.json", "[]"), "config.json' holds a list"),
    "tokenizer broken": (lambda root: write(root, "data/model/tokenizer.json", "{"), "tokenizer.json' cannot be read"),
    "meta gone": (lambda root: (root / "data/model/sparknlp_ft.json").unlink(), "has no sparknlp_ft.json"),
    "meta broken": (lambda root: write(root, "data/model/sparknlp_ft.json", "{"), "sparknlp_ft.json' cannot be read"),
    "meta a list": (lambda root: write(root, "data/model/sparknlp_ft.json", "[]"), "holds a list"),
    "meta without labels": (lambda root: write(root, "data/model/sparknlp_ft.json", '{"format": 2}'), "sparknlp_ft.json': 'task'"),
    "labels a number": (lambda root: meta(root, labels=3), "'labels'"),
    "labels of numbers": (lambda root: meta(root, labels=[1, 2]), "'labels.0'"),
    "task unknown": (lambda root: meta(root, task="clasification"), "'clasification' is not a task"),
    "text of another kind": (lambda root: meta(root, text={"max_length": "many"}), "'text.max_length'"),
    "settings a list": (lambda root: meta(root, settings=[1]), "'settings'"),
    "columns a list": (lambda root: meta(root, columns=["a"]), "'columns'"),
    "output no DDL": (lambda root: meta(root, output="label evil"), "'output' is 'label evil'"),
    "processing outside": (lambda root: meta(root, processing="../../../evil.py", columns={"text": "t"}), "leads out"),
    "processing absolute": (lambda root: meta(root, processing="/tmp/evil.py", columns={"text": "t"}), "leads out"),
    "processing not there": (lambda root: meta(root, processing="p.py", columns={"text": "t"}), "expected a Python file beside it"),
    "format unknown": (lambda root: meta(root, format=99), "another format"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_not_as_it_should_be_is_refused_by_name(logged: Path, what: str) -> None:
    breaking, message = BROKEN[what]
    breaking(logged)
    with pytest.raises(ModelError, match=f"(?s)model m/1 is not used: .*{message}"):
        inspect(logged, Trust(code=True), name="m/1")


def test_a_model_of_ours_is_taken_without_its_code(logged: Path) -> None:
    write(logged, "code/torch.py", "raise SystemExit('it was imported')")
    write(logged, "code/evil.pkl")
    found = inspect(logged, Trust())
    assert found.folder == logged / "data/model" == model_folder(logged) and found.meta.labels == ("bad", "good", "ugly")
    change_flavor(logged, loader_module="ours_renamed.pyfunc")
    assert inspect(logged, Trust(loaders=["ours_renamed.pyfunc"])).meta.task == "classification"


def test_functions_run_only_where_that_is_allowed(logged: Path, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    write(logged, "data/model/processing.py", f"open({str(marker)!r}, 'w').close()\ndef preprocess(frame):\n    return frame\n")
    meta(logged, processing="processing.py", columns={"text": "content"})
    with pytest.raises(ModelError, match=r"processing.py \(sha256 [0-9a-f]{64}\).*score.allow_code=true"):
        load_logged_engine("cpu", downloaded=str(logged), trust=Trust())
    assert not marker.exists()
    load_logged_engine("cpu", downloaded=str(logged), trust=Trust(code=True))
    assert marker.exists()


def test_a_worker_starts_without_mlflow_and_without_the_models_code(logged: Path, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    for name in ("torch", "sparknlp_ft", "evil"):
        write(logged, f"code/{name}.py", f"open({str(marker)!r}, 'w').close()")
    script = f"""
import sys
from sparknlp_ft.tracking.downloaded import Trust, load_logged_engine
engine = load_logged_engine("cpu", downloaded={str(logged)!r}, trust=Trust())
print(sorted(engine.setup.labels), "mlflow" in sys.modules, "pyspark" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[0] == "['bad', 'good', 'ugly'] False False" and not marker.exists()
