"""What ``compare`` is to compare, checked: the configuration of each candidate, and the space of a search."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from sparknlp_ft.config import MODEL_SECTIONS, Config, with_settings
from sparknlp_ft.errors import ConfigError, nearest

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

#: Name of the one candidate where none are given.
AS_CONFIGURED = "as configured"


@dataclass(frozen=True)
class Candidate:
    """A candidate: its name, the settings that make it another one, and the configuration with them."""

    name: str
    settings: Mapping[str, Any]
    config: Config


#: Where a search looks, by dotted setting: Optuna's distributions. Choices are JSON: Optuna takes plain values alone.
Space = dict[str, "BaseDistribution"]


def candidates_of(config: Config) -> list[Candidate]:
    """Return the candidates.

    Raises:
        ConfigError: A setting of one does not exist, does not fit, or is none that candidates may change.
    """
    if config.compare.candidates is None:
        return [Candidate(AS_CONFIGURED, {}, config)]
    return [Candidate(one.name, one.set, changed(config, one.set, f"compare.candidates: {one.name}")) for one in config.compare.candidates]


def changed(config: Config, settings: Mapping[str, Any], where: str) -> Config:
    """Return the configuration with settings of a candidate or a trial.

    Raises:
        ConfigError: See ``candidates_of``.
    """
    for dotted in settings:
        section, _, key = dotted.partition(".")
        if section not in MODEL_SECTIONS or not key:
            raise ConfigError(
                f"{where}: {dotted!r} is nothing that candidates may differ in.{nearest(section, MODEL_SECTIONS)} Give section.key with "
                f"a section of {', '.join(MODEL_SECTIONS)}; data, places and scoring are the same for all"
            )
    return with_settings(config, settings, where)


def search_space(config: Config) -> Space:
    """Return the space of a search.

    Raises:
        ConfigError: A setting does not exist, or a value does not fit it.
    """
    return {dotted: _dimension(config, dotted, given) for dotted, given in config.compare.search.items()}


def _dimension(config: Config, dotted: str, given: Any) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    where = f"compare.search.{dotted}"
    if isinstance(given, list) and given:
        for value in given:
            changed(config, {dotted: value}, where)
        return CategoricalDistribution([json.dumps(value) for value in given])
    if not isinstance(given, dict) or not {"low", "high"} <= set(given) <= {"low", "high", "log"}:
        raise ConfigError(f"{where}: {given!r}; expected a list of choices, or {{low: A, high: B}}, with log: true for orders of magnitude")
    low, high, log = _number(given["low"]), _number(given["high"]), given.get("log", False)
    if not isinstance(log, bool) or any(isinstance(end, bool) or not isinstance(end, int | float) for end in (low, high)):
        raise ConfigError(f"{where}: {given!r}; expected numbers for low and high, and true or false for log")
    if not low < high or (log and low <= 0):
        raise ConfigError(f"{where}: {given!r}; low must be less than high{', and more than 0 with log' if log else ''}")
    at_ends = [changed(config, {dotted: end}, where).flat()[dotted] for end in (low, high)]
    whole = all(isinstance(end, int) for end in at_ends)
    return IntDistribution(int(low), int(high), log=log) if whole else FloatDistribution(low, high, log=log)


def _number(value: Any) -> Any:
    """Return a number that YAML takes for a text, as it does ``1e-5``."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def overrides(settings: Mapping[str, Any]) -> list[str]:
    """Return settings as they are given on the command line."""
    return [f"{dotted}={_as_yaml(value)}" for dotted, value in settings.items()]


def _as_yaml(value: Any) -> str:
    plain = isinstance(value, str) and yaml.safe_load(value) == value
    return value if plain else json.dumps(value)
