"""A model folder of unknown origin, read as plain data: what could run code, leads outside or is cut short is refused.

Nothing is loaded here, and neither torch nor transformers is needed: it costs milliseconds, on the driver and again in a worker.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sparknlp_ft.errors import ModelError, shown

#: Files that hold, or may hold, pickles: whoever reads one runs what it says.
PICKLES = frozenset(
    {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".dill", ".cloudpickle", ".npy", ".npz", ".h5", ".keras"}
)

#: Files that are code.
CODE = frozenset({".py", ".pyc", ".pyd", ".so", ".dll", ".dylib", ".pth"})

#: Keys of a configuration by which transformers would look for code: in the folder, or on the Hub if the value names a repository.
_CODE_KEYS, _KERNEL_KEYS = ("auto_map", "custom_pipelines"), ("attn_implementation", "experts_implementation")

#: Further files that hold JSON objects, where there are any.
_OTHER_OBJECTS = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "generation_config.json")

#: Most bytes of a safetensors header; the library's own limit.
_HEADER_BYTES = 100_000_000

_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32, "I64": 64, "U64": 64, "F64": 64,
}  # fmt: skip


def inside(root: Path, relative: object, what: str) -> Path:
    """Return a path within a folder.

    Raises:
        ModelError: It is none: absolute, with ``..``, or by way of a link to another place.
    """
    if not isinstance(relative, str) or not relative or "\0" in relative:
        raise ModelError(f"{what} is {relative!r}; expected a path inside the model's folder")
    path = root / relative
    if Path(relative).is_absolute() or ".." in Path(relative).parts or not path.resolve().is_relative_to(root.resolve()):
        raise ModelError(f"{what} is {relative!r}, which leads out of the model's folder {str(root)!r}; it is not followed")
    return path


def check_saved(folder: Path, *, processing: str | None = None) -> None:
    """Check a folder that claims to be one that ``save_model`` wrote: nothing in it runs, leads outside or is cut short.

    Args:
        folder: The folder.
        processing: Name of the one file of code that may lie in it.

    Raises:
        ModelError: Names the file and the reason.
    """
    refuse_foreign(folder, allowed=(processing,) if processing else ())
    refuse_remote_code(folder)
    check_weights(folder)
    for name in _OTHER_OBJECTS:
        if (folder / name).is_file():
            read_object(folder / name)


def refuse_foreign(folder: Path, *, allowed: tuple[str, ...] = (), ignored: tuple[str, ...] = ()) -> None:
    """Refuse pickles, code, adapters and links to other places.

    Args:
        folder: Searched with all folders in it.
        allowed: Names, directly in it, of files of code that are known.
        ignored: Folders in it that are not looked into: nothing there is ever read.

    Raises:
        ModelError: Names the file and the reason.
    """
    for file in _files(folder, ignored):
        name = str(file.relative_to(folder))
        if not file.resolve().is_relative_to(folder.resolve()):
            raise ModelError(_refused(folder, name, "it is a link out of the folder"))
        if file.suffix.lower() in PICKLES:
            raise ModelError(
                _refused(folder, name, "such a file may hold a pickle, which runs code when it is read; weights are safetensors")
            )
        if file.suffix.lower() in CODE and name not in allowed:
            raise ModelError(_refused(folder, name, "it is code, and a model's own code is never run"))
        if file.name == "adapter_config.json":
            raise ModelError(_refused(folder, name, "it leads to the weights of another model; merge the adapter into the model first"))


def refuse_remote_code(folder: Path) -> None:
    """Refuse a ``config.json`` that sends transformers to code in the folder or on the Hub.

    Raises:
        ModelError: It does, or it is no JSON object.
    """
    file = folder / "config.json"
    for key, value in _settings(read_object(file)):
        if key in _CODE_KEYS:
            raise ModelError(f"{str(file)!r} has {key!r}, by which a model's own code would be run; it is never run: remove the key")
        if key.strip("_").startswith(_KERNEL_KEYS) and "/" in str(value):
            raise ModelError(f"{str(file)!r}: {key!r} is {value!r}, which would fetch code from the Hub; remove the key")


def check_weights(folder: Path) -> None:
    """Check that all weights are safetensors, whole, and in the folder.

    Raises:
        ModelError: Names the file and the reason.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ModelError(f"model folder {str(folder)!r} has no *.safetensors file")
    for file in files:
        check_safetensors(file)
    for index in folder.glob("*.safetensors.index.json"):
        parts = read_object(index).get("weight_map")
        if not isinstance(parts, Mapping):
            raise ModelError(f"{str(index)!r} has no 'weight_map' that says in which file each tensor lies; copy or train the model again")
        names = {file.name for file in files}
        if missing := sorted({str(part) for part in parts.values()} - names):
            raise ModelError(f"{str(index)!r} names {shown(missing)}, which is no file beside it; copy the model again, whole")


