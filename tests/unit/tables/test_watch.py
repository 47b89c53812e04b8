"""What a Python worker raised becomes what the user can mend, where it is that."""

from __future__ import annotations

import pytest

from sparknlp_ft.errors import DataError, LaunchError
from sparknlp_ft.tables.watch import raised_on_worker


@pytest.mark.parametrize("package", ["sparknlp_ft", "transformers.models"])
def test_a_worker_without_the_package_is_told_with_the_recipe(package: str) -> None:
    trace = f"PythonException: Traceback\n  File x\nModuleNotFoundError: No module named '{package}'\n at org.apache.spark"
    found = raised_on_worker(RuntimeError(trace))
    assert isinstance(found, LaunchError)
    assert f"no package {package.partition('.')[0]!r}" in str(found) and "PYSPARK_PYTHON" in str(found) and "venv-pack" in str(found)


def test_a_user_error_keeps_its_kind_and_others_stay_what_they_are() -> None:
    found = raised_on_worker(RuntimeError("…\nsparknlp_ft.errors.DataError: label 'x' is new\n at"))
    assert isinstance(found, DataError) and str(found) == "label 'x' is new"
    assert raised_on_worker(RuntimeError("out of memory")) is None
