"""Targets that say where something stands in a text (answers, entities): which of them cannot be right, row by row.

Found by Spark before anything is tokenised, so that all of them are told together, each with its row's key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from sparknlp_ft.config import DataConfig
from sparknlp_ft.errors import DataError
from sparknlp_ft.tables import contracts
from sparknlp_ft.tables.contracts import Roles
from sparknlp_ft.tables.names import column
from sparknlp_ft.tables.targets import answer_list, entity_list
from sparknlp_ft.versions import valid_utf8

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from sparknlp_ft.tasks import Task

#: Rows that a message names.
SHOWN_ROWS = 5
_BAD = "__bad"


def misplaced(df: DataFrame, roles: Roles, task: Task) -> Column | None:
    """Return what is wrong with the places in a row's target, NULL where nothing is; None if such targets name no places.

    Nothing of the text itself is in it. Of several wrong places the first is told, and how many more there are.
    """
    if roles.target is None or task.target_kind not in ("answers", "entities"):
        return None
    text = contracts.clean_text(column(roles.texts[-1][1]))
    if task.target_kind == "answers":
        wrong = F.filter(answer_list(df, roles.target), lambda one: ~_stands(one, text))
        first = F.get(wrong, F.lit(0))
        told = F.concat(F.lit("an answer does not stand at character "), first["start"], F.lit(" of its context"))
        told = F.coalesce(told, F.lit("an answer has no start"))
    else:
        wrong = F.filter(entity_list(df, roles.target), lambda one: ~_inside(one, text))
        first = F.get(wrong, F.lit(0))
        ends = (first["start"], F.lit(" to "), first["end"], F.lit(" is not in its text of "), F.length(text), F.lit(" characters"))
        told = F.concat(F.lit("an entity from character "), *ends)
        told = F.when(first["label"].isNull(), "an entity has no label").otherwise(F.coalesce(told, F.lit("an entity has no start or end")))
    more = F.when(F.size(wrong) > 1, F.concat(F.lit(" (and "), F.size(wrong) - 1, F.lit(" more in this row)"))).otherwise("")
    return F.when(F.size(wrong) > 0, F.concat(told, more))


def check_places(df: DataFrame, roles: Roles, data: DataConfig, task: Task) -> None:
    """Prove that what the targets of usable rows name stands where they say.

    Raises:
        DataError: Some does not; says in how many rows, and the keys of the first.
    """
    problem = misplaced(df, roles, task)
    if problem is None:
        return
    used = ~contracts.no_text(roles) & (contracts.raw_split(roles, data) != contracts.OTHER)
    bad = df.where(used).withColumn(_BAD, problem).where(F.col(_BAD).isNotNull())
    if not (rows := bad.count()):
        return
    keys = [column(name) for name in roles.key]
    examples = bad.orderBy(*keys).select(*keys, _BAD).limit(SHOWN_ROWS).collect()
    told = [f"{_key(tuple(row)[:-1])}: {row[_BAD]}" for row in examples]
    more = f"; and {rows - len(told)} more rows" if rows > len(told) else ""
    raise DataError(
        f"{rows} row(s) have a target that is not in their text (by key {', '.join(roles.key)!r}): {'; '.join(told)}{more}. "
        f"Offsets count characters from 0, {'end exclusive' if task.target_kind == 'entities' else 'and the answer is what stands there'}. "
        "Correct them, or leave these rows out with data.on_misplaced=drop."
    )


def _key(values: tuple[object, ...]) -> str:
    return repr(values[0]) if len(values) == 1 else repr(values)


def _stands(answer: Column, text: Column) -> Column:
    found = F.substring(text, answer["start"] + 1, F.length(answer["text"]))
    return F.coalesce((found == valid_utf8(answer["text"])) & (answer["start"] >= 0), F.lit(False))


def _inside(entity: Column, text: Column) -> Column:
    inside = (entity["start"] >= 0) & (entity["start"] < entity["end"]) & (entity["end"] <= F.length(text))
    return F.coalesce(inside & entity["label"].isNotNull(), F.lit(False))
