"""What differs between versions, as far as no Spark is needed to tell."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError

import pytest
from pyspark.sql import SparkSession

from sparknlp_ft import versions
from sparknlp_ft.cli import main
from sparknlp_ft.errors import EXIT_USER, LaunchError
from sparknlp_ft.tables import session


@pytest.mark.parametrize(
    ("older", "newer"), [("3.4.4", "3.5"), ("3.5.0", "3.10"), ("2.3.3", "24"), ("4.0.0.dev1", "4.0.1"), ("2.7.1+cu126", "2.10")]
)
def test_versions_are_compared_by_their_numbers(older: str, newer: str) -> None:
    assert versions.too_old(older, newer) and not versions.too_old(newer, older)


def test_a_release_is_no_older_than_its_short_name() -> None:
    assert not versions.too_old("4.2.0", "4.2") and not versions.too_old("3.5.0+databricks", "3.5")


@pytest.mark.parametrize(
    ("spark", "delta", "module"),
    [
        ("3.5.9", "3.3.2", "delta-spark_2.12"),
        ("4.0.1", "4.0.0", "delta-spark_2.13"),
        ("4.1.0", "4.1.0", "delta-spark_4.1_2.13"),
        ("4.2.0", "4.4.0", "delta-spark_4.2_2.13"),
    ],
)
def test_delta_is_called_what_maven_calls_it(monkeypatch: pytest.MonkeyPatch, spark: str, delta: str, module: str) -> None:
    for known in (delta, None):  # A cluster's Python often has no delta-spark: then the version that was made for its Spark is named.
        monkeypatch.setattr(versions, "version_of", lambda name, known=known: known)
        assert versions.delta_package(spark) == f"io.delta:{module}:{delta}"
    assert f"io.delta_{module}-{delta}.jar" in versions.delta_jars(spark, delta)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("1", "BIGINT"),
        ("1.5", "DOUBLE"),
        ("true", "BOOLEAN"),
        ('"a"', "STRING"),
        ("null", "VOID"),
        ('["a", "b"]', "ARRAY<STRING>"),
        ('["a", 1]', "ARRAY<VARIANT>"),
        ("[]", "ARRAY<VOID>"),
        ('{"b": 1, "a": "x"}', "OBJECT<a: STRING, b: BIGINT>"),
    ],
)
def test_json_values_have_the_types_that_spark_gives_variants(value: str, kind: str) -> None:
    assert versions.kind_of(json.loads(value)) == kind


class New(Exception):
    def getCondition(self) -> str:
        return "DELTA_X"


class Old(Exception):
    def getErrorClass(self) -> str:
        return "DELTA_X"


class Unnamed(Exception):
    def getErrorClass(self) -> None:
        return None


class Told(Exception):
    def getMessage(self) -> str:
        return "short"


def test_an_error_says_what_it_can() -> None:
    assert [versions.message(error) for error in (Told("short, and a plan"), Old("long"))] == ["short", "long"]


@pytest.mark.parametrize(
    ("told", "lost"),
    [
        ("[FAILED_READ_FILE.FILE_NOT_EXIST] Encountered error while reading file", True),
        ("Lost task 1.3: org.apache.spark.SparkFileNotFoundException: File a.parquet does not exist", True),
        ("[FAILED_READ_FILE.NO_HINT] Encountered error while reading file", False),
    ],
)
def test_a_lost_file_is_known_by_any_name(told: str, lost: bool) -> None:
    assert versions.lost_file(RuntimeError(told)) == lost


def test_an_error_has_its_name_in_every_version() -> None:
    assert [versions.condition(kind()) for kind in (New, Old, Unnamed, ValueError)] == ["DELTA_X", "DELTA_X", "", ""]


@pytest.mark.parametrize(("spark", "delta", "told"), [("3.4.1", None, "Spark 3.4.1"), ("3.5.9", "3.1.0", "Delta Lake 3.1.0")])
def test_what_is_too_old_is_refused(monkeypatch: pytest.MonkeyPatch, spark: str, delta: str | None, told: str) -> None:
    monkeypatch.setattr(versions, "version_of", lambda name: delta)
    with pytest.raises(LaunchError, match=rf"{told} is too old: expected 3\.\d or newer"):
        versions.require_spark(spark)


def test_a_session_of_our_own_needs_delta(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "version_of", lambda name: None)
    with pytest.raises(LaunchError, match=r"delta-spark is not installed beside pyspark 4.*pip install delta-spark==4\.\d\.\d"):
        session._with_delta_jars(SparkSession.Builder())


@pytest.mark.parametrize("spark", versions.DELTA)
def test_what_is_tested_is_not_refused(monkeypatch: pytest.MonkeyPatch, spark: str) -> None:
    monkeypatch.setattr(versions, "version_of", lambda name: versions.DELTA[spark])
    versions.require_spark(f"{spark}.0")


def test_what_is_installed_here_does() -> None:
    assert versions.outdated() == []


def test_libraries_that_do_not_do_are_all_named_at_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    needs = ["torch", "pandas<3,>=2.3", "mlflow>=3.17", "numpy>=2.2", 'peft>=9; extra == "train"', 'new>=9; python_version < "3"']
    there = {"torch": "2.3.1+cpu", "pandas": "1.5.3", "numpy": "2.2"}
    monkeypatch.setattr(versions, "requires", lambda name: needs)
    monkeypatch.setattr(versions, "version_of", there.get)
    assert main(["status", "data.table=t", "--dry-run"]) == EXIT_USER
    told = capsys.readouterr().err
    assert "pandas 1.5.3, expected 2.3 or newer; mlflow is not installed, expected 3.17 or newer" in told
    assert "pip install 'pandas>=2.3' 'mlflow>=3.17'" in told
    assert "torch" not in told and "peft" not in told


def test_sources_that_nobody_installed_ask_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(versions, "requires", absent)
    versions.require_libraries()
