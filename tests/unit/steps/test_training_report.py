"""What stands beside a model in its report: the fitted baselines on both splits, the aliased model on validation rows."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from sparknlp_ft.reports.leaderboard import BASELINE, Entry
from sparknlp_ft.steps.evaluation import Evaluation
from sparknlp_ft.steps.gate import Rival, Verdict
from sparknlp_ft.steps.training_report import verdict_blocks
from sparknlp_ft.tasks import get_task
from sparknlp_ft.tasks.counting import confusion_table
from sparknlp_ft.tracking.store import ModelRef

TASK, LABELS = get_task("classification"), ("a", "b")


def evaluation(title: str, predictions: list[str]) -> Evaluation:
    targets, counts = ["a", "a", "b", "b"], [5, 1, 1, 3]
    outcomes = TASK.outcomes_of_values(targets, predictions, LABELS, counts)
    matrix = TASK.confusion(targets, predictions, counts, LABELS)
    assert matrix is not None
    table = confusion_table(matrix)
    model = ModelRef("m", "2", "r", "models:/m/2")
    return Evaluation(model, 10, 0, 0, (), TASK.metrics(outcomes, LABELS), outcomes, TASK, table=table, title=title, labels=LABELS)


def verdict(baselines: tuple[Entry, ...]) -> Verdict:
    validation, test = evaluation("validation", ["a", "b", "a", "b"]), evaluation("test", ["a", "a", "b", "b"])
    rivals = (Rival("m/1", 0.75, 0.0, is_baseline=False), Rival("TF-IDF", 0.7, 0.0, is_baseline=True))
    return Verdict("champion", validation.model, True, "accuracy", 0.8, rivals, 10, evaluations=(validation, test), baselines=baselines)


@pytest.mark.parametrize("fitted", [True, False])
def test_a_model_stands_beside_what_it_was_held_against(fitted: bool) -> None:
    entries = (Entry("TF-IDF", BASELINE, {"accuracy": 0.7}, {"accuracy": 0.6}), Entry("broken", BASELINE, error="no rows"))
    tables: dict[str, Any] = {block.title: block for block in verdict_blocks(verdict(entries if fitted else ()))}
    constant = "always the most frequent label of train"
    beside = {title: list(tables[f"Quality, {title}"].columns)[4:] for title in ("validation", "test")}
    assert beside == {"validation": ["TF-IDF" if fitted else constant, "m/1"], "test": ["TF-IDF" if fitted else constant]}
    accuracy = SimpleNamespace(**dict(zip(["name", "model", "low", "high", "cheap"], tables["Quality, test"].rows[0], strict=True)))
    assert (accuracy.name, accuracy.model) == ("accuracy", 1.0) and accuracy.low <= accuracy.model <= accuracy.high
    assert accuracy.cheap == pytest.approx(0.6)
