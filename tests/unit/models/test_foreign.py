"""Models that were not trained here: their tags in our order, their labels kept, bare encoders refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from sparknlp_ft.config import TextConfig
from sparknlp_ft.errors import ConfigError, ModelError
from sparknlp_ft.models.folder import save_model
from sparknlp_ft.models.foreign import adopt
from sparknlp_ft.models.meta import load_meta, new_meta
from sparknlp_ft.scoring.engine import load_engine
from sparknlp_ft.scoring.rows import score_rows
from sparknlp_ft.tasks import get_task
from sparknlp_ft.tasks.tags import NEVER, tag_rows
from tests.tiny import tiny_classifier_dir, tiny_foreign_dir, tiny_model_dir, tiny_texts


@pytest.mark.parametrize(
    ("names", "labels", "rows"),
    [
        (["O", "B-PER", "I-PER", "B-LOC", "I-LOC"], ["PER", "LOC"], [0, 1, 2, 3, 4]),
        (["I-LOC", "B-PER", "O", "I-PER", "B-LOC"], ["LOC", "PER"], [2, 4, 0, 1, 3]),
        (["B-LOC", "I-LOC", "I-PER", "O"], ["LOC", "PER"], [3, 0, 1, None, 2]),  # IOB1: B- only where entities touch
        (["O", "PER", "LOC"], ["PER", "LOC"], [0, None, 1, None, 2]),
        (["O", "PER-B", "PER-I"], ["PER"], [0, 1, 2]),
        (["O", "B_PER", "I_PER", "MISC"], ["PER", "MISC"], [0, 1, 2, None, 3]),
        (["NOUN", "VERB"], ["NOUN", "VERB"], [None, 0, None, 1, None]),  # a tagger: each word by itself
        (["[PAD]", "O", "B-PER", "I-PER", "X"], ["PER"], [1, 2, 3]),
        (["O", "B-GPE-CITY", "I-GPE-CITY"], ["GPE-CITY"], [0, 1, 2]),
    ],
)
def test_tags_are_put_into_our_order(names: list[str], labels: list[str], rows: list[int | None]) -> None:
    assert tag_rows(names) == (labels, rows)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["LABEL_0", "LABEL_1"], "tags have no names"),
        (["O", "B-PER", "I-PER", "E-PER", "S-PER"], "marks ends or single words"),
        (["O", "B-PER", "I-PER", "B-PER"], "stands in id2label twice"),
        (["O", "[PAD]"], "no kind of entity"),
    ],
)
def test_tags_that_cannot_be_read_are_refused(names: list[str], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        tag_rows(names)


@pytest.mark.parametrize("arch", ["bert", "distilbert", "roberta", "modernbert"])
def test_a_foreign_tagger_says_the_same_in_our_order(tmp_path: Path, arch: str) -> None:
    import torch

    names = ["I-PER", "O", "B-LOC", "I-LOC"]
    folder, task = tiny_foreign_dir(tmp_path, "AutoModelForTokenClassification", names, arch=arch), get_task("token_classification")
    adopted = adopt(folder, task)
    assert adopted.labels == ("PER", "LOC") and adopted.network.config.id2label == dict(
        enumerate(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"])
    )
    import transformers

    before = transformers.AutoModelForTokenClassification.from_pretrained(folder).eval()
    inputs = {"input_ids": torch.arange(5, 25)[None], "attention_mask": torch.ones(1, 20, dtype=torch.long)}
    with torch.inference_mode():
        old, new = before(**inputs).logits[0].numpy(), adopted.network(**inputs).logits[0].numpy()
    np.testing.assert_allclose(new[:, [0, 2, 3, 4]], old[:, [1, 0, 2, 3]], atol=1e-5)
    assert (new[:, 1] == NEVER).all()
    save_model(adopted.network, tmp_path / "ours", base_dir=folder, meta=new_meta(task, adopted.labels, TextConfig(max_length=32)))
    result = score_rows(load_engine(tmp_path / "ours", precision="float32", device="cpu"), [tiny_texts(8)])
    assert (result["status"] == "ok").all() and {e["label"] for row in result["entities"] for e in row} <= {"PER", "LOC"}
    assert (tmp_path / "ours" / "tokenizer.json").read_bytes() == (folder / "tokenizer.json").read_bytes()


@pytest.mark.parametrize(("arch", "longest"), [("bert", 128), ("roberta", 128), ("t5", 128)])
def test_the_longest_input_is_known(tmp_path: Path, arch: str, longest: int) -> None:
    """130 positions, of which RoBERTa's begin at 1; the tokenizer says 128."""
    auto = "AutoModelForSeq2SeqLM" if arch == "t5" else "AutoModelForTokenClassification"
    folder = tiny_foreign_dir(tmp_path, auto, ["O", "PER"], arch=arch)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    task = get_task("summarization" if arch == "t5" else "token_classification")
    assert adopt(folder, task).longest == longest
    (folder / "tokenizer_config.json").write_text(json.dumps({**config, "model_max_length": int(1e30)}))
    assert adopt(folder, task).longest == {"bert": 130, "roberta": 129, "t5": None}[arch]


def test_labels_of_a_classifier_are_its_own_in_their_order(tmp_path: Path) -> None:
    folder = tiny_foreign_dir(tmp_path, "AutoModelForSequenceClassification", ["positive", "negative"])
    assert adopt(folder, get_task("classification")).labels == ("positive", "negative")
    assert adopt(folder, get_task("multi_label")).labels == ("positive", "negative")
    with pytest.raises(ModelError, match="model folder '.*foreign-bert' has 2 outputs, and regression has one"):
        adopt(folder, get_task("regression"))
    with pytest.raises(
        ModelError, match=r"BertForSequenceClassification, which has no head for token_classification; set package.task=class"
    ):
        adopt(folder, get_task("token_classification"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "problem_type": "multi_label_classification"}))
    with pytest.raises(ModelError, match="package.task=multi_label"):
        adopt(folder, get_task("classification"))
    (folder / "config.json").write_text(json.dumps({**config, "id2label": {"0": "same", "1": "same"}}))
    with pytest.raises(ModelError, match="twice"):
        adopt(folder, get_task("classification"))


def test_one_output_is_a_number(tmp_path: Path) -> None:
    folder = tiny_foreign_dir(tmp_path, "AutoModelForSequenceClassification", ["score"])
    assert adopt(folder, get_task("regression")).labels == ()
    with pytest.raises(ModelError, match="package.task=regression"):
        adopt(folder, get_task("classification"))


@pytest.mark.parametrize("task", ["classification", "token_classification", "question_answering"])
def test_a_bare_encoder_is_refused_with_the_way_to_train_one(tmp_path: Path, task: str) -> None:
    folder = tiny_model_dir(tmp_path)
    with pytest.raises(ModelError, match=f"has no head for {task}; fine-tune it first: sparknlp-ft train"):
        adopt(folder, get_task(task))
    config = json.loads((folder / "config.json").read_text())
    del config["architectures"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"no trained head.*drawn at random.*sparknlp-ft train model.base"):
        adopt(folder, get_task(task))


def test_a_folder_trained_here_keeps_what_training_settled(tmp_path: Path) -> None:
    folder = tiny_classifier_dir(tmp_path)
    adopted = adopt(folder, get_task("classification"))
    assert adopted.labels == ("bad", "good", "ugly") and adopted.meta == load_meta(folder)
    with pytest.raises(ConfigError, match="was trained here for 'classification'"):
        adopt(folder, get_task("multi_label"))
