"""Early stopping and the best epoch."""

import pytest

from sparknlp_ft.config import TrainConfig
from sparknlp_ft.errors import ConfigError
from sparknlp_ft.training.loop import Progress, advance


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
