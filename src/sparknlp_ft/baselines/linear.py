"""Linear models on TF-IDF of words and pairs of words: the baseline that is hard to beat where labels hang on words."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sparknlp_ft.baselines.methods import Fitted, Sample, Texts
from sparknlp_ft.errors import DataError
from sparknlp_ft.text.words import UNSPACED

#: A word has two characters at least; in scripts without blanks between words each character stands for one.
WORD = rf"(?u)[{UNSPACED}]|(?:(?![{UNSPACED}])\w){{2,}}"

#: Most words and pairs of words: more make fitting slow, and the rest is rare.
MOST_FEATURES = 100_000
#: Steps of the logistic regression. Beyond this many its quality no longer moves.
STEPS = 200


class Features:
    """Sparse features of texts. A pair gives each side's words, the words of both, those of the second alone, and how alike they are."""

    def __init__(self, count: int, *, most: int = MOST_FEATURES) -> None:
        self._views = ("text",) if count == 1 else ("first", "second", "shared", "new")
        self._most = most // len(self._views)
        self._vectorizers: dict[str, Any] = {}

    def fit(self, texts: Sequence[Texts]) -> Any:
        """Fit on ``texts`` and return their features.

        Raises:
            DataError: No text has a word.
        """
        from sklearn.feature_extraction.text import TfidfVectorizer

        self._vectorizers = {}
        for view in self._views:
            vectorizer = TfidfVectorizer(
                ngram_range=(1, 2), sublinear_tf=True, strip_accents="unicode", token_pattern=WORD, max_features=self._most
            )
            try:
                vectorizer.fit(self._view(view, texts))
            except ValueError as error:  # scikit-learn's "empty vocabulary"
                if view in ("text", "first", "second"):
                    raise DataError("TF-IDF finds no word of two characters in the training texts; check data.columns") from error
                continue  # The texts of a pair may well have no word in common.
            self._vectorizers[view] = vectorizer
        return self.transform(texts)

    def transform(self, texts: Sequence[Texts]) -> Any:
        """Return the features of texts, a sparse matrix [rows, features]."""
        from scipy.sparse import csr_matrix, hstack

        parts = [vectorizer.transform(self._view(view, texts)) for view, vectorizer in self._vectorizers.items()]
        if len(self._views) > 1:
            # Both sides in the first side's space: rows have length 1, so the product is the cosine.
            other = self._vectorizers["first"].transform(self._view("second", texts))
            parts.append(csr_matrix(parts[0].multiply(other).sum(axis=1)))
        return parts[0] if len(parts) == 1 else hstack(parts, format="csr")

    def _view(self, view: str, texts: Sequence[Texts]) -> list[str]:
        if view in ("text", "first"):
            return [row[0] for row in texts]
        if view == "second":
            return [row[1] for row in texts]
        return [_compared(row, shared=view == "shared") for row in texts]


def _compared(row: Texts, *, shared: bool) -> str:
    """The words of the second text that the first has, too (or has not), in their order."""
    known = set(row[0].lower().split())
    return " ".join(word for word in row[1].lower().split() if (word in known) == shared)


def logistic_regression(train: Sample, validation: Sample, labels: Sequence[str], seed: int) -> Fitted:
    """Classification. Raises DataError where train has one label alone."""
    if len(set(train.targets)) < 2:
        raise DataError(f"a baseline needs at least 2 labels in train, and found {train.targets[0]!r} alone")
    features = Features(len(train.texts[0]))
    model = _fitted(_regression(seed), features.fit(train.texts), train.targets)
    return _linear(features, model.coef_, lambda matrix: [str(label) for label in model.predict(matrix)])


def one_against_rest(
    train: Sample,
    validation: Sample,
    labels: Sequence[str],
    seed: int,
    *,
    multi_hot: Callable[[Sequence[str], Sequence[str]], np.ndarray],
    thresholds: Callable[[np.ndarray, np.ndarray, Sequence[str]], np.ndarray],
) -> Fitted:
    """Multi-label: one logistic regression per label, thresholds chosen on validation rows as the task chooses a model's.

    Args:
        train: Rows to fit on.
        validation: Rows to choose thresholds on.
        labels: Label list.
        seed: Seed of the regressions.
        multi_hot: (targets, labels) → whether a row has a label, [rows, labels].
        thresholds: (that, scores of the same shape, labels) → each label's threshold.
    """
    features = Features(len(train.texts[0]))
    matrix, targets = features.fit(train.texts), multi_hot(train.targets, labels)
    constant = [i for i in range(len(labels)) if targets[:, i].min() == targets[:, i].max()]
    models = [None if i in constant else _fitted(_regression(seed), matrix, targets[:, i]) for i in range(len(labels))]

    def scores(matrix: Any) -> np.ndarray:
        columns = [
            np.full(matrix.shape[0], float(targets[0, i])) if model is None else model.predict_proba(matrix)[:, 1]
            for i, model in enumerate(models)
        ]
        return np.stack(columns, axis=1)

    least = thresholds(multi_hot(validation.targets, labels), scores(features.transform(validation.texts)), labels)

    def predict(matrix: Any) -> list[str]:
        return [json.dumps([labels[i] for i in np.flatnonzero(row).tolist()]) for row in scores(matrix) >= least]

    weights = np.concatenate([model.coef_ for model in models if model is not None] or [np.zeros((0, 1))])
    return _linear(features, weights, predict, thresholds="tuned on validation")


def ridge(train: Sample, validation: Sample, labels: Sequence[str], seed: int) -> Fitted:
    """Regression with squared error and squared weights."""
    from sklearn.linear_model import Ridge

    features = Features(len(train.texts[0]))
    matrix = features.fit(train.texts)
    model = _fitted(Ridge(alpha=1.0, solver="lsqr", random_state=seed), matrix, [float(target) for target in train.targets])
    return _linear(features, model.coef_, lambda matrix: [str(float(value)) for value in model.predict(matrix)])


def _regression(seed: int) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=10.0, max_iter=STEPS, random_state=seed)


def _fitted(model: Any, matrix: Any, targets: Any) -> Any:
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    # The matrices are small: threads would spend their time waiting for each other, all the more on a busy machine.
    with threadpool_limits(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(matrix, targets)


def _linear(features: Features, weights: np.ndarray, predict: Callable[[Any], list[str]], **settings: object) -> Fitted:
    def of_texts(texts: Sequence[Texts]) -> list[str]:
        return predict(features.transform(texts)) if texts else []

    return Fitted(of_texts, int(weights.size), int(weights.nbytes), {"words": "1 and 2", "weights": "tf-idf", **settings})
