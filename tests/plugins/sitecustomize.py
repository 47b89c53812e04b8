"""Faults at named points, in any Python process of a test: Python imports this file at its start, from the path it inherits.

``SPARKNLP_FT_TEST_FAULT`` says what happens where, as JSON: ``point``, ``action`` (kill, stop, slow, full), perhaps ``rank``,
``epoch`` and ``step`` (from 1), ``call`` (the how many-th), and ``once``: a file that is made when it happens, so that it
happens to no later process. The code under test knows nothing of it.
"""

from __future__ import annotations

import functools
import importlib.abc
import importlib.util
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

VARIABLE = "SPARKNLP_FT_TEST_FAULT"


class Fault:
    """One fault, and whether it is its turn."""

    def __init__(self, wanted: dict[str, Any]) -> None:
        self.wanted, self.calls = wanted, 0

    def here(self, **found: Any) -> bool:
        """Whether this is the place."""
        if any(name in self.wanted and self.wanted[name] != value for name, value in found.items()):
            return False
        self.calls += 1
        return self.calls == self.wanted.get("call", self.calls) and self._first()

    def happen(self) -> None:
        action = self.wanted["action"]
        if action == "slow":
            time.sleep(self.wanted.get("seconds", 0.2))
        elif action == "full":
            raise OSError(28, "No space left on device")
        else:
            os.kill(os.getpid(), {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}[action])

    def _first(self) -> bool:
        once = self.wanted.get("once")
        if once is None:
            return True
        try:
            Path(once).touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


def before(module: Any, name: str, place: Callable[..., dict[str, Any]], fault: Fault) -> None:
    """Let the fault happen before a call, where ``place`` says, from the call's arguments, that it is its place."""
    call = getattr(module, name)

    @functools.wraps(call)
    def wrapped(*args: Any, **options: Any) -> Any:
        if fault.here(**place(*args, **options)):
            fault.happen()
        return call(*args, **options)

    setattr(module, name, wrapped)


def rank() -> int:
    return int(os.environ.get("HOROVOD_RANK", "0"))


def in_forward(module: Any, fault: Fault) -> None:
    def place(forward: Any, optimizer: Any, step: Any, *, rank: int, config: Any) -> dict[str, Any]:
        return {"rank": rank, "epoch": step.epoch + 1, "step": step.step + 1}

    before(module, "accumulate_gradients", place, fault)


def in_sum(module: Any, fault: Fault) -> None:
    before(module.Optimizer, "step", lambda self, step, comm: {"rank": comm.rank, "step": step + 1}, fault)


def in_evaluation(module: Any, fault: Fault) -> None:
    before(module, "_evaluated", lambda *_: {"rank": rank()}, fault)


def in_checkpoint(module: Any, fault: Fault) -> None:
    """Half of a checkpoint's state is written."""
    copy = module.Folder._copy

    def half(self: Any, source: Path, name: str) -> str:
        if name == "state.safetensors" and fault.here(rank=rank()):
            with self.open(name, "wb") as stream:
                stream.write(source.read_bytes()[: source.stat().st_size // 2])
            fault.happen()
        return copy(self, source, name)

    module.Folder._copy = half


def before_marker(module: Any, fault: Fault) -> None:
    def place(self: Any, name: str, values: Any) -> dict[str, Any]:
        return {"rank": rank(), "folder": self.name, "marker": name.endswith(".whole.json")}

    fault.wanted |= {"folder": "checkpoints", "marker": True}
    before(module.Folder, "write_json", place, fault)


def after_result(module: Any, fault: Fault) -> None:
    write = module.RunFolder.write_result

    def written(self: Any, result: Any) -> None:
        write(self, result)
        if fault.here(rank=rank()):
            fault.happen()

    module.RunFolder.write_result = written


#: Point → module that it lies in, and what puts the fault there.
POINTS: dict[str, tuple[str, Callable[[Any, Fault], None]]] = {
    "forward": ("sparknlp_ft.training.loop", in_forward),
    "sum": ("sparknlp_ft.training.optimizer", in_sum),
    "evaluation": ("sparknlp_ft.training.evaluation", in_evaluation),
    "checkpoint": ("sparknlp_ft.storage", in_checkpoint),
    "marker": ("sparknlp_ft.storage", before_marker),
    "result": ("sparknlp_ft.training.run_folder", after_result),
}


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Puts the fault into its module when that is imported."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.module, self.inject = POINTS[fault.wanted["point"]]
        self._loader: Any = None

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> Any:
        if fullname != self.module:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        assert spec is not None
        self._loader, spec.loader = spec.loader, self
        return spec

    def create_module(self, spec: Any) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        self.inject(module, self.fault)


if VARIABLE in os.environ:
    sys.meta_path.insert(0, Finder(Fault(json.loads(os.environ[VARIABLE]))))

if "SPARKNLP_FT_TEST_VOLUME" in os.environ:
    import volume

    volume.mount(os.environ[volume.VARIABLE])
