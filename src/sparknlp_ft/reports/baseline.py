"""What cheap methods reach on the same rows: the yardstick that a fine-tuned transformer is held against.

Works on plain lists on the driver: a baseline needs a sample, not the whole of a large table.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sparknlp_ft.errors import DataError


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
    predicted = tfidf_predictions(texts, labels, test_texts, seed=seed)
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


def tfidf_predictions(texts: Sequence[str], labels: Sequence[str], test_texts: Sequence[str], *, seed: int = 0) -> list[str]:
    """Return the labels that TF-IDF over words and pairs of words, with logistic regression, gives to ``test_texts``."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from threadpoolctl import threadpool_limits

    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, strip_accents="unicode"),
        LogisticRegression(C=10.0, max_iter=1000, random_state=seed),
    )
    # The matrices are small: threads would spend their time waiting for each other, all the more on a busy machine.
    with threadpool_limits(limits=1):
        model.fit(list(texts), list(labels))
    return [str(label) for label in model.predict(list(test_texts))]


def _columns(rows: Sequence[tuple[str, str]], name: str) -> tuple[list[str], list[str]]:
    if not rows:
        raise DataError(f"a baseline needs rows in {name}, and found none; check data.split_column and data.{name}_split")
    return [text for text, _ in rows], [label for _, label in rows]
