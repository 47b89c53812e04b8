"""The printed profile: exact quantiles, and everything it is asked for on paper."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sparknlp_ft.reports.profile import LISTED_LABELS, Profile, quantiles


@given(
    values=st.lists(st.integers(0, 50), min_size=1, max_size=200),
    shares=st.lists(st.sampled_from([0.01, 0.25, 0.5, 0.75, 0.99, 1.0]), min_size=1, unique=True),
)
def test_quantiles_are_those_of_the_rows(values: list[int], shares: list[float]) -> None:
    counts = {value: values.count(value) for value in set(values)}
    expected = [int(np.quantile(values, share, method="inverted_cdf")) for share in sorted(shares)]
    assert list(quantiles(counts, shares)) == expected


def profile(**changes: object) -> Profile:
    values: dict = {
        "table": "/lake/t",
        "version": 3,
        "rows": 1234,
        "splits": {"train": 1000, "test": 234},
        "labels": {"spam": 34, "ham": 1200},
        "without_text": 1,
        "without_label": 2,
        "mended": 3,
        "repeated": 4,
        "words": (1, 2, 3, 4, 5),
        "characters": (10, 20, 30, 40, 50),
        "tokens": (2, 4, 6, 8, 1000),
        "sampled": None,
    }
    return Profile(**{**values, **changes})


def test_all_of_it_is_printed() -> None:
    text = str(profile())
    for part in ("1,234 rows", "version 3", "train 1,000, test 234", "without label 2", "bad UTF-8 3", "1,000", "2 labels", "ham 1,200"):
        assert part in text
    assert text.index("ham 1,200") < text.index("spam 34")


def test_without_tokenizer_labels_or_splits_it_is_shorter() -> None:
    text = str(profile(tokens=None, labels={}, splits={}))
    assert "tokens" not in text
    assert "labels" not in text
    assert "splits" not in text


def test_labels_beyond_those_listed_are_summed_up() -> None:
    text = str(profile(labels={f"label{n}": 2 for n in range(LISTED_LABELS + 10)}))
    assert "and 10 more labels with 20 rows" in text
