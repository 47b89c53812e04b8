"""The engine on OpenVINO: float32, bfloat16 or calibrated int8, on CPUs."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sparknlp_ft.identity import fingerprint
from sparknlp_ft.models.folder import LoadedModel
from sparknlp_ft.scoring.engines.exported import Described, describe, example, export, inputs_of, readable
from sparknlp_ft.scoring.engines.network import NetworkEngine
from sparknlp_ft.scoring.engines.protocol import Batch
from sparknlp_ft.scoring.engines.settings import Settings, missing
from sparknlp_ft.tasks import Rows

_FILE = "model.xml"
_HINTS = {"float32": "f32", "bfloat16": "bf16", "int8": "f32", "auto": "f32"}


@dataclass(frozen=True)
class OpenVinoRuntime:
    """A compiled network."""

    compiled: Any
    pad_id: int

    def outputs(self, batches: Iterator[Batch]) -> list[np.ndarray]:
        return [self._run(*batch) for batch in batches]

    def _run(self, arrays: Mapping[str, np.ndarray], rows: Rows) -> np.ndarray:
        return np.array(self.compiled(inputs_of(arrays, self.pad_id))[0], dtype=np.float32)


def load(model_dir: str | Path, settings: Settings) -> NetworkEngine:
    """Load a model folder; exports it first, if this machine has not.

    Raises:
        ModelError: OpenVINO is not installed, or the folder cannot be used.
    """
    openvino, described = _library(), describe(model_dir)
    runtime = f"openvino {openvino.__version__}"
    folder = export(described, runtime, lambda out, model: _convert(openvino, described, model, out / _FILE))
    if settings.precision == "int8":
        folder = _calibrated(openvino, described, folder, settings)
    # Pinned, the processes of a machine all compute on its first core: two workers were half as fast each.
    options: dict[str, Any] = {"INFERENCE_PRECISION_HINT": _HINTS[settings.precision], "ENABLE_CPU_PINNING": False}
    if settings.threads:
        options["INFERENCE_NUM_THREADS"] = settings.threads
    compiled = openvino.Core().compile_model(folder / _FILE, "CPU", options)
    runner = OpenVinoRuntime(compiled, described.encoder.pad_id)
    return NetworkEngine(described.task, described.setup, described.meta, runner, settings.tokens_on("cpu"))


def _library() -> Any:
    # OpenVINO and its compressor tell their maker that they are used, unless this package cannot be found.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        import openvino
    except ImportError as error:
        raise missing("openvino", "openvino", error) from error
    return openvino


def _convert(openvino: Any, described: Described, model: LoadedModel, out: Path) -> None:
    import torch

    given = example(described)
    tensors = tuple(torch.from_numpy(values) for values in given.values())
    with torch.inference_mode():
        converted = openvino.convert_model(readable(model, list(given)), example_input=tensors)
    for one, name in zip(converted.inputs, given, strict=True):
        one.get_tensor().set_names({name})
    converted.reshape({one: [-1, -1] for one in converted.inputs})
    openvino.save_model(converted, out, compress_to_fp16=False)


def _calibrated(openvino: Any, described: Described, exported: Path, settings: Settings) -> Path:
    """Return the folder of the export in int8, its ranges taken from rows of the table; embeddings and head stay as they are."""
    rows = settings.calibration

    def make(out: Path, _: LoadedModel) -> None:
        try:
            import nncf
        except ImportError as error:
            raise missing("openvino", "nncf", error) from error
        nncf.set_log_level(logging.ERROR)
        model = openvino.Core().read_model(exported / _FILE)
        kept = nncf.IgnoredScope(names=_last_products(model), types=["Gather"], validate=False)
        data = nncf.Dataset(described.samples(rows))
        options = {"model_type": nncf.ModelType.TRANSFORMER, "ignored_scope": kept, "subset_size": len(rows)}
        openvino.save_model(nncf.quantize(model, data, **options), out / _FILE, compress_to_fp16=False)

    return export(described, f"openvino {openvino.__version__} int8", make, fingerprint(list(rows)))


def _last_products(model: Any) -> list[str]:
    """Return the name of the head: the last matrix product."""
    return [one.get_friendly_name() for one in model.get_ordered_ops() if one.get_type_name() == "MatMul"][-1:]
