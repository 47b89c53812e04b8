"""Reading the configuration: defaults < YAML < ``section.key=value``.

All problems are reported at once, each with its dotted path, its value, what is expected and the nearest valid name. Paths
are absolute once the configuration is loaded, so that a rank or an executor with another working directory means the same
place.
"""

from __future__ import annotations

import copy
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from sparknlp_ft.config.sections import Config
from sparknlp_ft.errors import ConfigError, nearest
from sparknlp_ft.storage import is_url


def load_config(
    path: str | Path | None = None,
    overrides: Sequence[str] = (),
    *,
    base_dir: str | Path | None = None,
    need_table: bool = True,
    given: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Config:
    """Read, override, check and make absolute.

    Args:
        path: YAML file, or None for defaults and overrides alone.
        overrides: ``section.key=value`` strings; the value is parsed as YAML.
        base_dir: Folder that relative paths count from; default: the working directory.
        need_table: Whether data.table must be given: it must, except where no table is read.
        given: Sections as plain values, in place of a file.
        settings: Values by dotted names, which win over all else.

    Raises:
        ConfigError: Names every problem found.
    """
    values = _read_yaml(Path(path)) if path is not None else copy.deepcopy(dict(given or {}))
    problems: list[str] = []
    for override in overrides:
        _apply_override(values, override, problems)
    for dotted, value in (settings or {}).items():
        _place(values, dotted.split("."), value)
    if not need_table and isinstance(values.setdefault("data", {}), dict):
        values["data"].setdefault("table", "")
    where = f"in {path}" if path is not None else "on the command line" if settings is None else "as it was given"
    return _absolute(_checked(values, problems, where), Path(base_dir or Path.cwd()))


def with_settings(config: Config, settings: Mapping[str, object], where: str) -> Config:
    """Return the configuration with some settings changed, given by their dotted paths.

    Raises:
        ConfigError: Names every problem found, and ``where``.
    """
    values = config.model_dump(mode="json")
    for dotted, value in settings.items():
        _place(values, dotted.split("."), value)
    return _absolute(_checked(values, [], where), Path.cwd())


def given_settings(config: Config) -> dict[str, Any]:
    """Return the settings that are not the defaults, as sections of plain values."""
    default = _absolute(Config.model_validate({"data": {"table": ""}}), Path.cwd()).model_dump(mode="json")
    return _difference(config.model_dump(mode="json"), default)


def _difference(values: Mapping[str, Any], default: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        before = default.get(name)
        if isinstance(value, dict) and isinstance(before, dict) and before:
            if inner := _difference(value, before):
                found[name] = inner
        elif value != before:
            found[name] = value
    return found


def _checked(values: dict[str, Any], problems: list[str], where: str) -> Config:
    config = None
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        problems = problems + [_describe(problem) for problem in error.errors()]
    if problems or config is None:
        raise ConfigError(f"{len(problems)} problem(s) in the configuration ({where}):\n  " + "\n  ".join(problems))
    return config


def _read_yaml(path: Path) -> dict[str, Any]:
    if not path.is_file():
        siblings = [str(p) for p in path.parent.glob("*.yaml")] if path.parent.is_dir() else []
        raise ConfigError(f"config file {str(path)!r} does not exist.{nearest(str(path), siblings)} Give one with --config FILE.")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"config file {str(path)!r} is not YAML: {error}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"config file {str(path)!r} holds a {type(values).__name__}; expected sections such as 'data:' and 'train:'.")
    return values


def _apply_override(values: dict[str, Any], override: str, problems: list[str]) -> None:
    dotted, separator, text = override.partition("=")
    parts = dotted.strip().split(".")
    if not separator or not all(parts):
        problems.append(f"override {override!r}: expected section.key=value, for example train.epochs=3")
        return
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        problems.append(f"override {override!r}: the value is not YAML ({str(error).splitlines()[0]})")
        return
    _place(values, parts, value)


def _place(values: dict[str, Any], parts: Sequence[str], value: object) -> None:
    node: Any = values
    for part in parts[:-1]:
        child = node.get(part) if isinstance(node, dict) else None
        if not isinstance(child, dict):
            child = {}
            node[part] = child
        node = child
    node[parts[-1]] = value


def _describe(problem: Any) -> str:
    location, kind = problem["loc"], problem["type"]
    dotted = ".".join(str(part) for part in location) or "config"
    # What stands in these may be a secret: a webhook, a password, a token.
    value = "(not shown)" if location[:1] == ("tracking",) or location[:2] == ("launch", "env") else repr(problem["input"])
    if kind == "extra_forbidden":
        options = _fields_at(location[:-1])
        return f"{dotted}: no such key (value {value}).{nearest(str(location[-1]), options)} Valid: {', '.join(options)}"
    if kind == "missing":
        return f"{dotted}: required, and not given"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{dotted}: {value} — {message}" if kind != "value_error" else f"{dotted}: {message}"


def _fields_at(location: tuple[Any, ...]) -> list[str]:
    """Names of the keys valid at a place in the configuration."""
    model: type[BaseModel] = Config
    for part in location:
        if isinstance(part, int):
            continue
        inner = _section_in(model.model_fields[part].annotation)
        if inner is None:
            return []
        model = inner
    return list(model.model_fields)


def _section_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for arg in typing.get_args(annotation) if (found := _section_in(arg))), None)


def _absolute(config: Config, base: Path) -> Config:
    def fix(text: str | None) -> str | None:
        return text if text is None or is_url(text) else str(base / Path(text).expanduser())

    def fix_model(name: str) -> str:
        path = Path(name).expanduser()
        return str(base / path) if name.startswith((".", "/", "~")) or (base / path).is_dir() else name

    sources = [source.placed(fix) for source in config.data.sources]
    return config.model_copy(
        update={
            "data": config.data.model_copy(update={"root": fix(config.data.root), "sources": sources}),
            "model": config.model.placed(fix_model),
            "launch": config.launch.model_copy(update={"run_dir": fix(config.launch.run_dir)}),
            "tracking": config.tracking.placed(fix),
            "package": config.package.placed(fix, fix_model),
        }
    )
