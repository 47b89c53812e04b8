"""What cheap methods reach on the same rows: the yardstick that a fine-tuned transformer is held against.

Works on plain lists on the driver: a baseline needs a sample, not the whole of a large table. To add one, write its ``fit``
and name it in ``METHODS``.
"""

from __future__ import annotations

from sparknlp_ft.reports.lexical import dictionary, lead, nearest_sentence
from sparknlp_ft.reports.linear import logistic_regression, one_against_rest, ridge
from sparknlp_ft.reports.methods import Method

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
