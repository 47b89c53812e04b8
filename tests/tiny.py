"""Tiny random models and texts, so that tests of what surrounds a network need not wait for one."""

from __future__ import annotations

import json
import shutil
import string
from collections.abc import Sequence
from pathlib import Path

from sparknlp_ft.models.folder import quiet_transformers

_VOCABULARY = (
    "the a my card is not working please help me with account payment transfer money was charged twice lost phone "
    "open close change pin top up fee exchange rate cash atm refund pending declined delivery arrived never still "
    "when will it be where can i find why did you take this from that how do have to and or but good bad great awful"
)
WORDS = tuple(_VOCABULARY.split())

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def tiny_model_dir(tmp_path: Path, arch: str = "bert", *, seed: int = 0, layers: int = 2) -> Path:
    """Write a random base model (hidden 32) with a tokenizer of its family's template; returns its folder.

    Args:
        tmp_path: Folder to write into.
        arch: One of ``ARCHITECTURES``.
        seed: Seed of the weights.
        layers: How many it has.
    """
    folder = Path(tmp_path) / f"tiny-{arch}"
    vocabulary = _write_tokenizer(folder, arch)
    network = _build(arch, len(vocabulary), seed, layers)
    with quiet_transformers():
        network.save_pretrained(folder)
    return folder


def tiny_classifier_dir(
    tmp_path: Path, labels: tuple[str, ...] = ("bad", "good", "ugly"), *, arch: str = "bert", seed: int = 0, layers: int = 2
) -> Path:
    """Write a classifier on the tiny base, as training would leave it (random weights, large head so labels vary)."""
    return tiny_trained_dir(tmp_path, "classification", labels, arch=arch, seed=seed, layers=layers)


def tiny_trained_dir(
    tmp_path: Path,
    task_name: str,
    labels: tuple[str, ...] = (),
    *,
    arch: str = "bert",
    seed: int = 0,
    max_length: int = 64,
    layers: int = 2,
    **settings: object,
) -> Path:
    """Write a model of any task on a tiny base, as training would leave it.

    Args:
        tmp_path: Folder to write into.
        task_name: Name of the task.
        labels: Its labels.
        arch: As in ``tiny_model_dir``.
        seed: Seed of the weights.
        max_length: Tokens of a window.
        layers: How many the network has.
        settings: What the task would have settled in training.
    """
    import torch

    from sparknlp_ft.config import TextConfig
    from sparknlp_ft.models.folder import build_network, save_model
    from sparknlp_ft.models.meta import new_meta
    from sparknlp_ft.tasks import get_task

    base, task = tiny_model_dir(tmp_path, arch, seed=seed, layers=layers), get_task(task_name)
    torch.manual_seed(seed)
    network = build_network(base, task, labels)
    for name in ("classifier", "qa_outputs"):
        if isinstance(head := getattr(network, name, None), torch.nn.Linear):
            torch.nn.init.normal_(head.weight, std=1.0)
    folder = Path(tmp_path) / f"tiny-{arch}-{task_name}-{seed}"
    save_model(network, folder, base_dir=base, meta=new_meta(task, labels, TextConfig(max_length=max_length), settings=settings))
    return folder


def tiny_foreign_dir(tmp_path: Path, auto_model: str, labels: Sequence[str], *, arch: str = "bert", seed: int = 0) -> Path:
    """Write a model with a head as others publish it: plain transformers, labels in ``id2label``, and nothing of ours."""
    import torch
    import transformers

    base = tiny_model_dir(tmp_path, arch, seed=seed)
    torch.manual_seed(seed)
    names = {"num_labels": len(labels), "id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}
    with quiet_transformers():
        network = getattr(transformers, auto_model).from_pretrained(base, **names)
        if isinstance(head := getattr(network, "classifier", None), torch.nn.Linear):
            torch.nn.init.normal_(head.weight, std=1.0)
        folder = base.with_name(f"foreign-{arch}")
        shutil.copytree(base, folder)
        network.save_pretrained(folder)
    return folder


def tiny_texts(rows: int, *, seed: int = 0, longest: int = 60) -> list[str]:
    """Return texts of mixed lengths from the tiny vocabulary; the same for the same seed."""
    import numpy as np

    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, size=rng.integers(1, longest))) for _ in range(rows)]


#: Where each family puts its special tokens: one text, two texts.
_BERT = ("[CLS]:0 $A:0 [SEP]:0", "[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1")
_ROBERTA = ("[CLS]:0 $A:0 [SEP]:0", "[CLS]:0 $A:0 [SEP]:0 [SEP]:0 $B:0 [SEP]:0")
_T5 = ("$A:0 [SEP]:0", "$A:0 [SEP]:0 $B:0 [SEP]:0")
ARCHITECTURES = {
    "bert": _BERT, "distilbert": _BERT, "roberta": _ROBERTA, "electra": _BERT, "deberta-v2": _BERT, "modernbert": _BERT, "t5": _T5,
}  # fmt: skip
_WITH_TYPES = ("bert", "electra", "deberta-v2")


def _write_tokenizer(folder: Path, arch: str) -> list[str]:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    letters = string.ascii_lowercase + string.digits + string.punctuation
    vocabulary = list(dict.fromkeys([*SPECIALS, *letters, *(f"##{c}" for c in string.ascii_lowercase + string.digits), *WORDS]))
    tokenizer = Tokenizer(models.WordPiece({token: i for i, token in enumerate(vocabulary)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    single, pair = ARCHITECTURES[arch]
    tokenizer.post_processor = processors.TemplateProcessing(single=single, pair=pair, special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
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
        "model_input_names": ["input_ids", *(["token_type_ids"] if arch in _WITH_TYPES else []), "attention_mask"],
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return vocabulary


def _build(arch: str, vocabulary: int, seed: int, layers: int):
    import torch
    import transformers as hf

    torch.manual_seed(seed)
    if arch == "distilbert":
        sizes = {"dim": 32, "n_layers": layers, "n_heads": 2, "hidden_dim": 64, "max_position_embeddings": 130}
        return hf.DistilBertModel(hf.DistilBertConfig(vocab_size=vocabulary, **sizes))
    if arch == "t5":
        sizes = {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": layers, "num_heads": 2}
        return hf.T5ForConditionalGeneration(
            hf.T5Config(vocab_size=vocabulary, pad_token_id=0, eos_token_id=3, decoder_start_token_id=0, **sizes)
        )
    sizes = {
        "hidden_size": 32,
        "num_hidden_layers": layers,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 130,
    }
    marks = {"vocab_size": vocabulary, "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3}
    classes = {
        "bert": (hf.BertModel, hf.BertConfig, {}),
        "roberta": (hf.RobertaModel, hf.RobertaConfig, {"type_vocab_size": 1}),
        "electra": (hf.ElectraModel, hf.ElectraConfig, {"embedding_size": 32}),
        "deberta-v2": (
            hf.DebertaV2Model,
            hf.DebertaV2Config,
            {"type_vocab_size": 2, "relative_attention": True, "pos_att_type": ["p2c", "c2p"]},
        ),
        "modernbert": (hf.ModernBertModel, hf.ModernBertConfig, {"global_attn_every_n_layers": 2, "local_attention": 16}),
    }
    model, config, extra = classes[arch]
    return model(config(**sizes, **marks, **extra))
