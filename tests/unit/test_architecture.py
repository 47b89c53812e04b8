"""The ratchets: which way imports point, what is imported where, and how long things may be."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "sparknlp_ft"
PACKAGE = "sparknlp_ft"

#: Rooms from the ground up: a room imports from its own and from lower ones, and rooms of one level not from each other.
LEVELS = (
    ("errors", "secrecy"),
    ("versions",),
    ("sessions",),
    ("progress", "storage"),
    ("config",),
    ("identity", "text"),
    ("baselines",),
    ("tasks",),
    ("models",),
    ("tables",),
    ("snapshot", "sources"),
    ("training", "scoring", "reports", "findings"),
    ("tracking",),
    ("steps",),
    ("comparing",),
    ("pipelines",),
    ("commands",),
    ("cli", "demo", "notebook"),
)
LEVEL = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}

#: Code that runs in ranks and Python workers must start without Spark.
WORKER_SIDE = (
    *("storage.py", "identity.py", "text", "baselines", "tasks", "models", "training", "snapshot/manifest.py", "snapshot/encode.py"),
    *("scoring/engine.py", "scoring/rows.py", "scoring/faults.py", "scoring/halving.py", "scoring/processing.py", "scoring/ddl.py"),
)
#: Code that plans on the driver must start without torch.
SPARK_SIDE = (
    *(
        "config",
        "tables",
        "sources",
        "snapshot",
        "steps",
        "comparing",
        "pipelines",
        "demo",
        "reports",
        "findings",
        "text",
        "tasks",
        "baselines",
    ),
    *("sessions.py", "versions.py", "cli.py", "commands.py", "notebook.py", "errors.py", "secrecy.py", "progress.py"),
    *("storage.py", "identity.py"),
)
#: Libraries with one door each; MLflow has two, one for what is kept in it and one for how a model is logged.
DOORS = {
    "petastorm": {"training/readers/petastorm.py"},
    "horovod": {"training/launchers/horovod.py"},
    "mlflow": {"tracking/store.py", "tracking/logged.py"},
    "py4j": {"sessions.py", "sources/parquet.py"},
    "optuna": {"comparing/candidates.py", "comparing/search.py"},
}

FILE_LINES, FUNCTION_LINES, FUNCTION_PARAMETERS, COMMAND_LINES, JOB_LINES = 350, 60, 6, 12, 15


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
            if LEVEL[target] >= LEVEL[here]:
                wrong.append(f"{where(file, found.line)}: {here} imports {found.module}")
    assert not wrong, "\n".join(wrong)


def test_no_command_imports_another() -> None:
    wrong = [
        f"{where(file, found.line)}: {found.module}"
        for file in source_files("pipelines")
        for found in imports(file)
        if found.module.startswith(f"{PACKAGE}.pipelines.")
    ]
    assert not wrong, "\n".join(wrong)


def test_no_module_imports_itself_by_way_of_others() -> None:
    names = {".".join(file.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__"): file for file in source_files()}
    graph = {name: {found.module for found in imports(file)} & names.keys() - {name} for name, file in names.items()}
    # A package's own modules do not need the face that shows them.
    graph = {name: {other for other in others if not name.startswith(f"{other}.")} for name, others in graph.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a circle: {' → '.join(error.args[1])}")


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


def test_one_file_knows_of_the_spark_context() -> None:
    """What needs it has no place on Spark Connect. Horovod's and torch's launchers run ranks in jobs of their own: classic alone."""
    named = re.compile(r"sparkContext|\._j(?:vm|sc|sparkSession)\b|\.rdd\b")
    users = {str(file.relative_to(SOURCE)) for file in source_files() if named.search(file.read_text(encoding="utf-8"))}
    assert users == {"sessions.py", "training/launchers/torch.py"}


def test_the_training_loop_knows_neither_horovod_nor_mlflow_nor_spark() -> None:
    loop = SOURCE / "training" / "loop.py"
    known = {found.module for found in imports(loop)}
    barred = ("horovod", "mlflow", "pyspark", f"{PACKAGE}.training.launchers", f"{PACKAGE}.tracking")
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
                given = [one for one in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs) if one.arg not in ("self", "cls")]
                if len(given) > FUNCTION_PARAMETERS:
                    wrong.append(f"{where(file, node.lineno)}: {node.name} takes {len(given)} parameters, at most {FUNCTION_PARAMETERS}")
    assert not wrong, "\n".join(wrong)


def test_a_command_is_a_flow_of_a_dozen_lines() -> None:
    for file in source_files("pipelines"):
        flows = [node for node in parsed(file).body if isinstance(node, ast.FunctionDef) and node.name == f"run_{file.stem}"]
        assert flows or file.stem == "__init__", f"{file.name} has no run_{file.stem}"
        for flow in flows:
            body = flow.body[1:]  # behind the docstring
            lines = (body[-1].end_lineno or 0) - body[0].lineno + 1
            assert lines <= COMMAND_LINES, f"{where(file, flow.lineno)}: the flow has {lines} lines, at most {COMMAND_LINES}"


def test_jobs_are_one_script_and_a_call() -> None:
    [job] = (ROOT / "jobs").glob("*.py")
    text = job.read_text(encoding="utf-8")
    assert text.count("\n") <= JOB_LINES
    assert f"jobs/{job.name} " in (ast.get_docstring(ast.parse(text)) or "") and "attempt()" in text


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
