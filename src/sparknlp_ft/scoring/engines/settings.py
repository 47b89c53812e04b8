"""How an engine is to be made, and which there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sparknlp_ft.errors import ConfigError, ModelError

#: Engine → number formats that it computes in.
PRECISIONS = {
    "torch": ("float32", "bfloat16", "float16"),
    "openvino": ("float32", "bfloat16", "int8"),
    "onnx": ("float32", "int8"),
}
FLOAT32 = "float32"

#: Padded tokens per forward pass. Of 512, 1,024, 2,048 and 4,096 a CPU was as fast with the first two, and slower with each after.
ON_CPU, ON_GPU = 1024, 4096


@dataclass(frozen=True)
class Deferral:
    """Which rows an engine leaves to another one: those that it decides narrowly.

    Attributes:
        engine: The other engine, and
        precision: its number format.
        margin: Rows with a smaller one (``Task.margins``) are deferred.
    """

    engine: str
    precision: str
    margin: float


@dataclass(frozen=True)
class Settings:
    """Settings of an engine.

    Attributes:
        engine: A key of ``PRECISIONS``.
        precision: One of the engine's number formats; 'auto': torch's bfloat16 where the device computes it natively, else float32.
        batch_tokens: Padded tokens per forward pass; None: what suits the device.
        threads: Threads of this process; None leaves them. Spark sets OMP_NUM_THREADS=1 in its workers, so one that should use
            more says so here.
        device: torch device; None: the first CUDA device if there is one, else the CPU.
        attention: Attention implementation of transformers ('eager', 'sdpa'); None: its own choice for the architecture.
        calibration: Rows that int8 is calibrated with, each the texts that the model reads.
        deferral: Fields of a ``Deferral``; None: the engine decides all rows.
    """

    engine: str = "torch"
    precision: str = "auto"
    batch_tokens: int | None = None
    threads: int | None = None
    device: str | None = None
    attention: str | None = None
    calibration: Sequence[tuple[str, ...]] = ()
    deferral: Mapping[str, Any] | None = None

    def tokens_on(self, device: str) -> int:
        """Return the padded tokens per forward pass on a kind of device: a CPU's caches hold few, a GPU wants many."""
        return self.batch_tokens or (ON_CPU if device == "cpu" else ON_GPU)

    def check(self) -> None:
        """Check that the engine has the number format.

        Raises:
            ConfigError: It has not.
        """
        have = PRECISIONS.get(self.engine)
        if have is None:
            raise ConfigError(f"score.engine: {self.engine!r} is not an engine. Valid: {', '.join(PRECISIONS)}, auto")
        if self.precision not in ("auto", *have):
            raise ConfigError(
                f"score.precision: {self.precision!r} is not computed by engine {self.engine!r}. Valid for it: auto, {', '.join(have)}"
            )


def missing(engine: str, package: str, error: ImportError) -> ModelError:
    """Return the error for an engine whose library is not installed, or cannot be loaded."""
    return ModelError(
        f"score.engine: {engine!r} needs the package {package!r}, which cannot be imported here ({error}); install it on driver and "
        "workers (pip install 'sparknlp-ft[engines]'), or set score.engine=torch"
    )
