"""Where a result comes from, as tags of a run or of a model version: the table version, the snapshot, the libraries."""

from __future__ import annotations

import platform

from sparknlp_ft.snapshot.manifest import Manifest
from sparknlp_ft.tables.delta import Pinned
from sparknlp_ft.versions import version_of

#: Libraries whose versions a run is tagged with.
LIBRARIES = ("pyspark", "delta-spark", "torch", "transformers", "petastorm")


def source_tags(source: Pinned) -> dict[str, object]:
    """Tags that name a table version."""
    return {"source_table": source.ref.display, "source_table_id": source.table_id, "source_version": source.version}


def lineage(source: Pinned, manifest: Manifest) -> dict[str, object]:
    """Tags that lead from a run or a model version back to the table version and the snapshot it was trained on."""
    return {**source_tags(source), "snapshot": manifest.name}


def runtime() -> dict[str, str]:
    """Return the versions of Python and of the libraries that a result hangs on."""
    return {"version.python": platform.python_version()} | {f"version.{name}": found for name in LIBRARIES if (found := version_of(name))}
