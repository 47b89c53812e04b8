"""What an engine comes to that decides otherwise too often, if the decisions that it makes narrowly are left to a sure one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from sparknlp_ft.scoring.choice import Measured
from sparknlp_ft.scoring.columns import Model
from sparknlp_ft.scoring.engines.settings import Deferral
from sparknlp_ft.scoring.processing import Processed
from sparknlp_ft.scoring.rows import ask, judge


def margins_of(model: Model, texts: Sequence[Sequence[str | None]]) -> np.ndarray | None:
    """Return how clearly a model decides each row (``Task.margins``), float64 [rows], infinite where it decides nothing.

    None where the family cannot say, or functions of the user's own stand around the engine.
    """
    if isinstance(model, Processed):
        return None
    judged = judge(model, ask(texts))
    margins = model.task.margins(judged.results, model.setup) if len(judged.good) else np.zeros(0)
    if margins is None:
        return None
    found = np.full(len(judged.status), np.inf)
    found[judged.good] = margins
    return found


@dataclass(frozen=True)
class Look:
    """What was seen of an engine on the rows of a sample.

    Attributes:
        found: What came of it.
        wrong: Which rows it decides otherwise than float32 does, bool [rows].
        margins: How clearly it decides each, float64 [rows]; None: it may be used by itself, or cannot say.
    """

    found: Measured
    wrong: np.ndarray
    margins: np.ndarray | None


def with_deferral(quick: Look, sure: Look, least: float, sizes: np.ndarray) -> Measured | None:
    """Return what an engine comes to that leaves narrow decisions to another one; None where that cannot be told.

    Args:
        quick: The engine, with margins.
        sure: The other one.
        least: Share of equal decisions that is needed.
        sizes: Characters of each row: narrow decisions are not those of short texts, and long texts take longer.
    """
    assert quick.margins is not None
    margin, rates = least_margin(quick.margins, quick.wrong, sure.wrong, 1 - least), [one.found.rows_per_second for one in (quick, sure)]
    if margin is None or rates[0] is None or rates[1] is None:
        return None
    deferred = quick.margins < margin
    rate = 1 / (1 / rates[0] + float(sizes[deferred].sum() / max(sizes.sum(), 1)) / rates[1])
    agrees = 1.0 - float(np.where(deferred, sure.wrong, quick.wrong).mean())
    deferral = asdict(Deferral(sure.found.engine, sure.found.precision, margin))
    return replace(quick.found, rows_per_second=rate, agreement=agrees, deferral=deferral, deferred=float(deferred.mean()))


def least_margin(margins: np.ndarray, quick: np.ndarray, sure: np.ndarray, most: float) -> float | None:
    """Return the least margin below which rows must be deferred so that few enough are decided otherwise; None: it cannot be told.

    Conformal risk control (Angelopoulos et al., arXiv:2208.02814): of further rows of the same table at most a share of ``most``
    is decided otherwise in expectation, and not only of those that were seen. What the sure engine decides otherwise counts
    whether it is asked or not, so that what counts only becomes less where more is deferred, as the rule wants it.

    Args:
        margins: Of rows of a sample, float64 [rows].
        quick: Which of them the quick engine decides otherwise, bool [rows].
        sure: And which the sure one.
        most: Share of rows that may be decided otherwise.
    """
    allowed = int(np.floor(most * (len(margins) + 1) + 1e-9)) - 1 - int(sure.sum())
    if allowed < 0:
        return None
    found = np.sort(margins[quick & ~sure])[::-1]
    return float(np.nextafter(found[allowed], np.inf)) if len(found) > allowed else 0.0
