"""README, CONTRIBUTING and docs/: every command parses and loads, every setting, file, link and message that they name is there."""

from __future__ import annotations

import ast
import re
import shlex
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

import sparknlp_ft
from sparknlp_ft.cli import parse
from sparknlp_ft.commands import command, command_names
from sparknlp_ft.config import Config, load_config
from sparknlp_ft.notebook import settings_of

ROOT = Path(__file__).parents[2]
#: The changelog tells of what was, and is left out.
FILES = [path for path in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")) if path.name != "CHANGELOG.md"]
PAGES = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in FILES}
README = PAGES["README.md"]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
BUNDLE = yaml.safe_load((ROOT / "databricks.yml").read_text(encoding="utf-8"))
JOBS = {job for file in (ROOT / "resources").glob("*.yml") for job in yaml.safe_load(file.read_text())["resources"].get("jobs", {})}
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
SECTIONS = "|".join(Config.model_fields)


def blocks(language: str, page: str) -> list[str]:
    """Return the code blocks of a page that are in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page, flags=re.DOTALL | re.MULTILINE)


def per_page(find: Callable[[str], list[str]]) -> list[Any]:
    """Return a case for each thing that is found in a page, named by page and thing."""
    return [pytest.param(page, one, id=f"{page}: {one[:80]}") for page, text in PAGES.items() for one in dict.fromkeys(find(text))]


def lines(text: str) -> list[str]:
    return [line for block in blocks("sh", text) for line in block.splitlines() if line.strip()]


@pytest.mark.parametrize(("page", "line"), per_page(lines))
def test_a_command_parses(page: str, line: str) -> None:
    words = shlex.split(line)
    name = (
        "sparknlp-ft" if words[0].endswith("sparknlp-ft") else words[0].removeprefix(".").removeprefix("venv/bin/").removeprefix("env/bin/")
    )
    KNOWN[name](words)


def _make(words: list[str]) -> None:
    assert set(words[1:]) <= TARGETS


def _ours(words: list[str]) -> None:
    _loads(words[1:])


def _submit(words: list[str]) -> None:
    at = next(i for i, word in enumerate(words) if word.endswith("jobs/run.py"))
    _there(words[at].removeprefix("local://"))
    _loads(words[at + 1 :])


def _databricks(words: list[str]) -> None:
    if words[1:3] == ["fs", "cp"]:
        return _there(words[3])
    assert words[1] == "bundle" and words[words.index("-t") + 1] in BUNDLE["targets"]
    if words[2] == "run":
        assert words[3] in JOBS
    return None


def _pip(words: list[str]) -> None:
    extras = [extra for word in words[2:] for _, _, extra in [word.partition("[")] if word.startswith("sparknlp-ft[")]
    assert words[1] == "install" and {one.rstrip("]") for one in extras} <= set(PYPROJECT["project"]["optional-dependencies"])


def _docker(words: list[str]) -> None:
    assert (ROOT / "Dockerfile").is_file() and words[1] in ("build", "run")
    if "sparknlp-ft" in words:
        _loads(words[words.index("sparknlp-ft") + 1 :])


def _kubectl(words: list[str]) -> None:
    _there(words[words.index("-f") + 1])


def _python(words: list[str]) -> None:
    if words[1:3] == ["-m", "venv"]:
        return None
    if words[1] == "-m":
        assert words[2].startswith("bench.")
        return _there(f"{words[2].replace('.', '/')}.py")
    return _there(words[1])


def _nothing(words: list[str]) -> None:
    """Nothing of this project's."""


KNOWN: dict[str, Callable[[list[str]], None]] = {
    "make": _make,
    "sparknlp-ft": _ours,
    "spark-submit": _submit,
    "databricks": _databricks,
    "pip": _pip,
    "docker": _docker,
    "kubectl": _kubectl,
    "python": _python,
    "mlflow": _nothing,
    "export": _nothing,
    "venv-pack": _nothing,
}


@pytest.mark.parametrize(("page", "line"), per_page(lambda text: re.findall(r"`(sparknlp-ft [^`]+)`", text)))
def test_a_command_in_a_sentence_parses(page: str, line: str) -> None:
    # Two stand for any configuration.
    _loads([re.sub(r"^conf/(SET\.yaml|…)$", "conf/tickets.yaml", word) for word in shlex.split(line)[1:]])


@pytest.mark.parametrize(("page", "target"), per_page(lambda text: re.findall(r"`make ([a-z-]+)`", text)))
def test_a_target_of_make_exists(page: str, target: str) -> None:
    assert target in TARGETS


@pytest.mark.parametrize(("page", "block"), per_page(lambda text: [one for one in blocks("yaml", text) if "--8<--" not in one]))
def test_settings_in_a_block_load(page: str, block: str) -> None:
    assert load_config(given=yaml.safe_load(block), need_table=False)


