"""The engine of a scoring job: measured in a worker on rows of the table itself, chosen, and told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd
from pyspark.sql import functions as F

from sparknlp_ft.progress import log
from sparknlp_ft.scoring.choice import (
    MEASURED_FROM,
    REFERENCE,
    SAMPLE,
    as_plain,
    candidates,
    from_plain,
    pick,
)
from sparknlp_ft.scoring.columns import Model, Output
from sparknlp_ft.scoring.engines.settings import FLOAT32
from sparknlp_ft.scoring.measuring import calibration_rows, measure
from sparknlp_ft.scoring.udf import task_device
from sparknlp_ft.steps.deployment import Deployment, Engines
from sparknlp_ft.steps.job import Job
from sparknlp_ft.tables.contracts import Roles, clean_text
from sparknlp_ft.tables.names import column
from sparknlp_ft.tables.session import slots
from sparknlp_ft.tables.watch import spark_step

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


def settle_engine(job: Job, deployment: Deployment, stale: DataFrame, rows: int, roles: Roles) -> Callable[..., Column]:
    """Return what scores the rows: torch in float32, or what was found faster on some of them and decides the same.

    Args:
        job: ``score.engine``, ``score.precision`` and ``score.min_agreement`` count.
        deployment: The model.
        stale: The rows to score.
        rows: How many they are.
        roles: Key and texts.

    Raises:
        ConfigError: No such engine computes in the number format that is asked for.
        ModelError: The engine that is asked for cannot be used in the workers.
    """
    score, engines = job.config.score, deployment.engines
    if engines is None:
        return deployment.score
    each = rows // slots(job.spark)
    wanted = candidates(score.engine, score.precision, each)
    usual = REFERENCE[0] if score.engine == "auto" else score.engine
    if each < MEASURED_FROM or (score.engine != "auto" and score.precision == FLOAT32):
        if score.precision != FLOAT32:
            log.info("engine: %s %s; for fewer than %s rows a task nothing else is measured", usual, FLOAT32, f"{MEASURED_FROM:,}")
        return engines.scorer(engine=usual, precision=FLOAT32)
    with spark_step(f"measuring engines on {SAMPLE} rows", job.spark):
        measured, calibration = _measured(engines, sample(stale, roles, rows), wanted, score.min_agreement)
    chosen, lines = pick(measured, score.engine, score.min_agreement)
    for line in lines:
        log.info("engine %s", line)
    log.info("engine: %s is used", chosen.name)
    more = {"calibration": calibration} if chosen.precision == "int8" else {}
    return engines.scorer(engine=chosen.engine, precision=chosen.precision, deferral=chosen.deferral, **more)


def sample(stale: DataFrame, roles: Roles, rows: int) -> DataFrame:
    """Return the texts of some rows, spread over the table by a hash of their keys, in one partition."""
    each = max(1, rows // (2 * SAMPLE))
    chosen = stale.where(F.pmod(F.xxhash64(*[column(key) for key in roles.key]), F.lit(each)) == 0)
    return chosen.select(*[clean_text(column(name)).alias(role) for role, name in roles.texts]).limit(SAMPLE)


def _measured(
    engines: Engines, texts: DataFrame, wanted: Sequence[tuple[str, str]], least: float
) -> tuple[list[Any], list[tuple[str, ...]]]:
    load, output = partial(engines.load, **engines.settings), engines.output
    found = texts.mapInPandas(partial(_in_worker, load=load, wanted=list(wanted), output=output, least=least), "found string").first()
    if found is None:
        raise RuntimeError("measuring engines gave nothing back")
    values = json.loads(found["found"])
    return from_plain(values["measured"]), [tuple(row) for row in values["calibration"]]


def _in_worker(
    frames: Iterator[pd.DataFrame], *, load: Callable[..., Model], wanted: list[tuple[str, str]], output: Output, least: float
) -> Iterator[pd.DataFrame]:
    parts = list(frames)
    if not parts or not sum(map(len, parts)):
        yield pd.DataFrame({"found": [json.dumps({"measured": as_plain(from_plain([])), "calibration": []})]})
        return
    frame = pd.concat(parts, ignore_index=True)
    texts = [[text if isinstance(text, str) else None for text in frame[name]] for name in frame.columns]
    measured = measure(partial(load, task_device()), texts, wanted, output, least)
    yield pd.DataFrame({"found": [json.dumps({"measured": as_plain(measured), "calibration": calibration_rows(texts)})]})
