"""``compare --search N``: Optuna looks for better settings on validation rows. The one file that imports Optuna.

The study is kept in the run folder until its result is on the leaderboard: a search that was killed goes on with its next trial, and the
trial it was killed in goes on from its checkpoint. The test split is never looked at.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparknlp_ft.config import Config, fingerprint
from sparknlp_ft.errors import ConfigError, RankError, UserError
from sparknlp_ft.pipelines.candidates import Choices, Space, changed, search_space
from sparknlp_ft.progress import log
from sparknlp_ft.tables.delta import Pinned
from sparknlp_ft.tasks.base import LOWER_IS_BETTER
from sparknlp_ft.training.job import TrainResult

if TYPE_CHECKING:
    import optuna

#: Trains with a configuration under a name, and returns the result and the run's id.
Train = Callable[[Config, str], tuple[TrainResult, str]]

SETTINGS, RESULT = "settings", "result"


@dataclass(frozen=True)
class Found:
    """The best trial of a search."""

    settings: dict[str, Any]
    config: Config
    result: TrainResult
    value: float
    trials: int
    failed: int
    study: Path  #: The study's file: to be deleted once what was found is kept elsewhere.


def check_trials(trials: int | None) -> None:
    """Refuse a number of trials that is none.

    Raises:
        ConfigError: It is less than 1.
    """
    if trials is not None and trials < 1:
        raise ConfigError(f"--search: {trials} is no number of trials; expected 1 or more, or leave --search out to compare without one")


def search(config: Config, source: Pinned, *, trials: int, measure: str, train: Train) -> Found:
    """Train ``trials`` times with settings from ``compare.search``, and return the best of them.

    Of the trained models the best one so far is kept, the others' folders are deleted.

    Args:
        config: What all trials start from.
        source: The table; names the study with the configuration.
        trials: How often to train, trials of an interrupted search included.
        measure: Validation metric that is looked at.
        train: Trains once.

    Raises:
        UserError: Every trial failed; names the last one's reason.
        RankError: The same, for another reason than the user's.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = search_space(config)
    file = _study_file(config, source, measure)
    study = _study(file, measure, config.train.seed)
    failure: UserError | RankError | None = None
    while (number := len(_ended(study))) < trials:
        trial = study.ask()
        settings = {dotted: _suggested(trial, dotted, space) for dotted in space}
        trial.set_user_attr(SETTINGS, settings)
        log.info("trial %d of %d: %s", number + 1, trials, ", ".join(f"{key}={_shown(value)}" for key, value in settings.items()))
        try:
            result, _ = train(changed(config, settings, f"trial {number + 1}"), f"trial {number + 1}")
        except (UserError, RankError) as error:
            log.warning("trial %d failed: %s", number + 1, error)
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            failure = error
            continue
        trial.set_user_attr(RESULT, result.to_dict())
        study.tell(trial, result.best_metrics[measure])
        _keep_best(study)
    done = [trial for trial in _ended(study) if trial.state == optuna.trial.TrialState.COMPLETE]
    if not done:
        file.unlink()
        raise failure or ConfigError(f"--search: every trial of the study {str(file)!r} failed; start the search again")
    best = study.best_trial
    found = best.user_attrs[SETTINGS]
    value = float(best.value if best.value is not None else "nan")
    result = TrainResult.from_dict(best.user_attrs[RESULT])
    return Found(found, changed(config, found, "the best trial"), result, value, trials, trials - len(done), file)


def _study_file(config: Config, source: Pinned, measure: str) -> Path:
    """Where the study is kept: named by all that decides it, so that another search does not go on with it."""
    deciding = [config.model_settings(), config.data.model_dump(mode="json"), config.compare.search]
    name = fingerprint([*deciding, source.table_id, source.version, measure])
    folder = Path(config.launch.run_dir)
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"search-{name}.db"


def _study(file: Path, measure: str, seed: int) -> optuna.Study:
    import optuna

    direction = "minimize" if measure in LOWER_IS_BETTER else "maximize"
    study = optuna.create_study(storage=f"sqlite:///{file}", study_name="search", direction=direction, load_if_exists=True)
    for stale in study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
        log.info("the search goes on after %d trial(s)", len(_ended(study)))
        study.tell(stale.number, state=optuna.trial.TrialState.FAIL)
        study.set_user_attr(f"stale {stale.number}", True)
        study.enqueue_trial(stale.params)
    # Another seed after each interruption: the same one would draw the first trials once more.
    study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.get_trials(deepcopy=False)))
    return study


def _ended(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """The trials that came to an end; one that was cut off has been asked for again."""
    import optuna

    states = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.FAIL)
    return [trial for trial in study.get_trials(states=states) if f"stale {trial.number}" not in study.user_attrs]


def _suggested(trial: optuna.Trial, dotted: str, space: Space) -> Any:
    dimension = space[dotted]
    if isinstance(dimension, Choices):
        return json.loads(trial.suggest_categorical(dotted, dimension.values))
    if dimension.whole:
        return trial.suggest_int(dotted, int(dimension.low), int(dimension.high), log=dimension.log)
    return trial.suggest_float(dotted, dimension.low, dimension.high, log=dimension.log)


def _keep_best(study: optuna.Study) -> None:
    """Delete the folders of all finished trials but the best one's: models are large, and one is wanted."""
    best = study.best_trial.number
    for trial in _ended(study):
        if trial.number != best and RESULT in trial.user_attrs:
            shutil.rmtree(Path(trial.user_attrs[RESULT]["best_dir"]).parent, ignore_errors=True)


def _shown(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