def check_safetensors(file: Path) -> None:
    """Check that a safetensors file is as long as its header says, and the header a description of tensors.

    Raises:
        ModelError: It is not; says what is wrong.
    """
    size = file.stat().st_size
    with file.open("rb") as stream:
        start = stream.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 0 < length <= min(size - 8, _HEADER_BYTES):
            raise ModelError(_damaged(file, f"it has {size} bytes and no header that fits into them"))
        header = stream.read(length)
    try:
        tensors = json.loads(header)
        ends = [_end_of(name, tensor) for name, tensor in tensors.items() if name != "__metadata__"]
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        raise ModelError(_damaged(file, f"its header cannot be read: {error}")) from error
    if (expected := 8 + length + max(ends, default=0)) != size:
        raise ModelError(_damaged(file, f"it has {size} bytes, and its header speaks of {expected}"))


def content_digest(folder: Path) -> str:
    """Return a hash of what a saved model is: weights, configuration and description, wherever the folder lies."""
    digest = hashlib.sha256()
    for file in sorted([*folder.glob("*.safetensors"), *folder.glob("*.json")]):
        with file.open("rb") as stream:
            digest.update(file.name.encode() + b"\0" + hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def read_object(file: Path) -> dict[str, Any]:
    """Return the JSON object in a file of a model folder; raises ModelError."""
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(f"model folder {str(file.parent)!r} has no {file.name}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{str(file)!r} cannot be read: {error}; copy or train the model again") from error
    if not isinstance(values, dict):
        raise ModelError(f"{str(file)!r} holds a {type(values).__name__}; expected a JSON object")
    return values


def _end_of(name: str, tensor: Mapping[str, Any]) -> int:
    start, end = tensor["data_offsets"]
    bits = _BITS.get(tensor["dtype"])
    if not 0 <= start <= end or (bits is not None and math.prod(tensor["shape"]) * bits != 8 * (end - start)):
        raise ValueError(f"tensor {name!r} does not fit its shape")
    return int(end)


def _files(folder: Path, ignored: tuple[str, ...]) -> Iterator[Path]:
    for path, folders, names in os.walk(folder, followlinks=False):
        here = Path(path)
        linked = [name for name in folders if (here / name).is_symlink()]
        folders[:] = [name for name in folders if name not in linked and not (here == folder and name in ignored)]
        yield from (here / name for name in sorted([*names, *linked]))


def _settings(values: Any) -> Iterator[tuple[str, Any]]:
    """Yield the keys and values of nested mappings."""
    if isinstance(values, Mapping):
        for key, value in values.items():
            yield str(key), value
            yield from _settings(value)
    elif isinstance(values, list):
        for value in values:
            yield from _settings(value)


def _refused(folder: Path, name: str, reason: str) -> str:
    return (
        f"model folder {str(folder)!r} holds {name!r}: {reason}. Remove the file if you trust the rest, and train, package or copy it again"
    )


def _damaged(file: Path, reason: str) -> str:
    return f"weights {str(file)!r} are damaged or cut short: {reason}; copy or train the model again"
