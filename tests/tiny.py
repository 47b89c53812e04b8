"""Tiny random models and texts, so that tests of what surrounds a network need not wait for one."""

from __future__ import annotations

import json
import string
from pathlib import Path

from sparknlp_ft.models.folder import quiet_transformers

_VOCABULARY = (
    "the a my card is not working please help me with account payment transfer money was charged twice lost phone "
    "open close change pin top up fee exchange rate cash atm refund pending declined delivery arrived never still "
    "when will it be where can i find why did you take this from that how do have to and or but good bad great awful"
)
WORDS = tuple(_VOCABULARY.split())

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def tiny_model_dir(tmp_path: Path, arch: str = "bert", *, seed: int = 0) -> Path:
    """Write a 2-layer random base model (hidden 32) with a WordPiece tokenizer; returns its folder.

    Args:
        tmp_path: Folder to write into.
        arch: 'bert' (with token types) or 'distilbert' (without).
        seed: Seed of the weights.
    """
    folder = Path(tmp_path) / f"tiny-{arch}"
    vocabulary = _write_tokenizer(folder, with_types=arch == "bert")
    network = _build(arch, len(vocabulary), seed)
    with quiet_transformers():
        network.save_pretrained(folder)
    return folder


def tiny_classifier_dir(tmp_path: Path, labels: tuple[str, ...] = ("bad", "good", "ugly"), *, arch: str = "bert", seed: int = 0) -> Path:
    """Write a classifier on the tiny base, as training would leave it (random weights, large head so labels vary)."""
    import torch

    from sparknlp_ft.config import TextConfig
    from sparknlp_ft.models.folder import build_network, save_model
    from sparknlp_ft.tasks import get_task

    base, task = tiny_model_dir(tmp_path, arch, seed=seed), get_task("classification")
    torch.manual_seed(seed)
    network = build_network(base, task, labels)
    torch.nn.init.normal_(network.classifier.weight, std=1.0)
    folder = Path(tmp_path) / f"tiny-{arch}-classifier-{seed}"
    save_model(network, folder, base_dir=base, task=task, labels=labels, text=TextConfig(max_length=64))
    return folder


def tiny_texts(rows: int, *, seed: int = 0, longest: int = 60) -> list[str]:
    """Return texts of mixed lengths from the tiny vocabulary; the same for the same seed."""
    import numpy as np

    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, size=rng.integers(1, longest))) for _ in range(rows)]


def _write_tokenizer(folder: Path, *, with_types: bool) -> list[str]:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    letters = string.ascii_lowercase + string.digits + string.punctuation
    vocabulary = list(dict.fromkeys([*SPECIALS, *letters, *(f"##{c}" for c in string.ascii_lowercase + string.digits), *WORDS]))
    tokenizer = Tokenizer(models.WordPiece({token: i for i, token in enumerate(vocabulary)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": 128,
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "mask_token": "[MASK]",
        "model_input_names": ["input_ids", *(["token_type_ids"] if with_types else []), "attention_mask"],
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return vocabulary


def _build(arch: str, vocabulary: int, seed: int):
    import torch
    from transformers import BertConfig, BertModel, DistilBertConfig, DistilBertModel

    torch.manual_seed(seed)
    if arch == "distilbert":
        return DistilBertModel(
            DistilBertConfig(vocab_size=vocabulary, dim=32, n_layers=2, n_heads=2, hidden_dim=64, max_position_embeddings=128)
        )
    if arch == "bert":
        return BertModel(
            BertConfig(
                vocab_size=vocabulary,
                hidden_size=32,
                num_hidden_layers=2,
                num_attention_heads=2,
                intermediate_size=64,
                max_position_embeddings=128,
            )
        )
    raise ValueError(f"no tiny {arch!r}; there are 'bert' and 'distilbert'")
