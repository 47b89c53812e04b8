"""A session that a command starts itself."""

from __future__ import annotations

import os
import subprocess
import sys


def test_the_jvm_of_a_session_tells_nothing_as_it_starts() -> None:
    program = "from sparknlp_ft.tables.session import get_session; print(get_session().range(3).count())"
    kept = {name: value for name, value in os.environ.items() if name not in ("PYSPARK_SUBMIT_ARGS", "SPARK_REMOTE")}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, env=kept)
    assert done.stdout == "3\n", done.stderr
    # Java itself tells of the vector module that Spark's launcher asks it for; nobody can silence that.
    assert [line for line in done.stderr.splitlines() if "incubator module" not in line] == []
