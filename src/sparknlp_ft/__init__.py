"""sparknlp_ft: fine-tune transformers on Delta tables with Horovod, and score whole tables back into Delta.

In a notebook: ``import sparknlp_ft as ft``, then ``ft.train(spark, table=…, text=…, label=…)``. See ``sparknlp_ft.notebook``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sparknlp_ft.errors import ConfigError, DataError, LaunchError, ModelError, UserError
    from sparknlp_ft.notebook import compare, evaluate, ingest, package, promote, score, train

__version__ = "0.1.0"

__all__ = [
    "ConfigError", "DataError", "LaunchError", "ModelError", "UserError", "__version__",
    "compare", "evaluate", "ingest", "package", "promote", "score", "train",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import a name of the face when it is first asked for: ``import sparknlp_ft`` alone brings no library along."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    module = "errors" if name.endswith("Error") else "notebook"
    value = getattr(importlib.import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value
