"""What labels tell by their names and numbers alone: from counts, so as fast for a billion rows as for ten."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from sparknlp_ft.findings.census import Census, Tally
from sparknlp_ft.findings.finding import ERROR, EXAMPLES, NOTE, WARNING, Finding
from sparknlp_ft.tables.contracts import TEST, TRAIN, VALIDATION
from sparknlp_ft.tables.spelling import alike, shown_label, stripped

#: Labels that a message names.
SHOWN = 5
#: A label with fewer rows in train can hardly be learnt.
FEW = 3
#: One label's share of train above which a model that knows it alone looks good.
MOST_SHARE = 0.9
#: How many times more rows the most frequent label may have than the rarest.
MOST_RATIO = 100
#: Rows of a label that a split should have, by the label's share of train, for its absence to be odd.
EXPECTED = 5

_NOTHING = re.compile(r"(nan|null|none|nil|n/?a|#n/a|<na>|undefined|missing|-+|\?+|\.+)", re.IGNORECASE)
_FRACTION = re.compile(r"[-+]?\d*\.\d+([eE][-+]?\d+)?")
_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?")


def label_findings(census: Census, *, single: bool) -> list[Finding]:
    """Return what the labels of a table tell.

    Args:
        census: What was counted.
        single: Whether each row has one label.
    """
    labels = _joined(census.labels.values())
    return [
        *_unseen(census),
        *_alike(labels),
        *_nothing(labels),
        *_typed(labels),
        *_fractions(labels),
        *_few(census),
        *_absent(census),
        *_unbalanced(census, single=single),
    ]


def _unseen(census: Census) -> Iterator[Finding]:
    for split in (VALIDATION, TEST):
        found = [label for label, tally in census.labels[split].items() if tally.rows and label not in census.learnable]
        if found and census.learnable:
            yield _finding(
                ERROR,
                "labels that train has not",
                f"{_listed(found)} in {split}",
                census.labels[split],
                found,
                "correct or remove these rows, or add such rows to train",
            )


def _alike(labels: Mapping[str, Tally]) -> Iterator[Finding]:
    groups = alike({label: tally.rows for label, tally in labels.items()})
    if groups:
        how = "strip" if all(len({stripped(label) for label in group}) == 1 for group in groups) else "fold"
        told = [" = ".join(f"{shown_label(label)} ({labels[label].rows:,})" for label in group) for group in groups]
        yield _finding(
            WARNING,
            "labels that look alike",
            f"they differ by case, blanks, Unicode form or invisible characters alone: {_some(told)}",
            labels,
            [label for group in groups for label in group[1:]],
            f"make them one with data.clean.labels={how}",
        )


def _nothing(labels: Mapping[str, Tally]) -> Iterator[Finding]:
    found = [label for label in labels if not (bare := stripped(label)) or _NOTHING.fullmatch(bare)]
    if found:
        cure = "if they mean that there is none, make them NULL, which leaves their rows out; if they are a class, all is well"
        yield _finding(WARNING, "labels that say nothing", _listed(found), labels, found, cure)


def _typed(labels: Mapping[str, Tally]) -> Iterator[Finding]:
    """Labels that were lists, objects or numbers before a file of several types made strings of all."""
    holders = [label for label in labels if _is_holder(label)]
    numbers = [label for label in labels if _NUMBER.fullmatch(label)]
    cure = "correct them where they come from; several labels in one row are task multi_label"
    if holders:
        yield _finding(WARNING, "labels of several types", f"{_listed(holders)} are JSON written as text", labels, holders, cure)
    if numbers and len(numbers) < len(labels):
        few = min(numbers, [label for label in labels if label not in set(numbers)], key=len)
        cure = "correct them where they come from, if they are meant to be of one kind"
        yield _finding(NOTE, "labels of several types", f"numbers among words, such as {_listed(few)}", labels, few, cure)


def _is_holder(label: str) -> bool:
    if not label.lstrip().startswith(("[", "{")):
        return False
    try:
        return isinstance(json.loads(label), (list, dict))
    except ValueError:
        return False


def _fractions(labels: Mapping[str, Tally]) -> Iterator[Finding]:
    found = [label for label in labels if _FRACTION.fullmatch(label.strip())]
    if found:
        whole = all(float(label).is_integer() for label in found)
        cure = "write them as integers" if whole else "if they are amounts, take data.task=regression"
        yield _finding(WARNING, "labels with fractions", _listed(found), labels, found, cure)


def _few(census: Census) -> Iterator[Finding]:
    found = [label for label, rows in census.learnable.items() if rows < FEW]
    if found:
        labels = _joined([census.labels[TRAIN], *([] if census.has_validation else [census.labels[VALIDATION]])])
        about = f"{len(found):,} label(s) have one or two in train: {_listed(found)}"
        yield _finding(WARNING, "rare labels", about, labels, found, "add rows of them, or give them to another label")


def _absent(census: Census) -> Iterator[Finding]:
    own = sum(census.learnable.values())
    for split in (VALIDATION, TEST):
        there = sum(tally.rows for tally in census.labels[split].values())
        found = [label for label in census.learnable if there and label not in census.labels[split]]
        odd = [label for label in found if census.learnable[label] / own * there >= EXPECTED]
        if found:
            yield Finding(
                WARNING if odd else NOTE,
                f"labels without a row in {split}",
                f"{len(found):,} of {len(census.learnable):,} labels: {_listed(odd or found)}; no figure tells how well they are found",
                sum(census.learnable[label] for label in found),
                f"add rows of them to {split}" if census.has_validation or split == TEST else "raise data.validation_fraction, or add rows",
            )


def _unbalanced(census: Census, *, single: bool) -> Iterator[Finding]:
    counts = census.learnable
    if len(counts) < 2:
        return
    most, least = max(counts, key=lambda label: counts[label]), min(counts, key=lambda label: counts[label])
    share = counts[most] / sum(counts.values())
    if single and share > MOST_SHARE:
        about = f"{share:.1%} of train is {shown_label(most)}, so a model that always says it is right as often"
        cure = "judge by f1_macro (train.metric), and try train.class_weights=balanced"
        yield _finding(WARNING, "unbalanced labels", about, census.labels[TRAIN], [label for label in counts if label != most], cure)
    elif counts[most] >= MOST_RATIO * max(counts[least], FEW):
        about = f"{shown_label(most)} has {counts[most]:,} in train, {shown_label(least)} {counts[least]:,}"
        cure = "add rows of the rare ones; figures by label are in the evaluation's table"
        yield _finding(NOTE, "unbalanced labels", about, census.labels[TRAIN], [least], cure)


def _finding(severity: str, kind: str, message: str, labels: Mapping[str, Tally], found: Sequence[str], cure: str) -> Finding:
    tallies = [labels[label] for label in found if label in labels]
    # One key of each label first, then more of the same.
    keys = [key for tally in tallies for key in tally.keys[:1]] + [key for tally in tallies for key in tally.keys[1:]]
    return Finding(severity, kind, message, sum(tally.rows for tally in tallies), cure, tuple(dict.fromkeys(keys))[:EXAMPLES])


def _joined(parts: Iterable[Mapping[str, Tally]]) -> dict[str, Tally]:
    joined: dict[str, Tally] = {}
    for part in parts:
        for label, tally in part.items():
            one = joined.setdefault(label, Tally())
            one.rows += tally.rows
            one.keys += tally.keys
    return joined


def _listed(labels: Sequence[str]) -> str:
    return _some([shown_label(label) for label in sorted(labels)])


def _some(told: Sequence[str]) -> str:
    return ", ".join(told[:SHOWN]) + (f" and {len(told) - SHOWN:,} more" if len(told) > SHOWN else "")
