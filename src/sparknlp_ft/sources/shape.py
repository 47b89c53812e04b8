"""From the columns that a source has to those of the contract: which rows, labels, entities, answers, splits.

What does not fit is noted in the row, and the notes refuse the whole source: all counted, the first with file and line (``proved``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparknlp_ft.config import DataConfig, SourceConfig
from sparknlp_ft.errors import ConfigError, DataError, nearest
from sparknlp_ft.sources.conll import Entity, entities_of
from sparknlp_ft.sources.files import BadRecord, line_of, located, text_lines, whole_text
from sparknlp_ft.sources.formats import ANSWERS, ENTITIES
from sparknlp_ft.tables.contracts import Roles, no_text, text_hash
from sparknlp_ft.tables.names import column
from sparknlp_ft.tables.places import SHOWN_ROWS, misplaced
from sparknlp_ft.versions import to_double

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from sparknlp_ft.tasks import Task

#: A row's place, as columns: file path, part of the file, row within the part, where the record begins (see ``Record``).
PLACE = ("__file", "__part", "__row", "__at")
_NOTE = "__note"
_STRINGS = "array<string>"
#: hash_split is a share of this many hash classes.
_CLASSES = 1_000_000


def shaped(frame: DataFrame, source: SourceConfig) -> DataFrame:
    """Make the columns that the source's options ask for out of those that its files have.

    Raises:
        DataError: A column is missing or of another type, or a value does not fit; names file and line of the first.
    """
    if source.keep is not None:
        frame = _kept(frame, source)
    for new, name in source.join.items():
        _need_list(frame, name, source, "join")
        frame = _replaced(frame, name, new, F.array_join(column(name).cast(_STRINGS), " "))
    if source.labels is not None:
        frame = _with_labels(frame, source)
    if source.references is not None:
        _need_list(frame, source.references, source, "references")
        frame = _replaced(frame, source.references, "references", column(source.references).cast(_STRINGS))
        frame = frame.withColumn("summary", F.get(column("references"), F.lit(0)))
    if source.entities is not None:
        frame = _with_entities(frame, source)
    return proved(_with_answers(frame), source)


def with_places(frame: DataFrame, roles: Roles, data: DataConfig, task: Task) -> DataFrame:
    """Note targets that name places where what they say does not stand, unless such rows are to be left out of training."""
    problem = misplaced(frame, roles, task)
    return frame if problem is None or data.on_misplaced != "fail" else _noted(frame, F.when(~no_text(roles), problem))


def with_names(frame: DataFrame, source: SourceConfig, roles: Roles) -> DataFrame:
    """Replace labels as ``label_map`` says, and note the first that it has not; rows without label stay so.

    Raises:
        DataError: The rows have no label column, or the file of names cannot be used.
    """
    names = label_names(source)
    if roles.target is None:
        raise DataError(f"source {source.path!r} has a label_map, and no label column: {_listed(frame)}. Map one with data.columns.")
    kind = frame.schema[roles.target].dataType
    listed = isinstance(kind, T.ArrayType)
    if (isinstance(kind, T.ArrayType) and isinstance(kind.elementType, T.StructType)) or isinstance(kind, (T.StructType, T.MapType)):
        raise DataError(f"source {source.path!r}: label_map is for labels, and {roles.target!r} is of type {kind.simpleString()}")
    table = F.create_map(*[F.lit(part) for pair in names.items() for part in pair])
    values = column(roles.target).cast(_STRINGS if listed else "string")
    unknown = F.array_compact(values if listed else F.array(values))
    unknown = F.get(F.filter(unknown, lambda one: ~F.array_contains(F.map_keys(table), one)), F.lit(0))
    message = F.concat(F.lit("label '"), unknown, F.lit(f"' is not among the {len(names)} of label_map ({_some(names)})"))
    mapped = F.transform(values, lambda one: F.try_element_at(table, one)) if listed else F.try_element_at(table, values)
    return _noted(frame, message).withColumn(roles.target, mapped)


def with_numbers(frame: DataFrame, target: str) -> DataFrame:
    """Make the target a double, and note the first value that is no finite number; blank is no target."""
    text = F.trim(column(target).cast("string"))
    number = to_double(text)
    finite = number.isNotNull() & ~F.isnan(number) & (F.abs(number) != float("inf"))
    message = F.concat(F.lit(f"{target} is '"), text, F.lit("', expected a number"))
    return _noted(frame, F.when((text != "") & ~finite, message)).withColumn(target, F.when(text != "", number))


def with_hash_split(frame: DataFrame, source: SourceConfig, roles: Roles, split_column: str | None) -> DataFrame:
    """Give rows without an official split one, by a hash of their texts: equal texts fall on one side, each time.

    Raises:
        ConfigError: There is no column for splits, or the rows have one already.
    """
    if split_column is None:
        raise ConfigError(f"source {source.path!r} has hash_split, but data.split_column is null: name a column for it")
    if split_column in frame.columns:
        raise ConfigError(f"source {source.path!r} has hash_split, but its rows have column {split_column!r}: leave hash_split out")
    place = text_hash(roles, "hash split", _CLASSES)
    split, end = F.lit(source.split or "train"), 0.0
    for name, share in reversed(source.hash_split.items()):
        end += share
        split = F.when((place < round(end * _CLASSES)) & (place >= round((end - share) * _CLASSES)), name).otherwise(split)
    return frame.withColumn(split_column, split)


def proved(frame: DataFrame, source: SourceConfig, key: Sequence[str] = (), advice: str = "") -> DataFrame:
    """Return the rows if none has a note.

    Args:
        frame: Rows with their place.
        source: Where they come from.
        key: Columns whose values tell a row apart, if they are there already.
        advice: What to do about the notes there can be, where that is known.

    Raises:
        DataError: Some have; says how many, and where the first of them stand.
    """
    if _NOTE not in frame.columns:
        return frame
    keys = [column(name) for name in key or [name for name in ("id",) if name in frame.columns]]
    noted = frame.where(F.col(_NOTE).isNotNull())
    first = noted.orderBy(*PLACE[:3]).select(PLACE[0], PLACE[2], PLACE[3], _NOTE, *keys).limit(SHOWN_ROWS + 1).collect()
    if not first:
        return frame.drop(_NOTE)
    told = [str(_located(tuple(one), source)).removesuffix(". Nothing was written.") for one in first[:SHOWN_ROWS]]
    rows = 1 if len(first) == 1 else noted.count()
    many = f"{rows} rows do not fit: " if rows > 1 else ""
    more = f"; and {rows - SHOWN_ROWS} more" if rows > SHOWN_ROWS else ""
    raise DataError(f"{many}{'; '.join(told)}{more}. {advice}{' ' if advice else ''}Nothing was written.")


def _located(noted: tuple[Any, ...], source: SourceConfig) -> DataError:
    """Return what is wrong with a noted row, and where it stands."""
    path, row, at, note, *key = noted
    line = 0 if at is None else line_of(path, source, at)
    place = [] if line else [f"row {row + 1}"]
    if key and not line:
        place.append(f"key {key[0] if len(key) == 1 else tuple(key)!r}")
    return located(path, BadRecord(line, f"{', '.join(place)}: {note}" if place else note))


def label_names(source: SourceConfig) -> dict[str, str]:
    """Return what ``label_map`` says: label → name.

    Raises:
        DataError: Its file is missing or holds something else.
    """
    given = source.label_map
    found = _values_in(given, "label_map") if isinstance(given, str) else given or {}
    pairs = found.items() if isinstance(found, dict) else enumerate(found)
    names = {str(label): name for label, name in pairs if isinstance(name, str)}
    if not names or len(names) < len(found):
        raise DataError(f"label_map {given!r} names no labels: expected names in order, or a mapping label → name")
    return names


def kept_values(source: SourceConfig) -> list[str]:
    """Return the values that ``keep`` names, as strings.

    Raises:
        DataError: Its file is missing or holds something else.
    """
    keep = source.keep
    assert keep is not None
    values: object = keep.values
    if keep.file is not None:
        values = _values_in(keep.file, "keep.file")
        if isinstance(values, dict):
            lists = [key for key, value in values.items() if isinstance(value, list)]
            if keep.key not in lists:
                raise DataError(
                    f"keep.key {keep.key!r} is no list of {keep.file!r}.{nearest(str(keep.key), lists)} Lists: {', '.join(lists)}"
                )
            values = values[keep.key]
    if not isinstance(values, list) or not values:
        raise DataError(f"keep: {keep.file or keep.values!r} holds no list of values; expected one value per line, or a JSON list")
    return [str(value).lower() if isinstance(value, bool) else str(value) for value in values]


def _values_in(path: str, option: str) -> list[str] | dict[str, object]:
    """Read a list or mapping from a JSON file, or a list from the lines of any other."""
    try:
        plain = SourceConfig(format="json", path=path)
        if path.endswith(".json"):
            values = json.loads(whole_text(path, plain))
            if isinstance(values, (list, dict)):
                return values
            raise DataError(f"{option}: {path!r} holds neither a JSON list nor a JSON object")
        lines = [line.strip() for _, line in text_lines(path, plain)]
    except OSError as error:
        raise DataError(f"{option}: {path!r} cannot be read: {error}") from error
    except BadRecord as error:
        raise located(path, error) from error
    except json.JSONDecodeError as error:
        raise DataError(f"{option}: {path!r}, line {error.lineno}: not JSON ({error.msg})") from error
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _kept(frame: DataFrame, source: SourceConfig) -> DataFrame:
    assert source.keep is not None
    _need(frame, source.keep.column, source, "keep.column")
    return frame.where(column(source.keep.column).cast("string").isin(kept_values(source)))


def _with_labels(frame: DataFrame, source: SourceConfig) -> DataFrame:
    assert source.labels is not None
    if source.labels.columns is not None:
        return _with_flagged_labels(frame, source, source.labels.columns)
    name = source.labels.column or ""
    _need(frame, name, source, "labels.column")
    if isinstance(frame.schema[name].dataType, T.ArrayType):
        values = column(name).cast(_STRINGS)
    else:
        # An empty field of a file is NULL here: a row without labels is a row.
        parts = F.split(F.coalesce(column(name).cast("string"), F.lit("")), re.escape(source.labels.separator))
        values = F.filter(F.transform(parts, lambda one: F.trim(one)), lambda one: one != "")
    return _replaced(frame, name, "labels", F.array_distinct(F.array_compact(values)))


def _with_flagged_labels(frame: DataFrame, source: SourceConfig, names: list[str]) -> DataFrame:
    for name in names:
        _need(frame, name, source, "labels.columns")
        text = F.coalesce(column(name).cast("string"), F.lit(""))
        message = F.concat(F.lit(f"column {name!r} holds '"), text, F.lit("', expected 0 or 1"))
        frame = _noted(frame, F.when(~_flag(name).isin(0.0, 1.0), message))
    labels = F.array_compact(F.array(*[F.when(_flag(name) == 1.0, name) for name in names]))
    others = [name for name in frame.columns if name not in names]
    return frame.select(*[column(name) for name in others], labels.alias("labels"))


def _flag(name: str) -> Column:
    text = F.trim(column(name).cast("string"))
    named = F.when(F.lower(text) == "true", 1.0).when(F.lower(text) == "false", 0.0)
    return F.coalesce(named, to_double(text), F.lit(-1.0))


def _with_entities(frame: DataFrame, source: SourceConfig) -> DataFrame:
    assert source.entities is not None
    names = [source.entities["tokens"], source.entities["tags"]]
    for name in names:
        _need_list(frame, name, source, "entities")

    # Without a wrapper Spark would read the type hints, and warn that it cannot.
    made = F.udf(lambda tokens, tags: _joined(tokens, tags), f"text string, entities {ENTITIES}, note string")
    found = frame.withColumn(_NOTE + "d", made(*[column(name).cast(_STRINGS) for name in names]))
    found = _noted(found, F.col(f"{_NOTE}d.note"))
    found = found.withColumn("text", F.col(f"{_NOTE}d.text")).withColumn("entities", F.col(f"{_NOTE}d.entities"))
    return found.drop(_NOTE + "d", *names)


def _joined(tokens: list[str] | None, tags: list[str] | None) -> tuple[str | None, list[Entity] | None, str | None]:
    """Return text, entities and what is wrong; without tags the text alone."""
    if tokens is None or None in tokens or None in (tags or []):
        return None, None, "a token or tag is NULL"
    try:
        text, entities = entities_of(tokens, ["O"] * len(tokens) if tags is None else tags)
    except ValueError as error:
        return None, None, str(error)
    return text, None if tags is None else entities, None


def _with_answers(frame: DataFrame) -> DataFrame:
    """Bring answers as the Hub keeps them ({text: […], answer_start: […]}) or as SQuAD writes them to the contract's form."""
    if not {"answers", "context"} <= set(frame.columns):
        return frame
    kind, answers = frame.schema["answers"].dataType, column("answers")
    if isinstance(kind, T.StructType) and set(kind.names) == {"text", "answer_start"}:
        text, start = answers["text"].cast(_STRINGS), answers["answer_start"].cast("array<int>")
        unequal = F.when(F.size(text) != F.size(start), "numbers of answer texts and of answer_start differ")
        frame, pairs = _noted(frame, unequal), F.arrays_zip(text.alias("text"), start.alias("start"))
    elif (
        isinstance(kind, T.ArrayType)
        and isinstance(kind.elementType, T.StructType)
        and {"text", "answer_start"} <= set(kind.elementType.names)
    ):
        pairs = F.transform(answers, lambda one: F.struct(one["text"].alias("text"), one["answer_start"].alias("start")))
    else:
        return frame
    return frame.withColumn("answers", pairs.cast(ANSWERS))


