"""What differs between the versions that this package runs on: Spark 3.5 to 4.2, their Deltas, and the libraries around them.

The one room for it. What a version of Spark has is asked for by name and not by number, since runtimes bring back what newer versions
have. The rest of the package calls what is here and knows of no version; where 4.x has a function of its own, that is what is called.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, requires, version
from typing import TYPE_CHECKING, Any

from sparknlp_ft.errors import LaunchError

if TYPE_CHECKING:
    from threading import Thread

    from pyspark.sql import Column, SparkSession

#: The Delta that was made for each Spark; ``make test-matrix`` runs all of them.
DELTA = {"3.5": "3.3.2", "4.0": "4.0.0", "4.1": "4.1.0", "4.2": "4.4.0"}

#: Older ones lack what is used throughout: Spark's ``try_element_at`` and named arguments, a merge of Delta's that adds columns.
OLDEST_SPARK, OLDEST_DELTA = "3.5", "3.3"

#: What ANSI mode casts to a double without an error.
_NUMBER = r"^\s*[+-]?((\d+\.?\d*|\.\d+)([eE][+-]?\d+)?[dDfF]?|(?i)(inf|infinity|nan))\s*$"


def numbers(text: str) -> tuple[int, ...]:
    """Return the leading numbers of a version, so that two can be compared."""
    return tuple(int(part) for part in re.findall(r"\d+", re.split(r"[^\d.]", text, maxsplit=1)[0]))


def too_old(installed: str, needed: str) -> bool:
    """Whether a version comes before another."""
    return numbers(installed) < numbers(needed)


def version_of(package: str) -> str | None:
    """Return the version of an installed package; None where there is none, or a runtime does not say (Databricks' Spark)."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def valid_utf8(text: Column) -> Column:
    """Return the text with each malformed sequence of bytes replaced by U+FFFD.

    Spark 3.5 has Java do it, which makes one U+FFFD of half a character of UTF-16 where newer ones make three.
    """
    from pyspark.sql import functions as F

    if hasattr(F, "make_valid_utf8"):
        return F.make_valid_utf8(text)
    return F.decode(text.cast("binary"), "UTF-8")


def is_valid_utf8(text: Column) -> Column:
    """Whether ``valid_utf8`` changes nothing; NULL of NULL."""
    from pyspark.sql import functions as F

    return F.is_valid_utf8(text) if hasattr(F, "is_valid_utf8") else valid_utf8(text) == text


def to_double(text: Column) -> Column:
    """Return the number that a string is, NULL where it is none, in ANSI mode and without."""
    from pyspark.sql import functions as F

    if hasattr(type(text), "try_cast"):  # a column itself has any attribute: a field of that name
        return text.try_cast("double")
    return F.when(text.rlike(_NUMBER), text.cast("double"))


def json_kinds(text: Column, names: Sequence[str]) -> list[Column]:
    """Return the types of some fields of JSON objects, such as ``STRING``, ``BIGINT`` or ``ARRAY<STRING>``; VOID or NULL of none.

    Names hold no single quote. Spark 3.5, which has no variants, parses the objects in Python, and calls every fraction a DOUBLE.
    """
    from pyspark.sql import functions as F

    if hasattr(F, "schema_of_variant"):
        value = F.try_parse_json(text)
        return [F.schema_of_variant(F.try_variant_get(value, f"$['{name}']", "variant")) for name in names]
    wanted = list(names)
    kinds = F.udf(lambda one: _kinds_of(one, wanted), "array<string>")(text)
    return [kinds[number] for number in range(len(wanted))]


def _kinds_of(text: str | None, names: Sequence[str]) -> list[str] | None:
    try:
        value = json.loads(text or "null")
    except ValueError:
        return None
    return [kind_of(value.get(name)) for name in names] if isinstance(value, dict) else None


def kind_of(value: Any) -> str:
    """Return the type of a parsed JSON value, as Spark names that of a variant."""
    if isinstance(value, list):
        inner = sorted({kind_of(one) for one in value})
        return f"ARRAY<{inner[0] if len(inner) == 1 else 'VARIANT' if inner else 'VOID'}>"
    if isinstance(value, dict):
        return f"OBJECT<{', '.join(f'{name}: {kind_of(one)}' for name, one in sorted(value.items()))}>"
    return {bool: "BOOLEAN", int: "BIGINT", float: "DOUBLE", str: "STRING"}.get(type(value), "VOID")


def condition(error: BaseException) -> str:
    """Return the name of Spark's or Delta's error, empty where it has none."""
    told = getattr(error, "getCondition", None) or getattr(error, "getErrorClass", None)
    return str((told and told()) or "")


def message(error: BaseException) -> str:
    """Return what Spark says of an error, without the plan and the stack behind it."""
    told = getattr(error, "getMessage", None)
    return str((told and told()) or error)


def lost_file(error: BaseException) -> bool:
    """Whether a data file was not there when its rows were read."""
    told = str(error)
    return any(name in told for name in ("FAILED_READ_FILE.FILE_NOT_EXIST", "DELTA_FILE_NOT_FOUND", "SparkFileNotFoundException"))


def conflicts() -> tuple[type[BaseException], ...]:
    """Return Delta's errors that say that another writer was faster; none of Delta 4.0, whose Python package came without them."""
    try:
        from delta import exceptions
    except ImportError:
        return ()
    kinds = [kind for kind in vars(exceptions).values() if isinstance(kind, type) and issubclass(kind, BaseException)]
    # Each stands for itself: the one that is called their base is none. The module also shows Spark's, which it imports.
    return tuple(kind for kind in kinds if kind.__module__.startswith(exceptions.__name__))


def thread_of(spark: SparkSession, call: Callable[[], None]) -> Thread:
    """Return a thread that Spark takes for a part of this one; the process does not wait for it when it ends."""
    from pyspark import InheritableThread

    knows = "session" in inspect.signature(InheritableThread.__init__).parameters
    thread: Thread = InheritableThread(call, daemon=True, **({"session": spark} if knows else {}))
    return thread


def delta_module(spark: str, delta: str) -> str:
    """Return the name of Delta's module on Maven: it names Scala's version, and since Delta 4.1 that of Spark too."""
    if numbers(delta) < (4,):
        return "delta-spark_2.12"
    named = "" if numbers(delta) < (4, 1) else f"_{minor(spark)}"
    return f"delta-spark{named}_2.13"


def delta_package(spark: str) -> str:
    """Return Delta's Maven coordinates for a Spark: those of the Python package, or of the version that was made for it."""
    delta = version_of("delta-spark") or delta_for(spark)
    return f"io.delta:{delta_module(spark, delta)}:{delta}"


def delta_for(spark: str) -> str:
    """Return the version of Delta that was made for a Spark, the newest known for one that is not known."""
    return DELTA.get(minor(spark), max(DELTA.values(), key=numbers))


def delta_jars(spark: str, delta: str) -> set[str]:
    """Return the names, in Ivy's cache, of the jars that Delta needs beside those Spark has."""
    kernel = () if numbers(delta) < (4, 2) else ("delta-kernel-api", "delta-kernel-defaults", "delta-kernel-unitycatalog")
    return {f"io.delta_{module}-{delta}.jar" for module in (delta_module(spark, delta), "delta-storage", *kernel)}


def minor(text: str) -> str:
    """Return the first two numbers of a version."""
    return ".".join(map(str, numbers(text)[:2]))


def require_spark(spark: str) -> None:
    """Refuse a Spark, or a Delta beside it, that lacks what is used throughout.

    Raises:
        LaunchError: Says which version there is, and which is needed.
    """
    for name, installed, oldest in (("Spark", spark, OLDEST_SPARK), ("Delta Lake", version_of("delta-spark"), OLDEST_DELTA)):
        if installed is not None and too_old(installed, oldest):
            raise LaunchError(
                f"{name} {installed} is too old: expected {oldest} or newer. Spark {OLDEST_SPARK} with Delta {DELTA[OLDEST_SPARK]} is the "
                "oldest pair that is tested; on Databricks take runtime 15.4 LTS or newer"
            )


def require_libraries() -> None:
    """Refuse to start where a library that this package asks for when it is installed is older than that, or not there.

    It happens where the wheel was installed with --no-deps, or a cluster's library was put in the place of a newer one.

    Raises:
        LaunchError: Names each with its version, the one that is needed, and how to install it.
    """
    if told := outdated():
        names = " ".join(f"'{name}>={least}'" for name, _, least in told)
        lines = "; ".join(f"{name} {installed or 'is not installed'}, expected {least} or newer" for name, installed, least in told)
        raise LaunchError(f"libraries that do not do: {lines}. Install them with: pip install {names}")


def outdated() -> list[tuple[str, str | None, str]]:
    """Return what does not do of the libraries that this package requires: name, installed version, oldest that does."""
    from packaging.requirements import Requirement

    try:
        wanted = [Requirement(one) for one in requires("sparknlp-ft") or ()]
    except PackageNotFoundError:  # run from its sources: nobody has said what it needs
        return []
    told = []
    for one in wanted:
        if one.marker is not None and not one.marker.evaluate({"extra": ""}):
            continue
        least = max((part.version for part in one.specifier if part.operator in (">=", "==", "~=")), key=numbers, default="0")
        installed = version_of(one.name)
        if installed is None or too_old(installed, least):
            told.append((one.name, installed, least))
    return told
