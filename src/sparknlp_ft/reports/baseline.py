"""What cheap methods reach on the same rows: the yardstick that a fine-tuned transformer is held against.

Works on plain lists on the driver: a baseline needs a sample, not the whole of a large table. To add one, write its ``fit``
and name it in ``METHODS``.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sparknlp_ft.errors import DataError
from sparknlp_ft.reports.lexical import dictionary, lead, nearest_sentence
from sparknlp_ft.reports.linear import logistic_regression, one_against_rest, ridge
from sparknlp_ft.reports.methods import Method, Sample

#: What ``Task.majority_outcomes`` answers everywhere: name and description. An empty summary is no baseline.
CONSTANTS = {
    "classification": ("majority", "always the most frequent label of train"),
    "multi_label": ("majority", "always the most frequent label of train, alone"),
    "regression": ("mean", "always the mean of train"),
    "token_classification": ("nothing", "no entity is ever found"),
    "question_answering": ("no answer", "always the empty answer"),
}

#: What is fitted, by task.
METHODS: dict[str, tuple[Method, ...]] = {
    "classification": (
        Method("TF-IDF + logistic regression", "words and pairs of words; of pairs of texts also what they share", logistic_regression),
    ),
    "multi_label": (Method("TF-IDF + one-vs-rest", "a logistic regression per label, thresholds tuned on validation", one_against_rest),),
    "regression": (Method("TF-IDF + ridge", "words and pairs of words; of pairs of texts also how alike they are", ridge),),
    "token_classification": (
        Method("dictionary", "phrases of train that mostly are entities, with their most frequent label", dictionary),
    ),
    "question_answering": (
        Method("nearest sentence", "the sentence of the context that shares most words with the question", nearest_sentence),
    ),
    "summarization": (Method("lead sentence", "the first sentence of the text", lead),),
}


@dataclass(frozen=True)
class Baseline:
    """The test results of the cheap methods."""

    majority_label: str
    majority_accuracy: float
    tfidf_accuracy: float
    tfidf_macro_f1: float
    train_rows: int
    test_rows: int
    seconds: float


def baselines(train: Sequence[tuple[str, str]], test: Sequence[tuple[str, str]], *, seed: int = 0) -> Baseline:
    """Fit the majority class and TF-IDF with logistic regression on ``train``, and measure both on ``test``.

    Args:
        train: Pairs of text and label.
        test: The same, never fitted on.
        seed: Of the logistic regression's solver.

    Raises:
        DataError: A part is empty, or train has a single label.
    """
    texts, labels = _columns(train, "train")
    test_texts, test_labels = _columns(test, "test")
    if len(set(labels)) < 2:
        raise DataError(f"a baseline needs at least 2 labels in train, and found {labels[0]!r} alone")
    start = time.monotonic()
    majority = min(Counter(labels).items(), key=lambda item: (-item[1], item[0]))[0]
    rows = Sample([(text,) for text in texts], labels)
    predicted = logistic_regression(rows, rows, sorted(set(labels)), seed).predict([(text,) for text in test_texts])
    from sklearn.metrics import accuracy_score, f1_score

    return Baseline(
        majority_label=majority,
        majority_accuracy=sum(label == majority for label in test_labels) / len(test_labels),
        tfidf_accuracy=float(accuracy_score(test_labels, predicted)),
        tfidf_macro_f1=float(f1_score(test_labels, predicted, average="macro", zero_division=0)),
        train_rows=len(train),
        test_rows=len(test),
        seconds=time.monotonic() - start,
    )


def _columns(rows: Sequence[tuple[str, str]], name: str) -> tuple[list[str], list[str]]:
    if not rows:
        raise DataError(f"a baseline needs rows in {name}, and found none; check data.split_column and data.{name}_split")
    return [text for text, _ in rows], [label for _, label in rows]
