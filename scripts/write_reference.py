"""Write conf/reference.yaml from the configuration's own models: every setting with its default and what it means.

Run by ``make reference``; a test holds the file in step with the models.
"""

from __future__ import annotations

import textwrap
import typing
from pathlib import Path

import yaml
from pydantic.fields import FieldInfo

from sparknlp_ft.config import Config, Section, SourceConfig

FILE = Path(__file__).parent.parent / "conf" / "reference.yaml"
HEADER = """\
# Every setting with its default. Written by `make reference`: change sparknlp_ft/config.py, not this file.
#
# Defaults < YAML file < section.key=value on the command line. A file needs only what differs, and data.table.
# Relative paths count from the working directory.
"""
#: Defaults that would not load: data.table has none.
EXAMPLES = {"data.table": "messages"}


def reference() -> str:
    """Return the text of the file."""
    return HEADER + "".join(section(name, field) for name, field in Config.model_fields.items())


def section(name: str, field: FieldInfo, *, path: str = "", indent: str = "") -> str:
    model = typing.cast("type[Section]", field.annotation)
    lines = ["" if indent else "\n", f"{indent}# {(model.__doc__ or '').strip()}\n{indent}{name}:\n"]
    for key, setting in model.model_fields.items():
        if isinstance(setting.annotation, type) and issubclass(setting.annotation, Section):
            lines.append(section(key, setting, path=f"{path}{name}.", indent=indent + "  "))
            continue
        default = EXAMPLES.get(f"{path}{name}.{key}", setting.get_default(call_default_factory=True))
        lines.append(comment(setting, indent) + f"{indent}  {key}: {shown(default)}\n")
        if key == "sources":
            lines.append(sources())
    return "".join(lines)


def sources() -> str:
    """Return the settings of one source, as a comment: the list is empty by default."""
    lines = ["  # Each source is a mapping:\n"]
    for key, setting in SourceConfig.model_fields.items():
        about = "; ".join(part for part in (options(setting), setting.description) if part)
        default = "required" if setting.is_required() else shown(setting.get_default())
        lines.append(f"  #   {key}: {default}{f'  ({about})' if about else ''}\n")
    return "".join(lines)


def comment(setting: FieldInfo, indent: str) -> str:
    about = " ".join(part for part in (setting.description, options(setting), bounds(setting)) if part)
    return "".join(f"{indent}  # {line}\n" for line in textwrap.wrap(about, 116))


def options(setting: FieldInfo) -> str:
    """Return ``one of a, b`` where only some values are valid."""
    literals = [kind for kind in (setting.annotation, *typing.get_args(setting.annotation)) if typing.get_origin(kind) is typing.Literal]
    return f"One of: {', '.join(map(str, typing.get_args(literals[0])))}." if literals else ""


def bounds(setting: FieldInfo) -> str:
    signs = {"Ge": ("ge", "at least"), "Gt": ("gt", "more than"), "Le": ("le", "at most"), "Lt": ("lt", "less than")}
    known = [(signs[type(m).__name__], m) for m in setting.metadata if type(m).__name__ in signs]
    text = ", ".join(f"{words} {getattr(limit, attribute):g}" for (attribute, words), limit in known)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def shown(value: object) -> str:
    return yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=1000).replace("\n...\n", "").strip()


if __name__ == "__main__":
    FILE.write_text(reference(), encoding="utf-8")
