"""The ratchets: which way imports point, what is imported where, and how long things may be."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "sparknlp_ft"
PACKAGE = "sparknlp_ft"

#: Rooms from the ground up: a room imports from its own and from lower ones, and rooms of one level not from each other.
LEVELS = (
    ("errors",),
    ("source_config",),
    ("compare_config", "package_config", "run_config"),
    ("config", "progress"),
    ("text",),
    ("tasks",),
    ("models",),
    ("tables", "training", "scoring", "reports"),
    ("tracking",),
    ("pipelines",),
    ("cli", "demo"),
)
LEVEL = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}
#: Rooms of one level that do build on each other.
WITHIN = {("config", "progress"), ("tables", "scoring")}

#: Code that runs in ranks and Python workers must start without Spark.
WORKER_SIDE = ("text", "tasks", "models", "training", "scoring/engine.py", "scoring/rows.py", "scoring/processing.py", "scoring/ddl.py")
#: Code that plans on the driver must start without torch.
SPARK_SIDE = (
    *("tables", "pipelines", "demo", "reports", "text", "tasks"),
    *("cli.py", "config.py", "source_config.py", "compare_config.py", "package_config.py", "run_config.py", "errors.py", "progress.py"),
)
#: Libraries with one door each; MLflow has two, one for what is kept in it and one for how a model is logged.
DOORS = {
    "petastorm": {"training/petastorm_compat.py"},
    "horovod": {"training/horovod_backend.py"},
    "mlflow": {"tracking/store.py", "tracking/logged.py"},
}

FILE_LINES, FUNCTION_LINES, JOB_LINES = 350, 60, 15


@dataclass(frozen=True)
class Import:
    module: str
    line: int
    top: bool  #: runs when the module is imported (neither inside a function nor under TYPE_CHECKING)


def source_files(*parts: str) -> list[Path]:
    folders = [SOURCE / part for part in parts] if parts else [SOURCE]
    return sorted(file for folder in folders for file in ([folder] if folder.suffix == ".py" else folder.rglob("*.py")))


@functools.cache
def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


@functools.cache
def imports(file: Path) -> tuple[Import, ...]:
    return tuple(_walk(parsed(file), file, top=True))


def _walk(node: ast.AST, file: Path, *, top: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, child.lineno, top) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"{file}:{child.lineno}: relative import; name the package"
            yield Import(child.module or "", child.lineno, top)
            yield from (Import(f"{child.module}.{alias.name}", child.lineno, top) for alias in child.names)
        else:
            inner = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            typing_only = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test)
            yield from _walk(child, file, top=top and not inner and not typing_only)


def room(file: Path) -> str:
    return file.relative_to(SOURCE).parts[0].removesuffix(".py")


def where(file: Path, line: int) -> str:
    return f"{file.relative_to(ROOT)}:{line}"


def test_imports_point_one_way() -> None:
    wrong = []
    for file in source_files():
        here = room(file)
        if here == "__init__":
            continue
        for found in imports(file):
            parts = found.module.split(".")
            if parts[0] != PACKAGE or len(parts) < 2 or parts[1] not in LEVEL or parts[1] == here:
                continue
            target = parts[1]
            allowed = LEVEL[target] < LEVEL[here] or (target, here) in WITHIN
            if not allowed:
                wrong.append(f"{where(file, found.line)}: {here} imports {found.module}")
    assert not wrong, "\n".join(wrong)


def test_every_room_has_a_level() -> None:
    rooms = {room(file) for file in source_files()} - {"__init__", "__main__", "_version"}
    assert rooms <= set(LEVEL), f"give these a level in LEVELS: {sorted(rooms - set(LEVEL))}"


@pytest.mark.parametrize(("side", "library"), [(WORKER_SIDE, "pyspark"), (SPARK_SIDE, "torch"), (SPARK_SIDE, "transformers")])
def test_each_side_starts_without_the_others_library(side: tuple[str, ...], library: str) -> None:
    existing = [part for part in side if (SOURCE / part).exists()]
    wrong = [
        where(file, found.line)
        for file in source_files(*existing)
        for found in imports(file)
        if found.top and found.module.split(".")[0] == library
    ]
    assert not wrong, f"{library} is imported when the module is: {wrong}"


@pytest.mark.parametrize("library", DOORS)
def test_each_library_has_its_door(library: str) -> None:
    users = {str(file.relative_to(SOURCE)) for file in source_files() for found in imports(file) if found.module.split(".")[0] == library}
    assert users <= DOORS[library]


def test_the_training_loop_knows_neither_horovod_nor_mlflow_nor_spark() -> None:
    loop = SOURCE / "training" / "loop.py"
    known = {found.module for found in imports(loop)}
    barred = ("horovod", "mlflow", "pyspark", f"{PACKAGE}.training.horovod_backend", f"{PACKAGE}.tracking")
    assert not [module for module in known if module.startswith(barred)]


def test_files_and_functions_stay_readable() -> None:
    wrong = []
    for file in source_files():
        text = file.read_text(encoding="utf-8")
        if (lines := text.count("\n")) > FILE_LINES:
            wrong.append(f"{where(file, lines)}: {lines} lines, at most {FILE_LINES}")
        for node in ast.walk(parsed(file)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > FUNCTION_LINES:
                    wrong.append(f"{where(file, node.lineno)}: {node.name} has {length} lines, at most {FUNCTION_LINES}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("job", sorted((ROOT / "jobs").glob("*.py")), ids=lambda job: job.name)
def test_a_job_is_a_command_and_a_call(job: Path) -> None:
    text = job.read_text(encoding="utf-8")
    assert text.count("\n") <= JOB_LINES
    assert f"jobs/{job.name} --config" in (ast.get_docstring(ast.parse(text)) or "")
    assert f'main(["{job.stem}"' in text


def test_every_module_says_its_place() -> None:
    without = [str(file.relative_to(ROOT)) for file in source_files() if not _documented(file)]
    assert not without, f"no module docstring: {without}"


def test_no_error_is_swallowed() -> None:
    wrong = [
        where(file, node.lineno)
        for file in source_files()
        for node in ast.walk(parsed(file))
        if isinstance(node, ast.ExceptHandler) and all(isinstance(child, ast.Pass) for child in node.body)
    ]
    assert not wrong


def test_no_file_names_a_machine_or_a_registry() -> None:
    barred = re.compile(r"/(?:work|home/\w+|root|Users/\w+)/|pypi\.org|pythonhosted|maven\.org|mirror\.\w+\.\w+")
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True)
    files = [
        ROOT / name for name in listed.stdout.splitlines() if Path(name).suffix in {".py", ".md", ".yaml", ".yml", ".toml", ".sh", ".lock"}
    ]
    found = [
        f"{file.relative_to(ROOT)}: {match.group()}"
        for file in files
        if file != Path(__file__) and file.is_file()
        for match in barred.finditer(file.read_text(encoding="utf-8"))
    ]
    assert not found, found


def _documented(file: Path) -> bool:
    tree = parsed(file)
    return not tree.body or ast.get_docstring(tree) is not None
