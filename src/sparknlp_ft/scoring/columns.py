"""Scored rows as one Arrow array of structs, each different input scored once: what a scoring UDF hands back.

Pure Arrow and numpy on the way from texts to structs; a model with functions of the user's own goes through pandas, which
these functions are given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparknlp_ft.scoring import ddl
from sparknlp_ft.scoring.engine import Engine
from sparknlp_ft.scoring.processing import Processed
from sparknlp_ft.scoring.rows import MENDED, OK, STATUS_FIELDS, Asked, ask, judge, made_ready

#: What a worker holds: an engine, with the user's functions around it if the model has any.
Model = Engine | Processed


@dataclass(frozen=True)
class Output:
    """What is written of a prediction.

    Attributes:
        fields: Prediction columns as DDL, without the status.
        most_scores: How many scores of a row are kept, the highest; None: all.
    """

    fields: str
    most_scores: int | None = None

    @property
    def schema(self) -> str:
        """All columns of a scored row as DDL."""
        return f"{self.fields}, {STATUS_FIELDS}"


def output_of(fields: str, most_scores: int | None) -> Output:
    """Return what is written of a task's prediction columns: without the column of scores where none are wanted."""
    if most_scores != 0:
        return Output(fields, most_scores)
    return Output(", ".join(f"{name} {kind}" for name, kind in ddl.fields(fields) if name != SCORES), most_scores)


#: The prediction column that holds a score per label, in the families that have one.
SCORES = "scores"


@dataclass(frozen=True)
class Inputs:
    """What is to be scored of rows.

    Attributes:
        texts: A column of texts per text role: of rows with equal texts one, unless windows are drawn for each row.
        rows: Hash of each row's key, where they are.
        codes: Which of these each row has, int64 [rows]; None: each has its own.
        asked: The same texts, tokenised, if that was done beforehand.
    """

    texts: list[list[str | None]]
    rows: list[int] | None
    codes: np.ndarray | None
    asked: Asked | None = None


def inputs_of(model: Model, texts: Sequence[pa.Array], rows: pa.Array, *, ready: bool = False) -> Inputs:
    """Return what is to be scored of rows.

    Args:
        model: The model.
        texts: One array of strings per text role; NULL where there is none.
        rows: Hash of each row's key.
        ready: Whether to tokenise them now; a thread may do that while the model computes.
    """
    if _by_text_alone(model):
        first, codes = distinct(texts)
        equal = len(first) < len(codes)
        found = Inputs([text.take(pa.array(first)).to_pylist() for text in texts], None, codes if equal else None)
    else:
        found = Inputs([text.to_pylist() for text in texts], rows.to_pylist(), None)
    if not ready or isinstance(model, Processed):
        return found
    return replace(found, asked=made_ready(model, ask(found.texts, rows=found.rows)))


def score_structs(
    model: Model, texts: Sequence[pa.Array], rows: pa.Array, mended: pa.Array, output: Output, inputs: Inputs | None = None
) -> pa.StructArray:
    """Score rows; of rows with equal texts one is scored for all, unless windows are drawn for each row.

    Args:
        model: The model.
        texts: One array of strings per text role; NULL where there is none.
        rows: Hash of each row's key.
        mended: Whether the row's text was mended before.
        output: What is written.
        inputs: What ``inputs_of`` returned of these, if it was called beforehand.

    Returns:
        A struct per row with the prediction columns, ``status``, ``error`` and ``truncated``; NULL predictions where
        the status is not 'ok'.
    """
    given = inputs or inputs_of(model, texts, rows)
    found = _scored(model, given, output)
    if given.codes is not None:
        found = {name: values.take(pa.array(given.codes)) for name, values in found.items()}
    noted = pc.and_(mended, pc.equal(found["status"], OK))
    found["error"] = pc.if_else(noted, pa.scalar(MENDED, pa.string()), found["error"])
    return pa.StructArray.from_arrays(list(found.values()), names=list(found))


def distinct(texts: Sequence[pa.Array]) -> tuple[np.ndarray, np.ndarray]:
    """Find equal inputs.

    Args:
        texts: One array of strings per text role.

    Returns:
        Number of the first row of each different input, in the order in which they come; and for each row, which of
        these inputs it has.
    """
    codes = _codes(texts[0])
    for text in texts[1:]:
        more = _codes(text)
        codes = codes * (more.max(initial=0) + 1) + more
    _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return first[order], rank[inverse]


