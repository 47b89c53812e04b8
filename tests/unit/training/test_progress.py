"""Early stopping and the best epoch."""

import pytest

from sparknlp_ft.config import TrainConfig
from sparknlp_ft.errors import ConfigError
from sparknlp_ft.training.loop import CHANCE_STEPS, Progress, advance, had_chance
from sparknlp_ft.training.picking import FEW_ROWS, luck


def scores(config: TrainConfig, *values: float, metric: str = "accuracy") -> Progress:
    progress = Progress()
    for value in values:
        progress = advance(progress, {metric: value}, metric, config)
    return progress


@pytest.mark.parametrize(("metric", "best"), [("rmse", 3), ("loss", 3), ("spearman", 2), ("fn", 3)])
def test_of_errors_less_is_better(metric: str, best: int) -> None:
    progress = Progress()
    for value in (2.0, 3.0, 1.0):
        progress = advance(progress, {metric: value}, metric, TrainConfig(patience=2))
    assert progress.best_epoch == best


def test_early_stopping_and_the_best_epoch() -> None:
    config = TrainConfig(patience=2)
    assert scores(config, 0.5, 0.7, 0.7) == Progress(epochs=3, best_epoch=2, best_score=0.7, stale=1)
    assert scores(config, 0.5, 0.7, 0.7, 0.6).stopped
    assert not scores(TrainConfig(patience=None), 0.5, 0.4, 0.3, 0.2).stopped
    assert scores(TrainConfig(min_improvement=0.1), 0.5, 0.55).best_epoch == 1
    assert scores(config, 0.9, 0.5, metric="loss").best_epoch == 2
    with pytest.raises(ConfigError, match="Did you mean 'accuracy'"):
        advance(Progress(), {"accuracy": 1.0}, "acuracy", config)


def test_of_epochs_that_are_equal_the_one_with_less_loss_is_best() -> None:
    progress = Progress()
    for loss in (0.5, 0.2, 0.3):
        progress = advance(progress, {"accuracy": 1.0, "loss": loss}, "accuracy", TrainConfig(patience=1))
    assert (progress.best_epoch, progress.best_loss, progress.stopped) == (2, 0.2, True)
    worse = advance(progress, {"accuracy": 0.9, "loss": 0.1}, "accuracy", TrainConfig(patience=None))
    assert worse.best_epoch == 2  # the metric decides first


def test_only_evaluations_that_had_a_chance_count_for_the_patience() -> None:
    config = TrainConfig(patience=1)
    progress = advance(Progress(), {"accuracy": 0.9}, "accuracy", config)
    later = advance(progress, {"accuracy": 0.8}, "accuracy", config, chance=False)
    assert not later.stopped and later.stale == 0
    assert advance(later, {"accuracy": 0.8}, "accuracy", config).stopped


@pytest.mark.parametrize("steps_per_epoch", [3, 40, CHANCE_STEPS, 5 * CHANCE_STEPS])
def test_short_epochs_have_a_chance_together(steps_per_epoch: int) -> None:
    config = TrainConfig(epochs=100, warmup_fraction=0.1)
    counted = [epoch for epoch in range(1, 101) if had_chance(epoch * steps_per_epoch, steps_per_epoch, config)]
    assert counted[0] > 10  # behind the warm-up
    assert len(counted) == pytest.approx(90 * min(1, steps_per_epoch / CHANCE_STEPS), abs=1)


@pytest.mark.parametrize(
    ("rows", "values", "kept"),
    [
        (20, (1.0, 0.95, 0.95), 3),  # One row of 20 is luck,
        (20, (0.6, 0.5, 0.45), 2),  # and so are two where many are wrong,
        (20, (0.6, 0.5, 0.55, 0.4), 3),  # counted from the best and not from the one before.
        (20, (1.0, 0.9, 0.85), 1),
        (FEW_ROWS, (0.95, 0.93, 0.9), 2),
        (FEW_ROWS + 1, (0.95, 0.94), 1),
        (0, (0.95, 0.94), 1),
    ],
)
def test_of_few_rows_the_latest_epoch_is_kept_that_they_do_not_tell_from_the_best(rows: int, values: tuple[float, ...], kept: int) -> None:
    progress = Progress()
    for value in values:
        progress = advance(progress, {"accuracy": value}, "accuracy", TrainConfig(patience=2), rows=rows)
    assert (progress.best_epoch, progress.best_score) == (kept, max(values))
    assert progress.stale == len(values) - 1  # A later epoch that is no better uses up patience all the same.


@pytest.mark.parametrize("metric", ["rmse", "loss", "fn"])
def test_of_errors_and_counts_no_share_is_known(metric: str) -> None:
    progress = Progress()
    for value in (3.0, 3.1):
        progress = advance(progress, {metric: value}, metric, TrainConfig(), rows=20)
    assert progress.best_epoch == 1


def test_luck_grows_less_with_rows() -> None:
    found = [luck(0.8, rows) for rows in (1, 5, 20, FEW_ROWS)]
    assert found == sorted(found, reverse=True) and found[-1] > 0
    assert luck(1.0, 20) > 1 / 20 > luck(1.0, FEW_ROWS)
