"""What all ways score: texts of mixed lengths and equal shares, a model with a fitted head, and one that costs nothing."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sparknlp_ft.config import ModelConfig, TextConfig
from sparknlp_ft.models.folder import build_network, quiet_transformers, save_model
from sparknlp_ft.models.meta import new_meta
from sparknlp_ft.models.origin import resolve_base
from sparknlp_ft.tasks import get_task
from sparknlp_ft.text.batching import by_token_budget, pad
from sparknlp_ft.text.encoder import TextEncoder

MAX_LENGTH = 256

#: Where conf/banking77.yaml looks for it, and SQuAD beside it.
DATA = Path("../shared/data")

#: Share of long texts in each mix of lengths.
MIXES = {"short": 0.0, "mixed": 0.15, "long": 0.6}


def labelled(split: str) -> list[tuple[str, str]]:
    """Return texts with their labels: Banking77 where it is, else the demo's messages."""
    file = DATA / "banking77" / f"{split}.csv"
    if file.is_file():
        with file.open(newline="", encoding="utf-8") as stream:
            return [(row["text"], row["category"]) for row in csv.DictReader(stream)]
    from sparknlp_ft.demo.messages import messages

    return [(row.text, row.intent) for row in messages() if row.split == split]


def texts(rows: int, *, mix: str = "mixed", equal: float = 0.0, seed: int = 0) -> list[str]:
    """Return texts in random order.

    Args:
        rows: How many.
        mix: A key of ``MIXES``: how many of them are long.
        equal: Share of rows that repeat the text of another.
        seed: Of the choice.
    """
    rng = np.random.default_rng(seed)
    different = max(1, round(rows * (1 - equal)))
    long = _long()
    count = round(different * MIXES[mix]) if long else 0
    short = [text for text, _ in labelled("test")]
    some = [_numbered(short, i) for i in rng.permutation(max(different - count, len(short)))[: different - count]]
    found = [*some, *(_numbered(long, i) for i in rng.permutation(max(count, len(long)))[:count])]
    found += [found[i] for i in rng.integers(len(found), size=rows - len(found))]
    return [found[i] for i in rng.permutation(len(found))]


def _numbered(several: Sequence[str], number: int) -> str:
    """Return a text, which differs from all others where there are more rows than texts."""
    again = number // len(several)
    return several[number % len(several)] + (f" {again}" if again else "")


def _long() -> list[str]:
    file = DATA / "squad_v1" / "dev-v1.1.json"
    if not file.is_file():
        return [" ".join(text for text, _ in labelled("test")[i : i + 8]) for i in range(0, 400, 8)]
    articles = json.loads(file.read_text(encoding="utf-8"))["data"]
    return [paragraph["context"] for article in articles for paragraph in article["paragraphs"]]


def fitted_model(folder: Path, rows: int = 3000) -> Path:
    """Return MiniLM with a head fitted to its features: quick to make, and its decisions mean something."""
    import torch
    from sklearn.linear_model import LogisticRegression

    train = labelled("train")
    train = [train[i] for i in np.random.default_rng(0).permutation(len(train))[:rows]]
    labels = sorted({label for _, label in train})
    base, task, text = resolve_base(ModelConfig()), get_task("classification"), TextConfig(max_length=MAX_LENGTH)
    network, encoder = build_network(base, task, labels, settings=ModelConfig(pooling="first")).eval(), TextEncoder.load(base, text)
    inputs = [encoder.assemble(ids) for ids in encoder.tokenize([text for text, _ in train])]
    features = np.zeros((len(train), network.config.hidden_size), dtype=np.float32)
    with torch.inference_mode():
        for batch in by_token_budget([len(row) for row in inputs], 2048):
            arrays = pad([inputs[i] for i in batch], encoder.pad_id)
            features[batch] = network.bert(**{name: torch.from_numpy(values) for name, values in arrays.items()}).pooler_output.numpy()
    fit = LogisticRegression(C=30, max_iter=300).fit(features, [label for _, label in train])
    with torch.no_grad():
        network.classifier.weight.copy_(torch.from_numpy(fit.coef_))
        network.classifier.bias.copy_(torch.from_numpy(fit.intercept_))
    save_model(network, folder, base_dir=base, meta=new_meta(task, labels, text))
    return folder


def free_model(folder: Path, labels: int = 77) -> Path:
    """Return a model that costs nothing: a real tokenizer, and a network of no layer and two numbers a token."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    base, task = resolve_base(ModelConfig()), get_task("classification")
    names = [f"label {i:02}" for i in range(labels)]
    vocabulary = len(TextEncoder.load(base, TextConfig()).tokenizer)
    shape = {"hidden_size": 2, "num_attention_heads": 1, "intermediate_size": 2, "num_hidden_layers": 0}
    config = BertConfig(vocab_size=vocabulary, num_labels=labels, id2label=dict(enumerate(names)), **shape)
    torch.manual_seed(0)
    with quiet_transformers():
        save_model(
            BertForSequenceClassification(config), folder, base_dir=base, meta=new_meta(task, names, TextConfig(max_length=MAX_LENGTH))
        )
    return folder
