"""The candidates of one comparison: each trained and measured once, also when the comparison was cut off and is started again.

What was measured is noted in the run folder until it is on the leaderboard; a training that was cut off goes on from its checkpoint.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparknlp_ft.config import MODEL_SECTIONS, Config, fingerprint
from sparknlp_ft.errors import ConfigError, RankError, UserError
from sparknlp_ft.models.size import weights_of
from sparknlp_ft.pipelines.base import pin_base
from sparknlp_ft.pipelines.candidates import Candidate, changed
from sparknlp_ft.pipelines.evaluate import Evaluation, evaluate_frame, split_rows
from sparknlp_ft.pipelines.search import Found, search
from sparknlp_ft.pipelines.train import close_run_folder, fine_tune, lineage, log_result
from sparknlp_ft.progress import log, step
from sparknlp_ft.reports.leaderboard import MODEL, Entry, ranked
from sparknlp_ft.tables.contracts import SPLIT, TEST, VALIDATION
from sparknlp_ft.tables.delta import Pinned, files_present
from sparknlp_ft.tables.session import slots
from sparknlp_ft.tables.snapshot import build_snapshot
from sparknlp_ft.tasks import get_task
from sparknlp_ft.text.manifest import Manifest
from sparknlp_ft.tracking.store import ModelRef, Run, Store, adopt, start_run
from sparknlp_ft.training.job import TrainResult
from sparknlp_ft.training.run_folder import write_json

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


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
        config: The configuration that candidates differ from.
        spark: The session.
        store: Where runs and models are logged.
        source: The table, the same for all.
        parent: The comparison's run; each candidate's is a child of it.
    """

    def __init__(self, config: Config, spark: SparkSession, store: Store, source: Pinned, parent: Run) -> None:
        self.config, self.spark, self.store, self.source, self.parent = config, spark, store, source, parent
        self.notes: list[Path] = []  # What only a comparison that is started again needs.
        self.trained: list[Trained] = []
        self.failed: list[tuple[str, Exception]] = []
        self.bases: dict[tuple[str, str | None], str] = {}

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

        def train(one: Config, name: str) -> tuple[TrainResult, str]:
            with start_run(self.store, name) as run:
                result, _ = self._train(run, one)
                run.log_metrics({f"final_validation/{key}": value for key, value in result.best_metrics.items()})
            return close_run_folder(result, run.run_id), run.run_id

        name = f"search, {trials} trials"
        try:
            config = self._pinned(config)
            found = search(config, self.source, trials=trials, measure=measure, train=train)
        except (UserError, RankError) as error:
            self.failed.append((name, error))
            return None
        settings = {**_difference(self.config, config), **found.settings}
        candidate = Candidate(name, settings, changed(self.config, settings, name))
        with start_run(self.store, name, tags={"candidate": name}) as run:
            _, _, manifest = self._prepared(candidate.config)
            run.set_tags(lineage(self.source, manifest))
            run.log_settings(candidate.config.flat(), candidate.config.model_dump(mode="json"))
            self.trained.append(self._measure(run, candidate, manifest, found.result))
        self.notes += [Path(found.result.best_dir).parent, found.study]
        return found

    def forget(self) -> None:
        """Delete what was noted for a restart: all is on the leaderboard."""
        for note in self.notes:
            if note.is_dir():
                shutil.rmtree(note)
            else:
                note.unlink()

    def _pinned(self, config: Config) -> Config:
        """Return the configuration with its base model as one version, the same throughout the comparison."""
        key = (config.model.base, config.model.revision)
        if key not in self.bases:
            self.bases[key] = pin_base(config, self.store)[0].model.base
        return config.model_copy(update={"model": config.model.model_copy(update={"base": self.bases[key]})})

    def _measured_before(self, candidate: Candidate) -> Trained | None:
        """Return what a comparison that was cut off measured of a candidate; None if it did not, or its run is gone."""
        note = self._note(candidate)
        if not note.is_file():
            return None
        found = json.loads(note.read_text(encoding="utf-8"))
        entry, model = Entry(**found["entry"]), ModelRef(**found["model"])
        if not adopt(self.store, entry.run_id, parent=self.parent.run_id):
            return None
        log.info("candidate %s was measured before the comparison was cut off: run %s", candidate.name, entry.run_id)
        _, _, manifest = self._prepared(candidate.config)
        self.notes.append(note)
        return Trained(candidate, entry, model, manifest)

    def _note(self, candidate: Candidate) -> Path:
        """Where a candidate's result is kept: named by all that decides it."""
        config, source = candidate.config, self.source
        deciding = [candidate.name, config.model_settings(), config.data.model_dump(mode="json"), config.score.model_dump(mode="json")]
        name = fingerprint([*deciding, source.table_id, source.version, self.store.uri])
        return Path(config.launch.run_dir) / f"measured-{name}.json"

    def _train_and_measure(self, candidate: Candidate) -> Trained:
        with start_run(self.store, candidate.name, tags={"candidate": candidate.name}) as run:
            result, manifest = self._train(run, candidate.config)
            trained = self._measure(run, candidate, manifest, result)
        note = self._note(candidate)
        write_json(note, {"entry": asdict(trained.entry), "model": asdict(trained.model)})
        self.notes.append(note)
        # The model is logged: the run's folder has nothing that MLflow has not.
        shutil.rmtree(Path(close_run_folder(result, run.run_id).best_dir).parent, ignore_errors=True)
        return trained

    def _train(self, run: Run, config: Config) -> tuple[TrainResult, Manifest]:
        config, base, manifest = self._prepared(config)
        run.set_tags(lineage(self.source, manifest))
        return fine_tune(run, config, self.spark, source=self.source, manifest=manifest, base=base), manifest

    def _prepared(self, config: Config) -> tuple[Config, Path, Manifest]:
        """Return the configuration with its base model pinned, that model's folder, and the snapshot in its tokens."""
        config, base = pin_base(config, self.store)
        return config, base, build_snapshot(self.spark, self.source, config, get_task(config.data.task), base)

    def _measure(self, run: Run, candidate: Candidate, manifest: Manifest, result: TrainResult) -> Trained:
        with step(f"logging {candidate.name}"):
            model = log_result(run, result)
        parameters, size = weights_of(result.best_dir)
        validation, test, speed = self._scored(candidate.config, model, has_test=TEST in manifest.splits)
        entry = Entry(
            candidate.name,
            MODEL,
            validation.metrics,
            test.metrics if test else {},
            parameters=parameters,
            trained_share=result.trained_share,
            size_mb=size / 1e6,
            training_seconds=result.seconds,
            training_rows_per_second=result.train_rows_per_second,
            scoring_rows_per_second=speed,
            settings=_settings(candidate.config),
            run_id=run.run_id,
        )
        log_entry(run, entry)
        return Trained(candidate, entry, model, manifest)

    def _scored(self, config: Config, model: ModelRef, *, has_test: bool) -> tuple[Evaluation, Evaluation | None, float]:
        """Score validation and test rows as ``score`` would; the speed is that of the workers that hold the model already."""
        spark, score = self.spark, config.score
        # Every slot loads the model in the first pass, whatever the number of rows, so that the second one loads it nowhere.
        wide = config.model_copy(update={"score": score.model_copy(update={"partitions": score.partitions or slots(spark)})})
        with files_present(self.source):
            rows = split_rows(config, spark, self.source)
            splits = {split: rows.where(rows[SPLIT] == split) for split in (VALIDATION, TEST)}
            passes = [VALIDATION, TEST if has_test else VALIDATION]
            results = [
                evaluate_frame(splits[split], model, config=wide, spark=spark, store=self.store, title=f"{split} rows") for split in passes
            ]
        speed = max((one.rows + one.unlabelled) / max(one.seconds, 1e-9) for one in results)
        return results[0], results[1] if passes[1] == TEST else None, speed


def log_entry(run: Run, entry: Entry) -> None:
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
