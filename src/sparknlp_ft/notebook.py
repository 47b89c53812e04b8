"""The commands as functions, for notebooks: the session is the notebook's own, the results are objects, errors are exceptions.

Settings are those of the command line and of a YAML file, as keyword arguments:

    import sparknlp_ft as ft

    ft.train(spark, table="main.support.tickets", text="body", label="queue", key="ticket_id", train={"epochs": 3})
    ft.evaluate(spark, table="main.support.tickets", text="body", label="queue", key="ticket_id")
    ft.score(spark, table="main.support.tickets", text="body", label="queue", key="ticket_id")

A keyword is one of

* ``config``: a YAML file, or a mapping of sections; keywords win over it,
* a section with some of its settings: ``train={"epochs": 3}``, ``data={"validation_fraction": 0.1}``,
* a setting by its dotted name, in a mapping: ``**{"train.epochs": 3}``,
* a setting of ``data`` by its own name: ``table``, ``task``, ``key``, ``version``, ``root``, ``sources``, …,
* the column of a role: ``text="body"``, ``label="queue"``, ``entities="spans"`` (beside it, settings of the section ``text`` are given
  by their dotted names: ``**{"text.max_length": 64}``),
* ``model``: the base model of ``train`` and ``compare``, the model to use of ``score``, ``evaluate`` and ``promote``, the model to
  package of ``package``.

Every result has attributes, is a readable text as ``str``, and is shown by notebooks as a small page. What the user can mend is
raised as ``UserError`` or a kind of it, with the message that the command line prints.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from sparknlp_ft.commands import command, perform
from sparknlp_ft.config import Config, DataConfig, load_config
from sparknlp_ft.errors import ConfigError, LaunchError, nearest
from sparknlp_ft.progress import setup_logging
from sparknlp_ft.steps.command import Option
from sparknlp_ft.tasks.registry import all_tasks
from sparknlp_ft.tracking.addresses import keep_config_secret
from sparknlp_ft.versions import require_libraries

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from sparknlp_ft.comparing.comparison import Comparison
    from sparknlp_ft.pipelines.package import Packaged
    from sparknlp_ft.pipelines.promote import Promotion
    from sparknlp_ft.pipelines.score import ScoreResult
    from sparknlp_ft.pipelines.train import TrainOutcome
    from sparknlp_ft.reports.profile import Profile
    from sparknlp_ft.steps.evaluation import Evaluation

Given = str | Path | Mapping[str, Any] | None

#: Which setting the keyword ``model`` is, by command.
_MODEL = {"score": "score.model", "evaluate": "score.model", "promote": "score.model", "package": "package.model"}


def ingest(spark: SparkSession, *, config: Given = None, **settings: Any) -> Profile:
    """Read ``sources`` into a Delta table; returns what the table holds.

    Args:
        spark: The session; it is used and not stopped.
        config: A YAML file, or a mapping of sections.
        settings: See the module.

    Raises:
        UserError: What can be mended: says what, which value, what was expected, what to do.
    """
    result: Profile = _perform("ingest", spark, config, settings)
    return result


def train(spark: SparkSession, *, config: Given = None, **settings: Any) -> TrainOutcome:
    """Fine-tune on a table, register the model, and move the alias if it is better; arguments and errors as of ``ingest``."""
    result: TrainOutcome = _perform("train", spark, config, settings)
    return result


def score(spark: SparkSession, *, config: Given = None, **settings: Any) -> ScoreResult:
    """Score what is new or changed in a table, merged into its predictions table; arguments and errors as of ``ingest``."""
    result: ScoreResult = _perform("score", spark, config, settings)
    return result


def evaluate(spark: SparkSession, *, split: str = "test", wrong: int = 0, config: Given = None, **settings: Any) -> Evaluation:
    """Hold a registered model against labelled rows; arguments and errors as of ``ingest``, and:

    Args:
        spark: The session.
        split: 'test', 'validation', 'train' or 'all'.
        wrong: Show so many of the most wrong rows in the report, with their texts; none leaves the table otherwise.
        config: A YAML file, or a mapping of sections.
        settings: See the module.
    """
    result: Evaluation = _perform("evaluate", spark, config, settings, split=split, wrong=wrong)
    return result


def compare(spark: SparkSession, *, search: int | None = None, config: Given = None, **settings: Any) -> Comparison:
    """Measure candidates and cheap baselines on one table; arguments and errors as of ``ingest``, and:

    Args:
        spark: The session.
        search: Also try so many settings of ``compare.search``.
        config: A YAML file, or a mapping of sections.
        settings: See the module.
    """
    result: Comparison = _perform("compare", spark, config, settings, search=search)
    return result


def promote(spark: SparkSession, *, config: Given = None, **settings: Any) -> Promotion:
    """Give a model the alias if it passes the gate; arguments and errors as of ``ingest``."""
    result: Promotion = _perform("promote", spark, config, settings)
    return result


def package(spark: SparkSession | None = None, *, config: Given = None, **settings: Any) -> Packaged:
    """Register a model that was not trained here; arguments and errors as of ``ingest``; no session is needed."""
    result: Packaged = _perform("package", spark, config, settings)
    return result


def settings_of(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return keywords as settings by their dotted names.

    Args:
        name: Of the command.
        settings: Keywords, see the module.

    Raises:
        ConfigError: A keyword is none of these.
    """
    roles = {role for task in all_tasks().values() for role in (*task.text_roles, *task.optional_roles, task.target_role)}
    found: dict[str, Any] = {}
    for keyword, value in settings.items():
        if "." in keyword:
            found[keyword] = value
        elif keyword in Config.model_fields and isinstance(value, Mapping):
            found |= {f"{keyword}.{key}": inner for key, inner in value.items()}
        elif keyword == "model":
            found[_MODEL.get(name, "model.base")] = value
        elif keyword in roles and isinstance(value, str):
            found[f"data.columns.{keyword}"] = value
        elif keyword in DataConfig.model_fields:
            found[f"data.{keyword}"] = value
        else:
            raise _unknown(keyword, value, roles)
    return found


