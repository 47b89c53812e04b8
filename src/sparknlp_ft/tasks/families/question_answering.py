"""Extractive question answering: the span of a context that answers a question, or none. Long contexts go through windows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sparknlp_ft.baselines.lexical import nearest_sentence
from sparknlp_ft.baselines.methods import Method
from sparknlp_ft.errors import DataError
from sparknlp_ft.tasks.answers import best_spans, exact_match_and_f1
from sparknlp_ft.tasks.outcomes import Outcomes, weights_of
from sparknlp_ft.tasks.packing import pack, unpack
from sparknlp_ft.tasks.task import Rows, Setup, Statistics, Task, by_row, objects

if TYPE_CHECKING:
    import torch

    from sparknlp_ft.text.encoder import Inputs, Tokens

ANSWERED, UNANSWERED = "answered", "no answer"

#: Spans of a row that are kept before they become texts: several may give the same text.
KEPT = 20
#: Score of "no answer" where training never saw it.
NEVER = -1e9


class QuestionAnswering(Task):
    """Start and end of the answer among the context's tokens; position 0 stands for no answer in this window.

    A result is a table of spans [1 + n, 3] (first token, last token, score); its first line is no answer.
    """

    name = "question_answering"
    text_roles = ("question", "context")
    target_role = "answers"
    target_kind = "answers"
    auto_model = "AutoModelForQuestionAnswering"
    default_metric = "f1"
    shown_metrics = ("exact_match", "f1")
    prediction_fields = (
        "answer string, score double, start int, end int, candidates array<struct<text:string,score:double,start:int,end:int>>"
    )
    constant = ("no answer", "always the empty answer")
    keys = ("none",)
    tuned_by = ("f1", "margin", "none", "may_be_none")
    counts_tuned = True
    default_window = "sliding"
    windows = ("sliding", "head")
    needs_offsets = True

    def label_list(self, values: Sequence[str]) -> list[str]:
        if ANSWERED not in values:
            raise DataError("no row of train has an answer; check data.columns.answers and data.train_split")
        return []

    def output_names(self, labels: Sequence[str]) -> list[str]:
        return ["start", "end"]

    def encode_targets(
        self, values: Sequence[str], labels: Sequence[str], *, tokens: Sequence[Tokens], texts: Sequence[str], **_: Any
    ) -> list[bytes]:
        packed = []
        for value, one, text in zip(values, tokens, texts, strict=True):
            answers = json.loads(value)
            spans = [_token_span(one.offsets, text, answer) for answer in answers]
            kept = {"answers": [answer["text"] for answer in answers], "context": text, "spans": len(spans)}
            packed.append(pack(kept, np.concatenate([np.asarray(spans, dtype=np.int64).reshape(-1), one.offsets.reshape(-1)])))
        return packed

    def decode_target(self, packed: bytes) -> dict[str, Any]:
        target, numbers = unpack(packed)
        spans = target["spans"]
        return {**target, "spans": numbers[: 2 * spans].reshape(-1, 2), "offsets": numbers[2 * spans :].reshape(-1, 2)}

    def settings(self, config: Any, statistics: Statistics) -> dict[str, Any]:
        some = config.answer.may_be_none
        some = statistics.label_counts.get(UNANSWERED, 0) > 0 if some is None else some
        return {"n_best": config.answer.n_best, "max_answer_tokens": config.answer.max_tokens, "may_be_none": some}

    def untrained_settings(self, config: Any) -> dict[str, Any]:
        return self.settings(config, Statistics())

    def forward(
        self, network: torch.nn.Module, inputs: Mapping[str, torch.Tensor], rows: Rows, setup: Setup, *, training: bool
    ) -> torch.Tensor:
        import torch

        output = network(**inputs)
        return torch.stack([output.start_logits, output.end_logits], dim=-1).float()

    def loss(self, output: torch.Tensor, rows: Rows, setup: Setup) -> torch.Tensor:
        import torch
        from torch.nn.functional import cross_entropy

        windows = [(window, target) for row, target in zip(rows.windows, rows.targets, strict=True) for window in row]
        targets = torch.tensor([_position(window, target["spans"]) for window, target in windows], dtype=torch.long)
        lengths = torch.tensor([len(window) for window, _ in windows], device=output.device)
        beyond = torch.arange(output.shape[1], device=output.device)[None, :] >= lengths[:, None]
        masked = output.masked_fill(beyond[:, :, None], torch.finfo(output.dtype).min)
        losses = cross_entropy(masked, targets.to(output.device), reduction="none")
        return by_row(losses.mean(dim=1), rows)

    def results(self, outputs: Sequence[np.ndarray] | np.ndarray, rows: Rows, setup: Setup) -> np.ndarray:
        remaining = iter(outputs)
        most = setup.settings.get("max_answer_tokens", 30)
        return objects([_row_spans([(window, next(remaining)) for window in row], most_tokens=most) for row in rows.windows])

    def outcomes(self, results: np.ndarray, rows: Rows, setup: Setup) -> Outcomes:
        scores = []
        for result, target in zip(results, rows.targets, strict=True):
            text = _texts(result[1:2], target["context"], target["offsets"])
            exact, f1 = exact_match_and_f1(text[0] if text else "", target["answers"])
            margin = result[0, 2] - result[1, 2] if len(result) > 1 else -NEVER
            scores.append((exact, f1, margin, not target["answers"]))
        columns = np.asarray(scores, dtype=np.float64)
        may = np.full(len(columns), float(setup.settings.get("may_be_none", False)))
        names = ("exact", "f1", "margin", "none")
        return {**{name: columns[:, i] for i, name in enumerate(names)}, "may_be_none": may}

    def counted(self, outcomes: Outcomes, labels: Sequence[str], settings: Mapping[str, Any]) -> Outcomes:
        silent = (outcomes["margin"] > settings.get("none_margin", 0.0)) & (outcomes["may_be_none"] > 0)
        exact, f1 = (np.where(silent, outcomes["none"], outcomes[name]) for name in ("exact", "f1"))
        return {"exact": exact, "f1": f1, "none": outcomes["none"]}

    def outcomes_of_values(
        self, targets: Sequence[str], predictions: Sequence[str | None], labels: Sequence[str], weights: Sequence[int]
    ) -> Outcomes:
        answers = [[answer["text"] for answer in json.loads(target)] for target in targets]
        scores = [exact_match_and_f1(p, a) if p is not None else (0.0, 0.0) for p, a in zip(predictions, answers, strict=True)]
        exact, f1 = (np.asarray(values) for values in zip(*scores, strict=True))
        none = np.asarray([not one for one in answers], dtype=np.float64)
        return {"exact": exact, "f1": f1, "none": none, "weight": np.asarray(weights, dtype=np.int64)}

    def majority_outcomes(self, outcomes: Outcomes, statistics: Statistics, labels: Sequence[str]) -> Outcomes:
        kept: Outcomes = {name: outcomes[name] for name in ("none", "weight") if name in outcomes}
        return {**kept, "exact": outcomes["none"], "f1": outcomes["none"]}

    def baselines(self) -> tuple[Method, ...]:
        about = "the sentence of the context that shares most words with the question"
        return (Method("nearest sentence", about, nearest_sentence),)

    def row_scores(self, outcomes: Outcomes, metric: str) -> np.ndarray | None:
        name = {"exact_match": "exact", "f1": "f1"}.get(metric)
        return None if name is None else outcomes[name]

    def tune(self, outcomes: Outcomes, labels: Sequence[str]) -> dict[str, Any]:
        """Choose how far "no answer" must lead the best answer: the margin with the best mean F1."""
        if not outcomes["may_be_none"].any():
            return {}
        order = np.argsort(outcomes["margin"], kind="stable")
        # With the threshold after the k smallest margins, those answer, and the others do not.
        answered = np.concatenate([[0.0], np.cumsum(outcomes["f1"][order])])
        silent = outcomes["none"].sum() - np.concatenate([[0.0], np.cumsum(outcomes["none"][order])])
        margins = outcomes["margin"][order]
        between = np.concatenate([[True], margins[:-1] < margins[1:], [True]])  # Equal margins cannot be told apart.
        best = int(np.argmax(np.where(between, answered + silent, -1.0)))
        middles = (margins[:-1] + margins[1:]) / 2
        middles = np.where(middles < margins[1:], middles, margins[:-1])  # Two numbers may have none between them.
        edges = np.concatenate([[margins[0] - 1], middles, [margins[-1] + 1]])
        return {"none_margin": float(np.clip(edges[best], NEVER, -NEVER))}

    def metrics(self, outcomes: Outcomes, labels: Sequence[str]) -> dict[str, float]:
        exact, f1, none, weight = outcomes["exact"], outcomes["f1"], outcomes["none"], weights_of(outcomes)
        result = {"exact_match": float(np.average(exact, weights=weight)), "f1": float(np.average(f1, weights=weight))}
        for name, chosen in (("answered", none == 0), ("unanswered", none == 1)):
            if none.any() and weight[chosen].sum():
                result[f"f1_{name}"] = float(np.average(f1[chosen], weights=weight[chosen]))
        return result

    def decode(self, results: np.ndarray, rows: Rows, setup: Setup) -> pd.DataFrame:
        found = [_answer(*row, setup.settings) for row in zip(results, rows.texts, rows.offsets, strict=True)]
        columns = ("answer", "score", "start", "end", "candidates")
        return pd.DataFrame({name: objects([one[name] for one in found]) for name in columns})


def _token_span(offsets: np.ndarray, text: str, answer: Mapping[str, Any]) -> tuple[int, int]:
    """First and last token of an answer; (-1, -1) if its characters are in no token.

    Raises:
        DataError: The answer does not stand where it should, which ``tables.places`` finds out before, of all rows together.
    """
    if "start" not in answer:  # Spark's JSON leaves NULLs out.
        raise DataError("an answer has no start: the character of its context that it begins at")
    start, end = answer["start"], answer["start"] + len(answer["text"])
    if not 0 <= start < end <= len(text) or text[start:end] != answer["text"]:
        raise DataError(f"an answer does not stand at character {start} of its context; offsets count characters from 0")
    first = int(np.searchsorted(offsets[:, 1], start, side="right"))
    last = int(np.searchsorted(offsets[:, 0], end, side="left")) - 1
    return (first, last) if first <= last < len(offsets) else (-1, -1)


def _position(window: Inputs, spans: np.ndarray) -> tuple[int, int]:
    """Start and end of the first answer that lies whole in the window; (0, 0) if none does."""
    if not len(window.kept):
        return 0, 0
    begin = int(window.kept[0])
    for first, last in spans.tolist():
        if begin <= first and last <= window.kept[-1]:
            return window.at + first - begin, window.at + last - begin
    return 0, 0


def _row_spans(windows: Sequence[tuple[Inputs, np.ndarray]], *, most_tokens: int) -> np.ndarray:
    found = []
    for window, output in windows:
        spans = best_spans(output[window.at : window.at + len(window.kept)], most_tokens=most_tokens, count=KEPT)
        spans[:, :2] += window.kept[0] if len(window.kept) else 0
        found.append(spans)
    joined = np.concatenate(found)
    none = min(float(output[0].sum()) for _, output in windows)
    ordered = joined[np.argsort(-joined[:, 2], kind="stable")]
    # Windows overlap: a span counts once, with the window that likes it best.
    _, earliest = np.unique(ordered[:, :2], axis=0, return_index=True)
    best = ordered[np.sort(earliest)[:KEPT]]
    return np.concatenate([[[-1.0, -1.0, none]], best])


def _texts(spans: np.ndarray, context: str, offsets: np.ndarray) -> list[str]:
    return [context[slice(*_characters(span, context, offsets))] for span in spans]


def _characters(span: np.ndarray, context: str, offsets: np.ndarray) -> tuple[int, int]:
    start, end = int(offsets[int(span[0]), 0]), int(offsets[int(span[1]), 1])
    while start < end and context[start].isspace():  # SentencePiece's pieces begin with the blank before them.
        start += 1
    return start, end


def _answer(result: np.ndarray, context: str, offsets: np.ndarray, settings: Mapping[str, Any]) -> dict[str, Any]:
    may_be_none = settings.get("may_be_none", False)
    scores = result[:, 2] if may_be_none else np.concatenate([[-np.inf], result[1:, 2]])
    peak = scores.max() if len(result) > 1 or may_be_none else 0.0
    shares = np.exp(scores - peak)
    shares = shares / max(shares.sum(), 1e-30)
    candidates: dict[str, dict[str, Any]] = {}
    for span, share in zip(result[1:], shares[1:], strict=True):
        start, end = _characters(span, context, offsets)
        one: dict[str, Any] = {"text": context[start:end], "score": float(share), "start": start, "end": end}
        candidates.setdefault(one["text"], one)
    listed = list(candidates.values())[: settings.get("n_best", 3)]
    silent = may_be_none and (len(result) < 2 or result[0, 2] - result[1, 2] > settings.get("none_margin", 0.0))
    if silent or not listed:
        return {"answer": "", "score": float(shares[0]), "start": None, "end": None, "candidates": listed}
    best = listed[0]
    return {"answer": best["text"], "score": best["score"], "start": best["start"], "end": best["end"], "candidates": listed}
