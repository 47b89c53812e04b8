"""Token classification: entities in a text, with character offsets. Long texts go through overlapping windows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sparknlp_ft.baselines.lexical import dictionary
from sparknlp_ft.baselines.methods import Method
from sparknlp_ft.errors import DataError, ModelError
from sparknlp_ft.tasks.counting import averaged, counts_table
from sparknlp_ft.tasks.labels import not_in_train, output_labels, where
from sparknlp_ft.tasks.outcomes import Outcomes, weights_of
from sparknlp_ft.tasks.spans import Entity, count_matches, first_pieces, runs_of, tags_of
from sparknlp_ft.tasks.tags import reorder, tag_rows
from sparknlp_ft.tasks.task import IGNORED, Rows, Setup, Statistics, Task, by_row, objects
from sparknlp_ft.text.words import words_of

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from sparknlp_ft.text.encoder import Inputs, Tokens


class TokenClassification(Task):
    """BIO tags of words, learnt on their first pieces; a prediction is a list of entities with offsets and scores.

    A row's target is the tag of each of its pieces, ``IGNORED`` where a piece begins no word. A result has, for each
    piece, tag and probability, from the window in which the piece stands farthest from the edges.
    """

    name = "token_classification"
    target_role = "entities"
    target_kind = "entities"
    auto_model = "AutoModelForTokenClassification"
    default_metric = "f1_micro"
    shown_metrics = ("f1_micro", "precision_micro", "recall_micro", "f1_macro")
    prediction_fields = "entities array<struct<start:int,end:int,label:string,text:string,score:double>>"
    constant = ("nothing", "no entity is ever found")
    keys = ()
    default_window = "sliding"
    windows = ("sliding", "head")
    needs_offsets = True

    def label_list(self, values: Sequence[str]) -> list[str]:
        labels = sorted(set(values))
        if not labels:
            raise DataError("no row of train has an entity; check data.columns.entities and data.train_split")
        return labels

    def output_names(self, labels: Sequence[str]) -> list[str]:
        return ["O", *(f"{part}-{label}" for label in labels for part in "BI")]

    def adopt(self, network: PreTrainedModel) -> tuple[str, ...]:
        names = output_labels(network)
        try:
            labels, rows = tag_rows(names)
            reorder(network, self.output_names(labels), rows)
        except ModelError as error:
            raise ModelError(f"{where(network)}: {error}") from error
        return tuple(labels)

    def encode_targets(
        self, values: Sequence[str], labels: Sequence[str], *, tokens: Sequence[Tokens], texts: Sequence[str], **_: Any
    ) -> list[bytes]:
        return [
            self._piece_tags(entities_of(value, labels, text), labels, text, one.offsets).astype("<i4").tobytes()
            for value, one, text in zip(values, tokens, texts, strict=True)
        ]

    def decode_target(self, packed: bytes) -> np.ndarray:
        return np.frombuffer(packed, dtype="<i4")

    def _piece_tags(self, entities: Sequence[Entity], labels: Sequence[str], text: str, offsets: np.ndarray) -> np.ndarray:
        words = words_of(text)
        first = first_pieces(words, offsets)
        result = np.full(len(offsets), IGNORED, dtype=np.int64)
        result[first[first >= 0]] = tags_of(words, entities, labels)[first >= 0]
        return result

    def loss(self, output: torch.Tensor, rows: Rows, setup: Setup) -> torch.Tensor:
        import torch
        from torch.nn.functional import cross_entropy

        targets = torch.full(output.shape[:2], IGNORED, dtype=torch.long)
        windows = [(window, target) for row, target in zip(rows.windows, rows.targets, strict=True) for window in row]
        for i, (window, target) in enumerate(windows):
            kept = target[window.kept]
            targets[i, window.at : window.at + len(kept)] = torch.from_numpy(kept.astype(np.int64))
        targets = targets.to(output.device, non_blocking=True)
        losses = cross_entropy(output.transpose(1, 2), targets, reduction="none", ignore_index=IGNORED)
        return by_row(losses.sum(dim=1) / (targets != IGNORED).sum(dim=1).clamp(min=1), rows)

    def read(self, output: torch.Tensor) -> torch.Tensor:
        import torch

        score, tag = torch.softmax(output, dim=-1).max(dim=-1)
        return torch.stack([tag.float(), score], dim=-1)

    def results(self, outputs: Sequence[np.ndarray] | np.ndarray, rows: Rows, setup: Setup) -> np.ndarray:
        remaining = iter(outputs)
        return objects([_merged([(window, next(remaining)) for window in row]) for row in rows.windows])

    def margins(self, results: np.ndarray, setup: Setup) -> np.ndarray:
        """Return the least probability among a row's tags: what is kept of the outputs of a piece."""
        return np.asarray([result[:, 1].min(initial=1.0) for result in results], dtype=np.float64)

    def outcomes(self, results: np.ndarray, rows: Rows, setup: Setup) -> Outcomes:
        counts, numbers = [], {number: number for number in range(len(setup.labels))}
        for result, target in zip(results, rows.targets, strict=True):
            first = np.flatnonzero(target != IGNORED)
            shown = np.zeros(len(target))  # Pieces that no window showed are outside.
            shown[: len(result)] = result[:, 0]
            counts.append(count_matches(runs_of(target[first]), runs_of(shown[first].astype(np.int64)), numbers))
        return {"counts": np.stack(counts)}

    def outcomes_of_values(
        self, targets: Sequence[str], predictions: Sequence[str | None], labels: Sequence[str], weights: Sequence[int]
    ) -> Outcomes:
        actual = [_spans(target) for target in targets]
        predicted = [_spans(prediction or "[]") for prediction in predictions]
        # Labels the model does not know come after its own: their entities are missed.
        index = {label: i for i, label in enumerate((*labels, *self.unknown_labels(labels, targets)))}
        return {
            "counts": np.stack([count_matches(a, p, index) for a, p in zip(actual, predicted, strict=True)]),
            "weight": np.asarray(weights, dtype=np.int64),
        }

    def majority_outcomes(self, outcomes: Outcomes, statistics: Statistics, labels: Sequence[str]) -> Outcomes:
        nothing = outcomes["counts"].copy()
        nothing[:, :, :2] = 0
        return {**outcomes, "counts": nothing}

    def baselines(self) -> tuple[Method, ...]:
        return (Method("dictionary", "phrases of train that mostly are entities, with their most frequent label", dictionary),)

    def unknown_labels(self, labels: Sequence[str], targets: Sequence[str]) -> tuple[str, ...]:
        return tuple(sorted({span[2] for target in targets for span in _spans(target)} - set(labels)))

    def metrics(self, outcomes: Outcomes, labels: Sequence[str]) -> dict[str, float]:
        """Entity precision, recall and F1, strict: as seqeval's with mode 'strict' on the same words."""
        return averaged(*_totals(outcomes))

    def label_table(self, outcomes: Outcomes, labels: Sequence[str]) -> pd.DataFrame:
        return counts_table(labels, *(values[: len(labels)].astype(np.int64) for values in _totals(outcomes)))

    def decode(self, results: np.ndarray, rows: Rows, setup: Setup) -> pd.DataFrame:
        found = [
            entities_in(text, offsets, result, setup.labels)
            for text, offsets, result in zip(rows.texts, rows.offsets, results, strict=True)
        ]
        return pd.DataFrame({"entities": objects(found)})


