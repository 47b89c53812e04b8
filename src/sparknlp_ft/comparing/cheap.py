"""The cheap baselines of a comparison: measured on its table, each with a run of its own below the comparison's."""

from __future__ import annotations

from dataclasses import replace

from sparknlp_ft.comparing.contest import log_entry
from sparknlp_ft.errors import ConfigError
from sparknlp_ft.reports.leaderboard import Entry
from sparknlp_ft.steps.baselines import measure_baselines
from sparknlp_ft.steps.job import Job
from sparknlp_ft.tracking.store import Store, start_run


def compared_baselines(job: Job, measure: str) -> list[Entry]:
    """Measure and log the baselines.

    Raises:
        ConfigError: This table's labels do not have the metric (F1 of more than two, say); nothing was trained.
        DataError: The table does not keep the contract.
    """
    entries = [_logged(job.store, entry) for entry in measure_baselines(job)]
    known = next((entry.validation for entry in entries if entry.validation), {measure: 0.0})
    if measure not in known:
        raise ConfigError(f"compare.measure: {measure!r} is not a metric of this table's labels. Valid: {', '.join(sorted(known))}")
    return entries


def _logged(store: Store, entry: Entry) -> Entry:
    with start_run(store, f"baseline {entry.name}", tags={"candidate": entry.name}, system_metrics=False) as run:
        run.log_settings(entry.settings)
        log_entry(run, entry)
    return replace(entry, run_id=run.run_id)
