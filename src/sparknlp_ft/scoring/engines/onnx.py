"""The engine on ONNX Runtime: float32, or int8 whose weights are per channel, on CPUs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sparknlp_ft.models.folder import LoadedModel, quiet_transformers
from sparknlp_ft.scoring.engines.exported import Described, describe, example, export, inputs_of, readable
from sparknlp_ft.scoring.engines.network import NetworkEngine
from sparknlp_ft.scoring.engines.protocol import Batch
from sparknlp_ft.scoring.engines.settings import Settings, missing
from sparknlp_ft.tasks import Rows

_FILE = "model.onnx"


@dataclass(frozen=True)
class OnnxRuntime:
    """A session."""

    session: Any
    pad_id: int

    def outputs(self, batches: Iterator[Batch]) -> list[np.ndarray]:
        return [self._run(*batch) for batch in batches]

    def _run(self, arrays: Mapping[str, np.ndarray], rows: Rows) -> np.ndarray:
        given, names = inputs_of(arrays, self.pad_id), [one.name for one in self.session.get_inputs()]
        return self.session.run(None, {name: given[name] for name in names})[0].astype(np.float32, copy=False)


def load(model_dir: str | Path, settings: Settings) -> NetworkEngine:
    """Load a model folder; exports it first, if this machine has not.

    Raises:
        ModelError: ONNX Runtime is not installed, or the folder cannot be used.
    """
    library, described = _library(), describe(model_dir)
    folder = export(described, "onnx", lambda out, model: _convert(described, model, out / _FILE))
    if settings.precision == "int8":
        exported = folder
        folder = export(described, f"onnxruntime {library.__version__} int8", lambda out, model: _quantised(exported, out))
    options = library.SessionOptions()
    options.intra_op_num_threads = settings.threads or int(os.environ.get("OMP_NUM_THREADS", 0))
    options.log_severity_level = 3
    session = library.InferenceSession(str(folder / _FILE), options, providers=["CPUExecutionProvider"])
    return NetworkEngine(
        described.task, described.setup, described.meta, OnnxRuntime(session, described.encoder.pad_id), settings.tokens_on("cpu")
    )


def _library() -> Any:
    try:
        import onnx  # noqa: F401  # what torch's exporter and the quantiser need
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise missing("onnx", error.name or "onnxruntime", error) from error
    return onnxruntime


def _convert(described: Described, model: LoadedModel, out: Path) -> None:
    import torch

    given = example(described)
    tensors = tuple(torch.from_numpy(values) for values in given.values())
    rows, width = torch.export.Dim("rows", min=1, max=1 << 16), torch.export.Dim("width", min=2, max=described.encoder.config.max_length)
    shapes = (tuple({0: rows, 1: width} for _ in given),)
    with torch.inference_mode(), quiet_transformers():
        torch.onnx.export(
            readable(model, list(given)),
            tensors,
            str(out),
            input_names=list(given),
            output_names=["output"],
            dynamic_shapes=shapes,
            dynamo=True,
            external_data=False,
            verbose=False,
        )


def _quantised(exported: Path, out: Path) -> None:
    """Write the export in int8: matrix products alone, so the embeddings stay, and the head, which is the last of them, too."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    names = [node.name for node in onnx.load(str(exported / _FILE)).graph.node if node.op_type in ("MatMul", "Gemm")]
    quantize_dynamic(
        exported / _FILE,
        out / _FILE,
        op_types_to_quantize=["MatMul", "Gemm"],
        nodes_to_exclude=names[-1:],
        per_channel=True,
        weight_type=QuantType.QInt8,
    )
