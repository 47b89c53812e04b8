"""Training metrics as TensorBoard event files, for those who watch them there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


class EventFiles:
    """Event files of one run, named by model, task and run: ``FOLDER/MODEL/RUN/events.….TASK``."""

    def __init__(self, folder: str | Path, *, model: str, task: str, run_id: str) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.folder = Path(folder) / model / run_id[:8]
        self._writer = SummaryWriter(str(self.folder), filename_suffix=f".{task}")

    def log_metrics(self, metrics: Mapping[str, float], *, step: int) -> None:
        """Write metrics of a step or an epoch."""
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()