def _noted(frame: DataFrame, note: Column) -> DataFrame:
    """Note what is wrong with a row (NULL: nothing); an earlier note stays."""
    return frame.withColumn(_NOTE, F.coalesce(F.col(_NOTE), note) if _NOTE in frame.columns else note)


def _replaced(frame: DataFrame, old: str, new: str, value: Column) -> DataFrame:
    made = frame.withColumn(new, value)
    return made if old == new else made.drop(old)


def _need(frame: DataFrame, name: str, source: SourceConfig, option: str) -> None:
    if name not in frame.columns:
        own = [other for other in frame.columns if other not in (*PLACE, _NOTE)]
        raise DataError(f"source {source.path!r} has no column {name!r}, which {option} names.{nearest(name, own)} {_listed(frame)}")


def _need_list(frame: DataFrame, name: str, source: SourceConfig, option: str) -> None:
    _need(frame, name, source, option)
    kind = frame.schema[name].dataType
    if not isinstance(kind, T.ArrayType):
        raise DataError(f"source {source.path!r}: {option} needs a list, and column {name!r} is of type {kind.simpleString()}")


def _listed(frame: DataFrame) -> str:
    return "Columns: " + ", ".join(name for name in frame.columns if name not in (*PLACE, _NOTE))


def _some(names: dict[str, str]) -> str:
    return ", ".join(list(names)[:5]) + (", …" if len(names) > 5 else "")
