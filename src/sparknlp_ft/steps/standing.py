"""How tables stand: which there are, at which version, what of them is scored, and how many rows wait for a prediction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sparknlp_ft.config import Config
from sparknlp_ft.scoring.notes import REACH, Commit, Note, note_in
from sparknlp_ft.steps.deployment import deploy, wanted_model
from sparknlp_ft.steps.prediction import find_target, plan_scoring, scoring_job
from sparknlp_ft.steps.staleness import find_stale
from sparknlp_ft.tables.delta import TableRef, files_present
from sparknlp_ft.tables.own_log import LOG, columns_of, commits_of
from sparknlp_ft.tables.session import get_session
from sparknlp_ft.tracking.overview import ModelView

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True)
class TableView:
    """A table on this machine."""

    path: str
    version: int
    columns: tuple[str, ...]
    table_id: str
    note: Note | None  #: What the merge that made it says it holds; None where that is no predictions table, or was changed since.


def list_tables(root: str) -> list[TableView]:
    """Return the Delta tables in a folder of this machine, by name; none where it is elsewhere."""
    folders = sorted(path.parent for path in Path(root).glob(f"*/{LOG}"))
    looked = [(folder, columns_of(TableRef("path", str(folder)))) for folder in folders]
    return [TableView(str(at), found.version, tuple(found.columns), found.table_id, _note(at)) for at, found in looked if found is not None]


def said_of_scores(view: TableView, tables: Sequence[TableView], models: Sequence[ModelView]) -> str:
    """Return what a predictions table holds, and what has come since: of the source, and behind the model's aliases. Empty of others."""
    note = view.note
    if note is None:
        return ""
    name, version = note.model
    source = next((one for one in tables if one.table_id == note.source), None)
    what = f"all {note.rows:,} rows of {'a table' if source is None else Path(source.path).name} version {note.version} by {name}/{version}"
    since = [] if source is None or source.version == note.version else [f"{Path(source.path).name} is at version {source.version}"]
    aliases = next((one.aliases for one in models if one.name == name), {})
    since += [f"{alias} is {name}/{other}" for alias, other in sorted(aliases.items()) if version not in aliases.values()]
    return f"{what}; since then {', '.join(since)}: `score` looks at what is new" if since else what


def _note(folder: Path) -> Note | None:
    """Return the note that still holds for a predictions table."""
    commits = (Commit(at, said.get("operation", ""), said.get("userMetadata")) for at, said in commits_of(folder, REACH))
    return found[0] if (found := note_in(commits)) is not None else None


def count_stale(config: Config, spark: SparkSession | None) -> tuple[int, int]:
    """Return how many rows ``score`` would score now, and of how many.

    Raises:
        UserError: Table or model are not there, or do not fit each other.
    """
    job = scoring_job(config, spark or get_session("sparknlp-ft status"))
    with (
        deploy(job, wanted_model(config, job.store)) as deployment,
        files_present(job.source),
        find_stale(plan_scoring(job, find_target(job), deployment)) as stale,
    ):
        return stale.number, stale.total