def _unknown(keyword: str, value: object, roles: set[str]) -> ConfigError:
    if keyword in Config.model_fields:
        return ConfigError(f"{keyword}: {value!r} — expected a mapping of settings, for example {keyword}={{…}}")
    valid = [*DataConfig.model_fields, *sorted(roles), *Config.model_fields]
    return ConfigError(
        f"{keyword!r} is not a setting.{nearest(keyword, valid)} Give a section (train={{'epochs': 3}}), a setting of data "
        f"({', '.join(DataConfig.model_fields)}) or the column of a role ({', '.join(sorted(roles))})"
    )


def _perform(name: str, spark: SparkSession | None, config: Given, settings: Mapping[str, Any], **options: Any) -> Any:
    setup_logging()
    require_libraries()
    needs = command(name)
    if needs.needs_spark:
        _require_session(name, spark)
    path, values = (None, config) if isinstance(config, Mapping) else (config, {})
    resolved = load_config(path, need_table=needs.needs_table, given=values, settings=settings_of(name, settings))
    keep_config_secret(resolved)
    given = {one.name: _left_out(one) for one in needs.options} | options
    arguments = Namespace(config=None if path is None else str(path), overrides=[], **given)
    return perform(name, resolved, arguments, lambda: spark)


def _left_out(option: Option) -> Any:
    """Return what the command line gives where an option is left out."""
    return option.settings.get("default", False if option.settings.get("action") == "store_true" else None)


def _require_session(name: str, spark: object) -> None:
    from sparknlp_ft.tables.session import require_delta

    if not hasattr(spark, "read") or not hasattr(spark, "sql"):
        raise LaunchError(
            f"ft.{name}: {type(spark).__name__!r} is no Spark session; give the notebook's Spark session: ft.{name}(spark, …)"
        )
    require_delta(cast("SparkSession", spark))
