"""Training metrics as TensorBoard event files, for those who watch them there."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from sparknlp_ft.progress import log
from sparknlp_ft.storage import Folder


class EventFiles:
    """Event files of one run, named by model, task and run: ``FOLDER/MODEL/RUN/events.….TASK``.

    TensorBoard's writer appends to them, which mounted volumes and object stores do not know: it writes on this machine, and they are
    copied whole.

    Args:
        folder: A path, or an address as ``storage.Folder`` takes it.
        model: Name of the model.
        task: Name of the task.
        run_id: The MLflow run.
    """

    def __init__(self, folder: str | Path, *, model: str, task: str, run_id: str) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.folder = Folder(str(folder)) / model / run_id[:8]
        self._scratch = tempfile.TemporaryDirectory(prefix="sparknlp_ft-events-")
        self._writer = SummaryWriter(self._scratch.name, filename_suffix=f".{task}")
        self._failed = False

    def log_metrics(self, metrics: Mapping[str, float], *, step: int) -> None:
        """Write metrics of a step or an epoch; they are seen once they are published."""
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, step)

    def publish(self) -> None:
        """Copy the files to the folder; where that fails, it is said once, and the training goes on."""
        self._writer.flush()
        try:
            for file in sorted(Path(self._scratch.name).iterdir()):
                self.folder.write(file.name, file.read_bytes())
        except Exception as error:  # Clients of object stores have errors of their own.
            if not self._failed:
                log.warning("tracking.tensorboard: event files cannot be written to %r (%s); the job goes on", self.folder.address, error)
            self._failed = True

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()
        self.publish()
        self._scratch.cleanup()
