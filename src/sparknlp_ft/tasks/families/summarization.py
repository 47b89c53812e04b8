"""Summarization: an encoder-decoder (T5, BART) writes a text from a text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from sparknlp_ft.baselines.lexical import lead
from sparknlp_ft.baselines.methods import Method
from sparknlp_ft.tasks.outcomes import Outcomes
from sparknlp_ft.tasks.packing import pack, unpack
from sparknlp_ft.tasks.task import IGNORED, Rows, Setup, Statistics, Task, objects
from sparknlp_ft.text.words import WORD

if TYPE_CHECKING:
    import torch

    from sparknlp_ft.text.encoder import TextEncoder

MEASURES = ("rouge1", "rouge2", "rougeL")


class Summarization(Task):
    """Teacher forcing on the first reference; beam search in evaluation and scoring; ROUGE against the best reference."""

    name = "summarization"
    target_role = "summary"
    train_settings = ("label_smoothing",)
    target_kind = "texts"
    auto_model = "AutoModelForSeq2SeqLM"
    default_metric = "rougeL"
    shown_metrics = ("rouge1", "rouge2", "rougeL")
    prediction_fields = "summary string"
    windows = ("head", "ht", "rs", "rsd", "rso")
    generates = True
    keys = ()

    def label_list(self, values: Sequence[str]) -> list[str]:
        return []

    def output_names(self, labels: Sequence[str]) -> list[str]:
        return []

    def encode_targets(self, values: Sequence[str], labels: Sequence[str], *, encoder: TextEncoder, **_: Any) -> list[bytes]:
        references = [json.loads(value) for value in values]
        ids = encoder.tokenize([several[0] for several in references])
        return [
            pack(several, np.asarray([*encoder.single.prefix, *one, *encoder.single.suffix]))
            for several, one in zip(references, ids, strict=True)
        ]

    def decode_target(self, packed: bytes) -> dict[str, Any]:
        references, ids = unpack(packed)
        return {"references": references, "ids": ids}

    def settings(self, config: Any, statistics: Statistics) -> dict[str, Any]:
        return {"generate": config.generate.model_dump(mode="json"), "label_smoothing": config.train.label_smoothing or 0.0}

    def untrained_settings(self, config: Any) -> dict[str, Any]:
        return self.settings(config, Statistics())

    def forward(
        self, network: torch.nn.Module, inputs: Mapping[str, torch.Tensor], rows: Rows, setup: Setup, *, training: bool
    ) -> torch.Tensor:
        import torch

        if not training:
            return network.generate(**inputs, **_generation(setup))  # type: ignore[operator]
        targets = _padded(rows, setup).to(inputs["input_ids"].device, non_blocking=True)
        start = torch.full_like(targets[:, :1], network.config.decoder_start_token_id)  # type: ignore[union-attr, arg-type]
        given = torch.cat([start, targets[:, :-1].clamp(min=0)], dim=1)
        return network(**inputs, decoder_input_ids=given).logits.float()

    def loss(self, output: torch.Tensor, rows: Rows, setup: Setup) -> torch.Tensor:
        from torch.nn.functional import cross_entropy

        targets = _padded(rows, setup).to(output.device)
        smoothing = setup.settings.get("label_smoothing", 0.0)
        losses = cross_entropy(output.transpose(1, 2), targets, reduction="none", ignore_index=IGNORED, label_smoothing=smoothing)
        return losses.sum(dim=1) / (targets != IGNORED).sum(dim=1).clamp(min=1)

    def results(self, outputs: Sequence[np.ndarray] | np.ndarray, rows: Rows, setup: Setup) -> np.ndarray:
        return objects(list(outputs))

    def outcomes(self, results: np.ndarray, rows: Rows, setup: Setup) -> Outcomes:
        written = _texts(results, setup)
        return _scored(written, [target["references"] for target in rows.targets])

    def outcomes_of_values(
        self, targets: Sequence[str], predictions: Sequence[str | None], labels: Sequence[str], weights: Sequence[int]
    ) -> Outcomes:
        scored = _scored([prediction or "" for prediction in predictions], [json.loads(target) for target in targets])
        return {**scored, "weight": np.asarray(weights, dtype=np.int64)}

    def majority_outcomes(self, outcomes: Outcomes, statistics: Statistics, labels: Sequence[str]) -> Outcomes:
        return {name: values if name == "weight" else np.zeros_like(values) for name, values in outcomes.items()}

    def baselines(self) -> tuple[Method, ...]:
        return (Method("lead sentence", "the first sentence of the text", lead),)

    def example_values(self, labels: Sequence[str]) -> list[str]:
        return ['["a"]', '["b"]']

    def metrics(self, outcomes: Outcomes, labels: Sequence[str]) -> dict[str, float]:
        return {name: float(np.average(outcomes[name], weights=outcomes.get("weight"))) for name in MEASURES}

    def row_scores(self, outcomes: Outcomes, metric: str) -> np.ndarray | None:
        return outcomes.get(metric) if metric in MEASURES else None

    def decode(self, results: np.ndarray, rows: Rows, setup: Setup) -> pd.DataFrame:
        return pd.DataFrame({"summary": objects(_texts(results, setup))})

    def arrays(self, results: np.ndarray, rows: Rows, setup: Setup, *, most_scores: int | None = None) -> dict[str, pa.Array]:
        return {"summary": pa.array(_texts(results, setup), pa.string())}


class WordTokenizer:
    """rouge-score's tokenisation for every script: its own keeps the letters a to z alone. No stemming."""

    def tokenize(self, text: str) -> list[str]:
        return WORD.findall(text.lower().replace("_", " "))


def _generation(setup: Setup) -> dict[str, Any]:
    given = dict(setup.settings.get("generate", {}))
    beams = given.pop("beams", 1)
    # A length penalty and early stopping mean something to beams alone, and transformers warns where they stand without.
    extra = {"length_penalty": given.pop("length_penalty", 1.0), "early_stopping": True} if beams > 1 else {}
    given.pop("length_penalty", None)
    return {**given, **extra, "num_beams": beams, "do_sample": False}


def _padded(rows: Rows, setup: Setup) -> torch.Tensor:
    import torch

    most = setup.settings.get("generate", {}).get("max_new_tokens", 64)
    ids = [_cut(target["ids"], most) for target in rows.targets]
    padded = np.full((len(ids), max(map(len, ids))), IGNORED, dtype=np.int64)
    for i, one in enumerate(ids):
        padded[i, : len(one)] = one
    return torch.from_numpy(padded)


def _cut(ids: np.ndarray, most: int) -> np.ndarray:
    """Shorten a target to ``most`` tokens, of which the last stays the end of the text."""
    return ids if len(ids) <= most else np.concatenate([ids[: most - 1], ids[-1:]])


def _texts(results: np.ndarray, setup: Setup) -> list[str]:
    assert setup.encoder is not None
    return [text.strip() for text in setup.encoder.decode([result.astype(np.int64).tolist() for result in results])]


def _scored(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> Outcomes:
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(list(MEASURES), tokenizer=WordTokenizer())
    scores = [scorer.score_multi(several, prediction) for prediction, several in zip(predictions, references, strict=True)]
    return {name: np.asarray([one[name].fmeasure for one in scores], dtype=np.float64) for name in MEASURES}
