"""What a Python worker raised becomes what the user can mend, where it is that."""

from __future__ import annotations

import pytest

from sparknlp_ft.errors import DataError, LaunchError
from sparknlp_ft.tables.watch import raised_on_worker


@pytest.mark.parametrize(
    ("said", "package"),
    [
        ("ModuleNotFoundError: No module named 'sparknlp_ft'", "sparknlp_ft"),
        ("ModuleNotFoundError: No module named 'transformers.models'", "transformers"),
        ("[PACKAGE_NOT_INSTALLED] PyArrow >= 18.0.0 must be installed; however, it was not found.", "PyArrow"),
    ],
)
def test_a_worker_without_the_package_is_told_with_the_recipe(said: str, package: str) -> None:
    found = raised_on_worker(RuntimeError(f"PythonException: Traceback\n  File x\n{said}\n at org.apache.spark"))
    assert isinstance(found, LaunchError)
    assert f"no package {package!r}" in str(found) and "PYSPARK_PYTHON" in str(found) and "venv-pack" in str(found)


def test_a_user_error_keeps_its_kind_and_others_stay_what_they_are() -> None:
    found = raised_on_worker(RuntimeError("…\nsparknlp_ft.errors.DataError: label 'x' is new\n at"))
    assert isinstance(found, DataError) and str(found) == "label 'x' is new"
    assert raised_on_worker(RuntimeError("out of memory")) is None
