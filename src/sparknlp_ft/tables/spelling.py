"""Labels that look alike: what of their spelling does not count, and which of several spellings is taken."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Mapping

#: Kinds of targets that have labels: those can be spelled in several ways, and equal texts should have equal ones.
LABELLED = ("label", "labels", "entities")

#: Unicode categories of characters that are not seen: controls, and formats such as the zero-width space.
_UNSEEN = ("Cc", "Cf")


def stripped(label: str) -> str:
    """Return a label without what is not seen: blanks around it, one blank for several, NFC, no invisible characters."""
    seen = "".join(character for character in label if character.isspace() or unicodedata.category(character) not in _UNSEEN)
    return unicodedata.normalize("NFC", " ".join(seen.split()))


def folded(label: str) -> str:
    """Return what two labels have in common that differ only by what ``stripped`` leaves out, by case, or by compatible forms."""
    return unicodedata.normalize("NFKC", stripped(label)).casefold()


def alike(counts: Mapping[str, int], key: Callable[[str], str] = folded) -> list[list[str]]:
    """Return the labels that have a key in common with others, the most frequent spelling first; most rows first.

    Args:
        counts: Rows by label.
        key: What labels have in common.
    """
    groups: dict[str, list[str]] = defaultdict(list)
    for label in counts:
        groups[key(label)].append(label)
    found = [sorted(group, key=lambda label: (-counts[label], label)) for group in groups.values() if len(group) > 1]
    return sorted(found, key=lambda group: (-sum(counts[label] for label in group), group))


def corrections(counts: Mapping[str, int], how: str) -> dict[str, str]:
    """Return what each label is to be written as, of those that are written otherwise.

    Args:
        counts: Rows of train by label; 0 for a label that stands elsewhere only.
        how: ``strip`` or ``fold``, as ``data.clean.labels`` takes them.
    """
    written = {label: stripped(label) or label for label in counts}
    if how == "fold":
        rows: dict[str, int] = defaultdict(int)
        for label, count in counts.items():
            rows[written[label]] += count
        usual = {label: group[0] for group in alike(rows) for label in group}
        written = {label: usual.get(new, new) for label, new in written.items()}
    return {label: new for label, new in written.items() if new != label}


def shown_label(label: str) -> str:
    """Return a label quoted so that everything in it can be seen."""
    odd = label != unicodedata.normalize("NFKC", label) or stripped(label) != label
    return ascii(label) if odd else repr(label)
