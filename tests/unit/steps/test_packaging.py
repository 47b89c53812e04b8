"""What package refuses before it loads a model, and what it makes of its settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparknlp_ft.cli import main
from sparknlp_ft.config import Config, load_config
from sparknlp_ft.errors import ConfigError
from sparknlp_ft.pipelines.package import check_package
from sparknlp_ft.steps.packaging import needed_packages, output_fields, package_task, registered_name, text_columns
from tests.tiny import tiny_foreign_dir, tiny_model_dir

NER = "package.task=token_classification"


def config(*overrides: str) -> Config:
    return load_config(None, overrides, need_table=False)


def test_no_table_is_needed_and_the_task_is_the_datas_unless_given() -> None:
    assert config("package.model=some/ner-model", NER).data.table == ""
    assert registered_name(config("package.model=some/ner-model", NER)) == "token_classification-ner-model"
    assert registered_name(config("package.model=some/model", "data.task=regression")) == "regression-model"
    assert registered_name(config("package.model=x", "package.name=mine")) == "mine"
    with pytest.raises(ConfigError, match="data: required"):
        load_config(None, ["package.model=some/ner-model"])


def test_columns_of_the_roles() -> None:
    task = package_task(config(NER))
    assert text_columns(config(NER).package, task) == {"text": "content"}
    answers = config("package.task=question_answering", "package.text_columns={context: page, question: q}")
    assert list(text_columns(answers.package, package_task(answers)).items()) == [("question", "q"), ("context", "page")]
    alone = config("package.task=question_answering")
    assert text_columns(alone.package, package_task(alone)) == {"question": "question", "context": "context"}


def test_a_star_stands_for_the_tasks_own_columns() -> None:
    given = config("package.task=regression", "package.processing=x.py", 'package.output="*, n int"')
    assert output_fields(given.package, package_task(given)) == "prediction double, n int"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([], "package.model: required, and not given"),
        (["package.model=x", "package.task=clasification"], "package.task: 'clasification'.*Did you mean 'classification'"),
        (["package.model=x", "package.modle=y"], "Did you mean 'model'"),
        (["package.model=x", "package.text_columns={txt: a}"], "'txt' is not a text role of classification. Did you mean 'text'"),
        (["package.model=x", "package.text_columns={text_pair: a}"], "no column for 'text'"),
        (["package.model=x", "package.text_columns={text: a, text_pair: a}"], "gives two roles one column"),
        (["package.model=x", "package.output=n int"], "package.processing is not given"),
        (["package.model=x", "package.processing=p.py", "package.output=n dat"], "'dat' is not a type"),
        (["package.model=x", "package.processing=p.py", "package.output=status string"], "'status' is one that every prediction has"),
        (["package.model=x", "package.processing=nothing.py"], "nothing.py' does not exist"),
        (["package.model=x", "package.name=a/b"], "package.name: 'a/b' holds one of"),
        (["package.model=/no/such/folder"], "'/no/such/folder' does not exist.*Set package.model to a folder"),
        (["package.model=package:no_such_package/model"], "package.model: .* is not installed"),
        (["package.model=x", "text.window=haed"], "Did you mean 'head'"),
        (["package.model=x", "package.example=[]"], "package.example"),
    ],
)
def test_what_does_not_fit_is_said_before_anything_is_loaded(overrides: list[str], message: str) -> None:
    with pytest.raises(Exception, match=f"(?s){message}"):
        check_package(config(*overrides))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import helpers\n", "imports 'helpers', which is no installed package"),
        ("from . import helpers\n", "imports 'a file beside it'"),
        ("def preprocess(\n", "is not Python"),
    ],
)
def test_a_file_that_would_be_left_incomplete_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(ConfigError, match=message):
        check_package(config("package.model=x", f"package.processing={tmp_path}/mine.py"))


def test_packages_that_the_file_imports_are_pinned(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import re, yaml\nfrom sklearn.svm import SVC\nfrom sparknlp_ft import errors\ndef preprocess(f): return f\n"
    )
    assert needed_packages(config(f"package.processing={tmp_path}/mine.py").package) == ["PyYAML", "scikit-learn"]


def test_dry_run_names_what_it_would_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.py").write_text("def preprocess(frame):\n    return frame\n")
    folder = tiny_model_dir(tmp_path)
    assert main(["package", "--dry-run", f"package.model={folder}", f"package.processing={tmp_path}/mine.py"]) == 0
    out = capsys.readouterr().out
    assert "registered as classification-tiny-bert, reads content" in out and "needs no further packages" in out


@pytest.mark.parametrize(
    ("body", "settings", "message"),
    [
        ("def preprocess(frame):\n    return frame['contents']\n", [], "line 2, in preprocess: KeyError"),
        ("def postprocess(frame, predictions):\n    return predictions.assign(n=1)\n", [], "which package.output does not declare"),
        ("def preprocess(frame):\n    return frame\n", ["package.max_length=512"], "package.max_length: 512 is more than the 128 tokens"),
        ("def preprocess(frame):\n    return frame\n", ["package.example=['', 'b']"], "text 1 of package.example cannot be scored"),
        ("def preprocess(frame):\n    return frame\n", ["package.task=multi_label", "package.model=BASE"], "has no head for multi_label"),
    ],
)
def test_what_does_not_work_is_not_logged(
    tmp_path: Path, body: str, settings: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(body)
    model = tiny_foreign_dir(tmp_path, "AutoModelForSequenceClassification", ["a", "b"])
    settings = [setting.replace("BASE", str(tmp_path / "tiny-bert")) for setting in settings]
    assert main(["package", f"package.model={model}", "package.processing=mine.py", *settings]) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error
    assert not (tmp_path / "mlflow").exists()
