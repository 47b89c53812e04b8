"""The candidates of one comparison: each trained and measured once, also when the comparison was cut off and is started again.

What was measured is noted in the run folder until it is on the leaderboard; a training that was cut off goes on from its checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from sparknlp_ft.comparing.candidates import Candidate, changed
from sparknlp_ft.comparing.search import Found, search
from sparknlp_ft.config import MODEL_SECTIONS, Config
from sparknlp_ft.errors import ConfigError, RankError, UserError
from sparknlp_ft.identity import fingerprint, of_measurement
from sparknlp_ft.progress import log, step
from sparknlp_ft.reports.leaderboard import MODEL, Entry, ranked
from sparknlp_ft.snapshot.manifest import Manifest
from sparknlp_ft.steps.base_model import address_of_base, at_base, is_taught, pin_base
from sparknlp_ft.steps.evaluation import Evaluation, evaluate_rows, split_rows
from sparknlp_ft.steps.fine_tuning import close_run, fine_tune, log_result, prepare, size_of
from sparknlp_ft.steps.job import Job
from sparknlp_ft.steps.lineage import lineage
from sparknlp_ft.steps.teaching import student_agreement
from sparknlp_ft.tables.contracts import SPLIT, TEST, VALIDATION
from sparknlp_ft.tables.delta import files_present
from sparknlp_ft.tables.session import slots
from sparknlp_ft.tracking.store import ModelRef, Run, make_child, start_run
from sparknlp_ft.training.job import TrainResult
from sparknlp_ft.training.run_folder import RunFolder, Runs

#: What the share of validation rows is called that a student decides as its teacher does, among the metrics of these rows.
AGREEMENT = "student_agreement"


@dataclass(frozen=True)
class Trained:
    """A candidate that was trained and measured."""

    candidate: Candidate
    entry: Entry
    model: ModelRef
    manifest: Manifest


class Contest:
    """The candidates of one comparison, trained and measured one after the other.

    Args:
        job: The table, the same for all, and the configuration that candidates differ from.
        parent: The comparison's run; each candidate's is a child of it.
    """

    def __init__(self, job: Job, parent: Run) -> None:
        self.job, self.parent = job, parent
        self.trained: list[Trained] = []
        self.failed: list[tuple[str, Exception]] = []
        self._bases: dict[tuple[str, str | None], str] = {}
        self._notes: list[Callable[[], None]] = []  # Delete what only a comparison that is started again needs.

    @property
    def entries(self) -> list[Entry]:
        """Leaderboard entries, of those that failed too."""
        return [*(one.entry for one in self.trained), *(Entry(name, MODEL, error=str(error)) for name, error in self.failed)]

    def winner(self, measure: str) -> Trained | None:
        """Return the best candidate; None if there were none.

        Raises:
            UserError: All failed; says why each did.
            RankError: All failed, one of them for another reason than a user's.
        """
        if self.trained:
            best = ranked([one.entry for one in self.trained], measure)[0]
            return next(one for one in self.trained if one.entry is best)
        if not self.failed:
            return None
        reasons = "\n  ".join(f"{name}: {error}" for name, error in self.failed)
        kind = ConfigError if all(isinstance(error, UserError) for _, error in self.failed) else RankError
        raise kind(f"no candidate could be trained:\n  {reasons}") from self.failed[0][1]

    def run_all(self, candidates: Sequence[Candidate]) -> None:
        """Train and measure each candidate; one that fails is noted, and the others go on."""
        for number, candidate in enumerate(candidates, start=1):
            log.info("candidate %d of %d: %s", number, len(candidates), candidate.name)
            try:
                pinned = replace(candidate, config=self._pinned(candidate.config))
                self.trained.append(self._measured_before(pinned) or self._train_and_measure(pinned))
            except (UserError, RankError) as error:
                log.warning("candidate %s failed: %s", candidate.name, error)
                self.failed.append((candidate.name, error))

    def run_search(self, config: Config, trials: int, measure: str) -> Found | None:
        """Search from a configuration, and enter the best trial; None if all trials failed."""

        def train(one: Config, name: str) -> TrainResult:
            with start_run(self.job.store, name) as run:
                result, *_ = self._train(run, one)
                run.log_metrics({f"final_validation/{key}": value for key, value in result.best_metrics.items()})
            close_run(result, run.run_id)
            return result

        name = f"search, {trials} trials"
        try:
            config = self._pinned(config)
            found = search(self.job.using(config), trials=trials, measure=measure, train=train)
        except (UserError, RankError) as error:
            self.failed.append((name, error))
            return None
        settings = {**_difference(self.job.config, config), **found.settings}
        candidate = Candidate(name, settings, changed(self.job.config, settings, name))
        with start_run(self.job.store, name, tags={"candidate": name}) as run:
            job, _, manifest = prepare(self.job.using(candidate.config))
            candidate = replace(candidate, config=job.config)
            run.set_tags(lineage(self.job.source, manifest))
            run.log_settings(candidate.config.flat(), candidate.config.model_dump(mode="json"))
            self.trained.append(self._measure(run, candidate, manifest, found.result))
        self._notes += [RunFolder.of_best(found.result.best_dir).delete, found.trials_folder.delete]
        return found

    def forget(self) -> None:
        """Delete what was noted for a restart: all is on the leaderboard."""
        for delete in self._notes:
            delete()

    def _pinned(self, config: Config) -> Config:
        """Return the configuration with its base model as one version, the same throughout the comparison."""
        key = (address_of_base(config), config.model.revision)
        if key not in self._bases:
            self._bases[key] = address_of_base(pin_base(config, self.job.store)[0])
        return at_base(config, self._bases[key])

    def _measured_before(self, candidate: Candidate) -> Trained | None:
        """Return what a comparison that was cut off measured of a candidate; None if it did not, or its run is gone."""
        notes, name = Runs.at(candidate.config.launch.run_dir).measured, self._note(candidate)
        found = notes.read_json(name)
        if found is None:
            return None
        entry, model = Entry(**found["entry"]), ModelRef(**found["model"])
        if not make_child(self.job.store, entry.run_id, parent=self.parent.run_id):
            return None
        log.info("candidate %s was measured before the comparison was cut off: run %s", candidate.name, entry.run_id)
        _, _, manifest = prepare(self.job.using(candidate.config))
        self._notes.append(partial(notes.delete, name))
        return Trained(candidate, entry, model, manifest)

    def _note(self, candidate: Candidate) -> str:
        """Return the name of the note with a candidate's result: all that decides it."""
        source = self.job.source
        deciding = of_measurement(candidate.config, (source.table_id, source.version), candidate.name, self.job.store.uri)
        return f"{fingerprint(deciding)}.json"

    def _train_and_measure(self, candidate: Candidate) -> Trained:
        with start_run(self.job.store, candidate.name, tags={"candidate": candidate.name}) as run:
            result, manifest, config = self._train(run, candidate.config)
            trained = self._measure(run, replace(candidate, config=config), manifest, result)
        notes, name = Runs.at(candidate.config.launch.run_dir).measured, self._note(candidate)
        notes.write_json(name, {"entry": asdict(trained.entry), "model": asdict(trained.model)})
        self._notes.append(partial(notes.delete, name))
        # The model is logged: the run's folder has nothing that MLflow has not.
        RunFolder.of_best(result.best_dir).delete()
        return trained

    def _train(self, run: Run, config: Config) -> tuple[TrainResult, Manifest, Config]:
        job, base, manifest = prepare(self.job.using(config))
        run.set_tags(lineage(job.source, manifest))
        return fine_tune(job, run, manifest, base), manifest, job.config

    def _measure(self, run: Run, candidate: Candidate, manifest: Manifest, result: TrainResult) -> Trained:
        with step(f"logging {candidate.name}"):
            model = log_result(run, result)
        parameters, size = size_of(result)
        validation, test, speed = self._scored(candidate.config, model, has_test=TEST in manifest.splits)
        alike, note = self._like_teacher(candidate.config, model)
        entry = Entry(
            candidate.name,
            MODEL,
            validation.metrics | alike,
            test.metrics if test else {},
            parameters=parameters,
            trained_share=result.trained_share,
            size_mb=size / 1e6,
            training_seconds=result.seconds,
            training_rows_per_second=result.train_rows_per_second,
            scoring_rows_per_second=speed,
            settings=_settings(candidate.config),
            run_id=run.run_id,
            note=note,
        )
        log_entry(run, entry)
        return Trained(candidate, entry, model, manifest)

    def _scored(self, config: Config, model: ModelRef, *, has_test: bool) -> tuple[Evaluation, Evaluation | None, float]:
        """Score validation and test rows as ``score`` would; the speed is that of the workers that hold the model already."""
        score = config.score
        # Every slot loads the model in the first pass, whatever the number of rows, so that the second one loads it nowhere.
        partitions = score.partitions or slots(self.job.spark)
        job = self.job.using(config.model_copy(update={"score": score.model_copy(update={"partitions": partitions})}))
        with files_present(job.source):
            rows = split_rows(job)
            splits = {split: rows.where(rows[SPLIT] == split) for split in (VALIDATION, TEST)}
            passes = [VALIDATION, TEST if has_test else VALIDATION]
            results = [evaluate_rows(job, model, splits[split], title=f"{split} rows") for split in passes]
        speed = max((one.rows + one.unlabelled) / max(one.seconds, 1e-9) for one in results)
        return results[0], results[1] if passes[1] == TEST else None, speed

    def _like_teacher(self, config: Config, model: ModelRef) -> tuple[dict[str, float], str]:
        """Return how far a student decides as its teacher does, as a metric of validation rows and in words; nothing of other models."""
        if not is_taught(config):
            return {}, ""
        rows = split_rows(self.job)
        folder = pin_base(config, self.job.store)[1]
        share = student_agreement(self.job.using(config), model, folder, rows.where(rows[SPLIT] == VALIDATION))
        return {AGREEMENT: share}, f"decides {share:.2%} of the validation rows as its teacher {address_of_base(config)} does"


def log_entry(run: Run, entry: Entry) -> None:
    """Log what an entry says to its run."""
    measured: dict[str, float | None] = {
        "parameters": entry.parameters,
        "size_mb": entry.size_mb,
        "training_seconds": entry.training_seconds,
        "training_rows_per_second": entry.training_rows_per_second,
        "scoring_rows_per_second": entry.scoring_rows_per_second,
        "trained_share": entry.trained_share,
    }
    run.log_metrics({f"compare/{name}": value for name, value in measured.items() if value is not None})
    run.log_metrics({f"final_validation/{name}": value for name, value in entry.validation.items()})
    run.log_metrics({f"test/{name}": value for name, value in entry.test.items()})


def _settings(config: Config) -> dict[str, object]:
    return {dotted: value for dotted, value in config.flat().items() if dotted.partition(".")[0] in MODEL_SECTIONS}


def _difference(base: Config, other: Config) -> dict[str, Any]:
    before = _settings(base)
    return {dotted: value for dotted, value in _settings(other).items() if before.get(dotted) != value}
