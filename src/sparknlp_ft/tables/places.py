"""Targets that say where something stands in a text (answers, entities): which of them cannot be right, row by row.

Found by Spark before anything is tokenised, so that all of them are told together, each with its row's key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from sparknlp_ft.config import DataConfig
from sparknlp_ft.errors import DataError
from sparknlp_ft.progress import log
from sparknlp_ft.tables import contracts
from sparknlp_ft.tables.contracts import Roles
from sparknlp_ft.tables.names import column
from sparknlp_ft.tables.targets import answer_list, entity_list
from sparknlp_ft.versions import valid_utf8

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from sparknlp_ft.tasks import Task

#: Kinds of targets that name places in a text.
PLACED = ("answers", "entities")
#: Rows that a message names.
SHOWN_ROWS = 5
_BAD = "__bad"


def misplaced(df: DataFrame, roles: Roles, task: Task) -> Column | None:
    """Return what is wrong with the places in a row's target, NULL where nothing is; None if such targets name no places.

    Nothing of the text itself is in it. Of several wrong places the first is told, and how many more there are.
    """
    if roles.target is None or task.target_kind not in PLACED:
        return None
    text = _text(roles)
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


def placed(df: DataFrame, roles: Roles, data: DataConfig, task: Task) -> Column | None:
    """Return the target as ``data.on_misplaced`` wants it, NULL where the row is left out; None if it wants nothing changed.

    Answers are repaired by their text: they are moved to where it stands next to the start that they give, and without a start to
    the one place where it stands. A row with an answer that stands nowhere is left out.
    """
    problem = misplaced(df, roles, task)
    if data.on_misplaced == "fail" or problem is None or roles.target is None:
        return None
    if data.on_misplaced == "drop":
        return F.when(problem.isNull(), column(roles.target))
    text = _text(roles)
    moved = F.transform(answer_list(df, roles.target), lambda one: one.withField("start", _nearest(one, text)))
    return F.when(F.forall(moved, lambda one: _stands(one, text)), moved)


def tell_places(df: DataFrame, roles: Roles, data: DataConfig, task: Task) -> None:
    """Say how many usable rows ``placed`` repairs, how many it leaves out, and which those are."""
    target, problem = placed(df, roles, data, task), misplaced(df, roles, task)
    if target is None or problem is None:
        return
    bad = df.where(_used(roles, data) & problem.isNotNull()).withColumn(_BAD, F.when(target.isNull(), problem))
    counts = bad.agg(F.count("*"), F.count(_BAD)).first()
    assert counts is not None  # An aggregate is one row.
    rows, out = counts
    told = [f"{rows - out:,} row(s) have answers that are moved to where their text stands"] if rows > out else []
    told += [f"{out:,} row(s) are left out: {_examples(bad.where(F.col(_BAD).isNotNull()), roles, out)}"] if out else []
    log.info("data.on_misplaced=%s: %s", data.on_misplaced, "; ".join(told) or "every target stands where it says")


def check_places(df: DataFrame, roles: Roles, data: DataConfig, task: Task) -> None:
    """Prove that what the targets of usable rows name stands where they say.

    Raises:
        DataError: Some does not; says in how many rows, and the keys of the first.
    """
    problem = misplaced(df, roles, task)
    if problem is None:
        return
    bad = df.where(_used(roles, data)).withColumn(_BAD, problem).where(F.col(_BAD).isNotNull())
    if not (rows := bad.count()):
        return
    raise DataError(
        f"{rows} row(s) have a target that is not in their text (by key {', '.join(roles.key)!r}): {_examples(bad, roles, rows)}. "
        f"Offsets count characters from 0, {'end exclusive' if task.target_kind == 'entities' else 'and the answer is what stands there'}. "
        f"{advice(task)}"
    )


def advice(task: Task) -> str:
    """Return what to do about targets that do not stand where they say; empty for targets that name no places."""
    if task.target_kind not in PLACED:
        return ""
    repair = ", or have them moved to where their text stands with data.on_misplaced=repair" if task.target_kind == "answers" else ""
    return f"Correct them, or leave these rows out with data.on_misplaced=drop{repair}."


def _examples(bad: DataFrame, roles: Roles, rows: int) -> str:
    keys = [column(name) for name in roles.key]
    told = [f"{_key(tuple(row)[:-1])}: {row[_BAD]}" for row in bad.orderBy(*keys).select(*keys, _BAD).limit(SHOWN_ROWS).collect()]
    return "; ".join(told) + (f"; and {rows - len(told)} more rows" if rows > len(told) else "")


def _used(roles: Roles, data: DataConfig) -> Column:
    return ~contracts.no_text(roles) & (contracts.raw_split(roles, data) != contracts.OTHER)


def _text(roles: Roles) -> Column:
    return contracts.clean_text(column(roles.texts[-1][1]))


def _key(values: tuple[object, ...]) -> str:
    return repr(values[0]) if len(values) == 1 else repr(values)


def _stands(answer: Column, text: Column) -> Column:
    found = F.substring(text, answer["start"] + 1, F.length(answer["text"]))
    return F.coalesce((found == valid_utf8(answer["text"])) & (answer["start"] >= 0), F.lit(False))


def _nearest(answer: Column, text: Column) -> Column:
    """Start of the answer's text that is nearest to the start it gives, the earlier of two; NULL if there is none, or none to choose."""
    wanted, given = valid_utf8(answer["text"]), F.greatest(answer["start"], F.lit(0))
    last = F.length(text) - F.length(wanted)
    after = F.position(wanted, text, given + 1) - 1
    before = last + 1 - F.position(F.reverse(wanted), F.reverse(text), F.greatest(last - given, F.lit(0)) + 1)
    after, before = F.when(after >= 0, after), F.when(before <= last, before)
    first = F.position(wanted, text) - 1
    alone = F.when((first >= 0) & (F.position(wanted, text, first + 2) == 0), first)
    closer = F.when(given - before <= after - given, before).otherwise(F.coalesce(after, before))
    return F.when(answer["start"].isNull(), alone).otherwise(closer)


def _inside(entity: Column, text: Column) -> Column:
    inside = (entity["start"] >= 0) & (entity["start"] < entity["end"]) & (entity["end"] <= F.length(text))
    return F.coalesce(inside & entity["label"].isNotNull(), F.lit(False))