def _codes(text: pa.Array) -> np.ndarray:
    return text.dictionary_encode(null_encoding="encode").indices.to_numpy(zero_copy_only=False).astype(np.int64)


def _by_text_alone(model: Model) -> bool:
    """Whether a row's result depends on nothing but its texts: not where windows are drawn by the row's key."""
    engine = model.engine if isinstance(model, Processed) else model
    return engine.setup.encoder is None or not engine.setup.encoder.window.random


def _scored(model: Model, given: Inputs, output: Output) -> dict[str, pa.Array]:
    if isinstance(model, Processed):
        frame = model.score(given.texts, rows=given.rows)
        return {name: to_arrow(frame[name].tolist(), kind) for name, kind in ddl.fields(output.schema)}
    judged = judge(model, given.asked or ask(given.texts, rows=given.rows))
    found = judged.arrays(output.most_scores) if len(judged.good) else {}
    if found is None:
        frame = judged.frame()
        predictions = {name: to_arrow(frame[name].tolist(), kind) for name, kind in ddl.fields(output.fields)}
    else:
        predictions = {name: _placed(found.get(name), judged.good, len(given.texts[0]), kind) for name, kind in ddl.fields(output.fields)}
    status: Mapping[str, np.ndarray] = {"status": judged.status, "error": judged.error, "truncated": judged.truncated}
    return predictions | {name: pa.array(status[name], arrow_type(kind)) for name, kind in ddl.fields(STATUS_FIELDS)}


def _placed(values: pa.Array | None, good: np.ndarray, size: int, kind: str) -> pa.Array:
    """Put the values of the rows that have a prediction in their places, NULL elsewhere."""
    if values is None:
        return pa.nulls(size, arrow_type(kind))
    if len(good) == size:
        return values
    places = np.full(size, -1, dtype=np.int64)
    places[good] = np.arange(len(good))
    return values.take(pa.array(places, mask=places < 0))


def to_arrow(values: Sequence[object], kind: str) -> pa.Array:
    """Return plain Python values as an array of a type given as DDL; a NaN is NULL, as pandas means it."""
    wanted = arrow_type(kind)
    return pa.array(_with_pairs(values, wanted), wanted, from_pandas=True)


def _with_pairs(values: object, wanted: pa.DataType) -> object:
    """Return the values with lists of pairs for mappings, wherever these stand: what Arrow takes for a map."""
    if not _holds_map(wanted):
        return values
    return [_pairs(value, wanted) for value in values]  # type: ignore[attr-defined]


def _pairs(value: object, wanted: pa.DataType) -> object:
    if value is None or not _holds_map(wanted):
        return value
    if pa.types.is_map(wanted):
        return [(key, _pairs(one, wanted.item_type)) for key, one in value.items()]  # type: ignore[attr-defined]
    if pa.types.is_list(wanted):
        return [_pairs(one, wanted.value_type) for one in value]  # type: ignore[attr-defined]
    return {field.name: _pairs(value.get(field.name), field.type) for field in wanted}  # type: ignore[attr-defined]


def _holds_map(wanted: pa.DataType) -> bool:
    return pa.types.is_map(wanted) or any(_holds_map(wanted.field(i).type) for i in range(wanted.num_fields))


def arrow_type(kind: str) -> pa.DataType:
    """Return the Arrow type of a type given as DDL, as ``ddl.caster`` reads it.

    Raises:
        ValueError: There is no such type.
    """
    head, opening, inner = kind.strip().partition("<")
    head, inner = head.strip().lower(), inner.removesuffix(">")
    if not opening and head in _SIMPLE:
        return _SIMPLE[head]
    if head == "array":
        return pa.list_(arrow_type(inner))
    if head == "map":
        key, _, value = inner.partition(",")
        return pa.map_(arrow_type(key), arrow_type(value))
    if head == "struct":
        return pa.struct([(name, arrow_type(one)) for name, one in ddl.fields(inner, separator=":")])
    raise ValueError(f"{kind.strip()!r} is not a type")


_SIMPLE = {
    "string": pa.string(),
    "double": pa.float64(),
    "float": pa.float32(),
    "boolean": pa.bool_(),
    "binary": pa.binary(),
    "int": pa.int32(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "long": pa.int64(),
}