@pytest.mark.parametrize(("page", "block"), per_page(lambda text: blocks("python", text)))
def test_calls_in_a_block_are_of_the_face(page: str, block: str) -> None:
    tree = ast.parse(block)
    named = {ast.unparse(one.targets[0]): ast.literal_eval(one.value) for one in tree.body if isinstance(one, ast.Assign)}
    calls = [one for one in ast.walk(tree) if isinstance(one, ast.Call) and ast.unparse(one.func).startswith("ft.")]
    assert calls
    for call in calls:
        name = ast.unparse(call.func).removeprefix("ft.")
        given: dict[str, Any] = {}
        for keyword in call.keywords:
            given |= named[ast.unparse(keyword.value)] if keyword.arg is None else {keyword.arg: ast.literal_eval(keyword.value)}
        assert name in sparknlp_ft.__all__ and load_config(settings=settings_of(name, given))


def settings_in(text: str) -> list[str]:
    """Return the settings that a page names in code, each as section.key or longer."""
    code = [*re.findall(r"`([^`\n]+)`", text), *blocks("sh", text)]
    found = [one for part in code for one in re.findall(rf"(?<![\w./:-])((?:{SECTIONS})(?:\.[a-z_]+)+)(?![\w(/])", part)]
    return [one for one in found if not one.endswith((".py", ".yaml", ".yml", ".json", ".csv"))]


@pytest.mark.parametrize(("page", "dotted"), per_page(settings_in))
def test_a_setting_exists(page: str, dotted: str) -> None:
    model: Any = Config
    for key in dotted.split("."):
        assert isinstance(model, type) and issubclass(model, BaseModel) and key in model.model_fields, dotted
        model = model.model_fields[key].annotation


def test_settings_are_found() -> None:
    named = settings_in(
        "`data.clean.labels=fold` and `train.epochs`, not `tests/unit/train.py`\n\n```sh\nsparknlp-ft train score.where=x\n```\n"
    )
    assert named == ["data.clean.labels", "train.epochs", "score.where"]
    with pytest.raises(AssertionError):
        test_a_setting_exists("page", "train.epoch")


def files_in(text: str) -> list[str]:
    return re.findall(r"`((?:conf|jobs|scripts|tests|examples|deploy|bench)/[\w./-]+)`", text)


@pytest.mark.parametrize(("page", "file"), per_page(files_in))
def test_a_file_is_there(page: str, file: str) -> None:
    _there(file)


@pytest.mark.parametrize(("page", "link"), per_page(lambda text: re.findall(r"\]\((?!http)([^)#]+)(?:#[^)]*)?\)", text)))
def test_a_link_leads_somewhere(page: str, link: str) -> None:
    assert (ROOT / page).parent.joinpath(link).exists()


def test_the_two_commands_come_first() -> None:
    assert lines(README)[:2] == ["make demo", "make test"]
    assert "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_the_tree_is_the_tree() -> None:
    tree = README.split("```")[3]
    for name in re.findall(r"^(\w+/)", tree, flags=re.MULTILINE):
        assert (ROOT / name).is_dir(), name
    for name in re.findall(r"^  (\w+(?:/|\.py))", tree, flags=re.MULTILINE):
        assert (ROOT / "src" / "sparknlp_ft" / name).exists(), name


def test_every_command_is_told_of() -> None:
    told = {
        shlex.split(line)[1] for text in PAGES.values() for line in lines(text) if "sparknlp-ft " in line and not line.startswith("docker")
    }
    assert set(command_names()) <= told


def test_the_messages_of_the_failures_page_are_those_of_the_code() -> None:
    files = [*(ROOT / "src").rglob("*.py"), *(ROOT / "scripts").glob("*.sh")]
    # A message may be written in several strings, one behind the other.
    code = re.sub(r"\"\s*f?\"", "", "\n".join(file.read_text(encoding="utf-8") for file in files))
    table = PAGES["docs/failures.md"].split("## Messages")[1]
    told = [span for row in re.findall(r"^\| (`.*?`) \| ", table, flags=re.MULTILINE) for span in re.findall(r"`([^`]+)`", row)]
    parts = [part.strip() for span in told for part in span.removeprefix("[setup] ").split("…") if part.strip()]
    assert len(parts) > 20
    assert [part for part in parts if part not in code] == []


def test_the_site_has_every_page() -> None:
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").split("\nnav:")[1]
    assert set(re.findall(r"[\w-]+\.md", nav)) == {path.name for path in (ROOT / "docs").glob("*.md")}


def _there(file: str) -> None:
    assert (ROOT / file.removeprefix("/opt/sparknlp_ft/")).exists(), file


def _loads(arguments: list[str]) -> None:
    args = parse(arguments)
    config = None if args.config is None else ROOT / args.config.removeprefix("/opt/sparknlp_ft/")
    chosen = command(args.command)
    for option in chosen.options:
        option.check(getattr(args, option.name))
    assert load_config(config, args.overrides, need_table=chosen.needs_table)


def test_the_site_is_built_from_a_lock_of_its_own() -> None:
    wanted = [re.split(r"[\[>=]", one)[0] for one in PYPROJECT["dependency-groups"]["docs"]]
    lock = (ROOT / "requirements-docs.lock").read_text(encoding="utf-8")
    assert all(f"\n{name}==" in lock and f"\n{name}==" not in (ROOT / "requirements.lock").read_text() for name in wanted)
    assert "--hash=sha256:" in lock and "http" not in lock
