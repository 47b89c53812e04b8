"""What a teacher says of texts, in a worker: a fine-tuned model folder as an engine, and its results as a student learns them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from sparknlp_ft.scoring.engine import Engine, load_engine
from sparknlp_ft.scoring.processing import Processed
from sparknlp_ft.scoring.udf import engine_of
from sparknlp_ft.tasks.imitation import Imitation


def load_folder(device: str | None, *, find: Callable[[], str], **settings: Any) -> Engine:
    """Load a model folder that was checked on the driver, and brings no functions of its own.

    Args:
        device: Where to compute; None: the engine's choice.
        find: Says where the folder is on this machine.
        settings: As in ``scoring.engine.load_engine``.
    """
    engine: Engine = load_engine(find(), device=device, **settings)
    return engine


def teach(texts: Sequence[Sequence[str]], rows: Sequence[int], *, find: Callable[[], str], digest: str, **settings: Any) -> np.ndarray:
    """Return what a student is to learn of rows, float32 [rows, values].

    Args:
        texts: A column of texts per text role.
        rows: Hash of each row's key, which seeds random windows.
        find: Says where the teacher's folder is on this machine.
        digest: Tells the teacher from any other: it is loaded once a process.
        settings: As in ``scoring.engine.load_engine``.
    """
    engine = engine_of(partial(load_folder, find=find, **settings), f"teacher {digest}")
    assert not isinstance(engine, Processed) and isinstance(engine.task, Imitation)
    scored = engine.predict(texts[0], texts[1] if len(texts) > 1 else None, rows=rows)
    return engine.task.lessons(scored.results, engine.setup)
