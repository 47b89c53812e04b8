"""What a training job is given and what it gives back; both go through JSON between the driver and the ranks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from sparknlp_ft.config import Config
from sparknlp_ft.tasks.task import signed
from sparknlp_ft.training.run_folder import RunFolder

#: Share of the loss that the last epoch takes off where it is worth to train on; the rate has fallen to nothing by then.
FALLING = 0.02
#: Loss that there is nothing left to take off.
LITTLE_LOSS = 0.001


@dataclass(frozen=True)
class TrainJob:
    """One training run.

    Attributes:
        run_dir: Address of the run folder, which the driver and all ranks share.
        manifest_path: Address of the snapshot's folder (holds ``manifest.json``).
        base_dir: Address of the base model's folder.
        config: The resolved configuration, as ``Config.model_dump(mode="json")`` gives it.
        resume: Go on from the checkpoint in ``run_dir``, if there is one.
    """

    run_dir: str
    manifest_path: str
    base_dir: str
    config: dict[str, Any]
    resume: bool = False

    @property
    def folder(self) -> RunFolder:
        return RunFolder.at(self.run_dir)

    @property
    def resolved(self) -> Config:
        return Config.model_validate(self.config)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class TrainResult:
    """What a training run came to.

    Attributes:
        best_dir: Address of the best model's folder, as ``models.folder.save_model`` writes it.
        best_epoch: Epoch it was taken after, from 1.
        metric: Name of the validation metric that chose it.
        epochs: One entry per epoch: ``epoch``, ``step``, ``seconds``, ``step_seconds`` of them spent in steps, ``best`` the
            ``metrics`` of validation, and what was ``tuned`` on it.
        steps: Optimizer steps taken.
        rows: Rows trained on, over all epochs.
        seconds: Seconds from the ranks' start to their end, without launching them; of a resumed run, with its earlier epochs.
        train_rows_per_second: Rows over the seconds spent in steps (neither evaluation nor saving).
        ranks: Number of ranks.
        device: 'cpu' or 'cuda'.
        precision: 'bfloat16' or 'float32'.
        threads: Threads of each rank.
        stopped_early: Whether patience ran out before the last epoch.
        trained_share: Share of the network's parameters that were trained.
    """

    best_dir: str
    best_epoch: int
    metric: str
    epochs: list[dict[str, Any]]
    steps: int
    rows: int
    seconds: float
    train_rows_per_second: float
    ranks: int
    device: str
    precision: str
    threads: int
    stopped_early: bool
    trained_share: float = 1.0

    @property
    def best_metrics(self) -> dict[str, float]:
        """Validation metrics of the best epoch; empty if there were no validation rows."""
        return next((entry["metrics"] for entry in self.epochs if entry["epoch"] == self.best_epoch), {})

    @property
    def calibration(self) -> dict[str, float]:
        """Expected calibration error of the best epoch's scores on validation, ``ece_before`` and ``ece_after``; empty if there is none."""
        return next((entry.get("tuned", {}).get("calibration", {}) for entry in self.epochs if entry["epoch"] == self.best_epoch), {})

    @property
    def luckier(self) -> tuple[int, float] | None:
        """Epoch with a better metric than the one that is kept, and the metric; None if there is none."""
        if self.metric not in self.best_metrics:
            return None
        best = max(
            (one for one in self.epochs if self.metric in one["metrics"]), key=lambda one: signed(self.metric, one["metrics"][self.metric])
        )
        value = best["metrics"][self.metric]
        return (best["epoch"], value) if signed(self.metric, value) > signed(self.metric, self.best_metrics[self.metric]) else None

    @property
    def still_falling(self) -> tuple[float, float] | None:
        """Loss on validation rows after the last epoch but one and the last, if it was still falling when the training ended."""
        losses = [entry["metrics"].get("loss") for entry in self.epochs[-2:]]
        if self.stopped_early or len(losses) < 2 or None in losses:
            return None
        if losses[0] < LITTLE_LOSS or losses[1] > (1 - FALLING) * losses[0]:
            return None
        return losses[0], losses[1]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainResult:
        return cls(**{field.name: values[field.name] for field in fields(cls) if field.name in values})