def entities_of(value: str, labels: Sequence[str], text: str) -> list[Entity]:
    """Return the entities of a target as ``tables.targets`` writes it.

    Raises:
        DataError: A label is unknown, or a span does not lie in the text.
    """
    entities = []
    for one in json.loads(value):
        if missing := {"start", "end", "label"} - one.keys():  # Spark's JSON leaves NULLs out.
            raise DataError(f"an entity has no {min(missing)}: {one}; each needs start, end and label")
        if one["label"] not in labels:
            raise not_in_train([one["label"]], labels)
        if not 0 <= one["start"] < one["end"] <= len(text):
            raise DataError(
                f"entity {one['label']!r} from character {one['start']} to {one['end']} is not in its text of {len(text)} characters; "
                "offsets count characters from 0, end exclusive"
            )
        entities.append(Entity(one["start"], one["end"], one["label"]))
    return entities


def entities_in(text: str, offsets: np.ndarray, result: np.ndarray, labels: Sequence[str]) -> list[dict[str, Any]]:
    """Return the entities of one text: ``start``, ``end``, ``label``, ``text``, and ``score``, the mean of its words' probabilities."""
    words = words_of(text)
    first = first_pieces(words, offsets)
    ends = _ends(words, first, offsets)
    words, ends, first = words[first >= 0], ends[first >= 0], first[first >= 0]
    shown = first < len(result)  # A text cut by window 'head' ends earlier.
    tags, scores = result[first[shown], 0].astype(np.int64), result[first[shown], 1]
    found = []
    for begin, end, label in runs_of(tags):
        start, stop = int(words[begin, 0]), int(ends[end - 1])
        score = float(scores[begin:end].mean())
        found.append({"start": start, "end": stop, "label": labels[label], "text": text[start:stop], "score": score})
    return found


def _ends(words: np.ndarray, first: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Return where each word ends, [words]; words that begin in its last piece have none of their own, and belong to it."""
    ends = words[:, 1].copy()
    following = len(offsets)
    for word in range(len(words) - 1, -1, -1):
        if first[word] < 0:
            continue
        last = word
        while last + 1 < len(words) and first[last + 1] < 0 and words[last + 1, 0] < offsets[following - 1, 1]:
            last += 1
        ends[word], following = words[last, 1], int(first[word])
    return ends


def _merged(windows: Sequence[tuple[Inputs, np.ndarray]]) -> np.ndarray:
    """Tag and probability of each piece, [pieces, 2], each from the window where it has most context on its scarcer side."""
    size = max((int(window.kept[-1]) + 1 for window, _ in windows if len(window.kept)), default=0)
    merged, context = np.zeros((size, 2), dtype=np.float32), np.full(size, -1)
    for window, output in windows:
        count = len(window.kept)
        margin = np.minimum(np.arange(count), np.arange(count)[::-1])
        better = margin > context[window.kept]
        at = window.kept[better]
        merged[at], context[at] = output[window.at : window.at + count][better], margin[better]
    return merged


def _spans(value: str) -> list[tuple[int, int, str]]:
    return [(one["start"], one["end"], one["label"]) for one in json.loads(value)]


def _totals(outcomes: Outcomes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return hits, predicted and actual entities of each label, [labels]; rounded, for they are numbers of entities."""
    total = np.rint(np.tensordot(weights_of(outcomes).astype(np.float64), outcomes["counts"], axes=1))
    return total[:, 0], total[:, 1], total[:, 2]
