"""Solo: this process is the only rank there is."""

from __future__ import annotations

import os
from typing import Any

from sparknlp_ft.training.launcher import Launcher, Start


class SoloLauncher(Launcher):
    """Trains where it is called."""

    in_slots = False
    beats = False

    def start(self, start: Start) -> dict[str, Any]:
        import torch

        from sparknlp_ft.training.comm import Solo
        from sparknlp_ft.training.worker import run_rank

        threads, before = torch.get_num_threads(), dict(os.environ)
        os.environ.update(start.config.env)
        try:
            return run_rank(start.job, Solo(), stop_asked=start.stop_asked)
        finally:
            torch.set_num_threads(threads)
            for name in start.config.env:
                os.environ.pop(name)
            os.environ.update(before)


LAUNCHER = SoloLauncher()
