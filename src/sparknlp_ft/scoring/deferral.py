"""What an engine comes to that decides otherwise too often, if the decisions that it makes narrowly are left to a sure one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

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


def with_deferral(quick: Measured, margins: np.ndarray, equal: np.ndarray, *, sure: Measured, least: float) -> Measured | None:
    """Return what an engine comes to that leaves narrow decisions to another one; None where that is no gain, or cannot be told.

    Args:
        quick: The engine.
        margins: How clearly it decides each row of the sample, float64 [rows].
        equal: Whether it decides as float32 does, bool [rows].
        sure: The other engine.
        least: Share of equal decisions that is needed.
    """
    threshold = least_margin(margins, ~equal, 1 - least)
    if threshold is None or quick.rows_per_second is None or sure.rows_per_second is None:
        return None
    deferred = margins < threshold
    rate = 1 / (1 / quick.rows_per_second + float(deferred.mean()) / sure.rows_per_second)
    if rate <= sure.rows_per_second:
        return None
    agrees = float(np.where(deferred, sure.agreement, equal).mean())
    deferral = asdict(Deferral(sure.engine, sure.precision, threshold))
    return replace(quick, rows_per_second=rate, agreement=agrees, deferral=deferral, deferred=float(deferred.mean()))


def least_margin(margins: np.ndarray, wrong: np.ndarray, most: float) -> float | None:
    """Return the least threshold by which, of rows with a margin from there on, few enough are wrong; None: the sample is too small.

    Conformal risk control (Angelopoulos et al., arXiv:2208.02814): of further rows of the same table at most a share of ``most``
    is wrong in expectation, and not only of those that were seen.

    Args:
        margins: Of rows of a sample, float64 [rows].
        wrong: bool [rows].
        most: Share of all rows that may be wrong and not deferred.
    """
    allowed = int(np.floor(most * (len(margins) + 1) + 1e-9)) - 1
    if allowed < 0:
        return None
    found = np.sort(margins[wrong])[::-1]
    return float(np.nextafter(found[allowed], np.inf)) if len(found) > allowed else 0.0
