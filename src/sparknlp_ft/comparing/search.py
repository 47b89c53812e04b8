"""``compare --search N``: Optuna looks for better settings on validation rows.

Each trial leaves two small objects in the run folder until the search's result is on the leaderboard: what was asked for, and
what it came to. A search that was killed goes on with its next trial, and the trial it was killed in goes on from its
checkpoint. The test split is never looked at.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sparknlp_ft.comparing.candidates import Space, changed, search_space
from sparknlp_ft.config import Config
from sparknlp_ft.errors import ConfigError, RankError, UserError
from sparknlp_ft.identity import of_search
from sparknlp_ft.progress import log
from sparknlp_ft.steps.job import Job
from sparknlp_ft.storage import Folder
from sparknlp_ft.tasks.task import LOWER_IS_BETTER
from sparknlp_ft.training.job import TrainResult
from sparknlp_ft.training.run_folder import RunFolder, Runs

if TYPE_CHECKING:
    import optuna

#: Trains with a configuration under a name.
Train = Callable[[Config, str], TrainResult]


@dataclass(frozen=True)
class Found:
    """The best trial of a search."""

    settings: dict[str, Any]
    config: Config
    result: TrainResult
    value: float
    trials: int
    failed: int
    trials_folder: Folder  #: To be deleted once what was found is kept elsewhere.


@dataclass(frozen=True)
class _Trial:
    """A trial that ended; without ``result`` it failed."""

    params: dict[str, Any]  #: As Optuna names values.
    result: dict[str, Any] | None = None

    def value(self, measure: str) -> float:
        assert self.result is not None
        return float(TrainResult.from_dict(self.result).best_metrics[measure])


class _Records:
    """The trials of a search, as they lie in its folder."""

    def __init__(self, folder: Folder) -> None:
        self.folder, self.ended = folder, list[_Trial]()
        while (end := folder.read_json(f"{len(self.ended):04d}-ended.json")) is not None:
            asked = folder.read_json(f"{len(self.ended):04d}-asked.json") or {}
            self.ended.append(_Trial(asked["params"], end["result"]))

    @property
    def cut_off(self) -> dict[str, Any] | None:
        """What the next trial was asked with, if it was begun already."""
        asked = self.folder.read_json(f"{len(self.ended):04d}-asked.json")
        return None if asked is None else asked["params"]

    def ask(self, params: Mapping[str, Any]) -> None:
        self.folder.write_json(f"{len(self.ended):04d}-asked.json", {"params": dict(params)})

    def end(self, trial: _Trial) -> None:
        self.folder.write_json(f"{len(self.ended):04d}-ended.json", {"result": trial.result})
        self.ended.append(trial)


def check_trials(trials: int | None) -> None:
    """Refuse a number of trials that is none.

    Raises:
        ConfigError: It is less than 1.
    """
    if trials is not None and trials < 1:
        raise ConfigError(f"--search: {trials} is no number of trials; expected 1 or more, or leave --search out to compare without one")


def search(job: Job, *, trials: int, measure: str, train: Train) -> Found:
    """Train ``trials`` times with settings from ``compare.search``, and return the best of them.

    Of the trained models the best one so far is kept, the others' folders are deleted.

    Args:
        job: What all trials start from.
        trials: How often to train, trials of an interrupted search included.
        measure: Validation metric that is looked at.
        train: Trains once.

    Raises:
        UserError: Every trial failed; names the last one's reason.
        RankError: The same, for another reason than the user's.
    """
    config, table = job.config, (job.source.table_id, job.source.version)
    space = search_space(config)
    records = _Records(Runs.at(config.launch.run_dir).search(of_search(config, table, measure)))
    study = _study(records, space, measure, config.train.seed)
    failure: UserError | RankError | None = None
    while (number := len(records.ended) + 1) <= trials:
        trial = study.ask(space)
        settings = _settings(trial.params, space)
        records.ask(trial.params)
        log.info("trial %d of %d: %s", number, trials, ", ".join(f"{key}={_shown(value)}" for key, value in settings.items()))
        try:
            result = train(changed(config, settings, f"trial {number}"), f"trial {number}")
        except (UserError, RankError) as error:
            log.warning("trial %d failed: %s", number, error)
            records.end(_Trial(trial.params))
            study.tell(trial, state=_states().FAIL)
            failure = error
            continue
        records.end(_Trial(trial.params, result.to_dict()))
        study.tell(trial, result.best_metrics[measure])
        _keep_best(records, measure)
    done = [trial for trial in records.ended if trial.result is not None]
    if not done:
        records.folder.delete()
        raise failure or ConfigError("--search: every trial of this search failed before; start the search again")
    best = _best(records, measure)
    found = _settings(best.params, space)
    result = TrainResult.from_dict(best.result or {})
    failed = trials - len(done)
    return Found(found, changed(config, found, "the best trial"), result, best.value(measure), trials, failed, records.folder)


def _study(records: _Records, space: Space, measure: str, seed: int) -> optuna.Study:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # Another seed after each interruption: the same one would draw the first trials once more.
    sampler = optuna.samplers.TPESampler(seed=seed + len(records.ended))
    study = optuna.create_study(sampler=sampler, direction="minimize" if measure in LOWER_IS_BETTER else "maximize")
    for one in records.ended:
        state, value = (_states().FAIL, None) if one.result is None else (_states().COMPLETE, one.value(measure))
        study.add_trial(optuna.trial.create_trial(state=state, value=value, params=one.params, distributions=space))
    if (params := records.cut_off) is not None:
        log.info("the search goes on after %d trial(s)", len(records.ended))
        study.enqueue_trial(params)
    return study


def _states() -> Any:
    from optuna.trial import TrialState

    return TrialState


def _settings(params: Mapping[str, Any], space: Space) -> dict[str, Any]:
    """Return values as settings: choices are JSON, since Optuna takes plain values alone."""
    from optuna.distributions import CategoricalDistribution

    return {
        dotted: json.loads(params[dotted]) if isinstance(space[dotted], CategoricalDistribution) else params[dotted] for dotted in space
    }


def _best(records: _Records, measure: str) -> _Trial:
    done = [trial for trial in records.ended if trial.result is not None]
    choose = min if measure in LOWER_IS_BETTER else max
    return choose(done, key=lambda trial: trial.value(measure))


def _keep_best(records: _Records, measure: str) -> None:
    """Delete the folders of all finished trials but the best one's: models are large, and one is wanted."""
    best = _best(records, measure)
    for trial in records.ended:
        if trial.result is not None and trial is not best:
            RunFolder.of_best(trial.result["best_dir"]).delete()


def _shown(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
