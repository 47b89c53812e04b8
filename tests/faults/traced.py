"""A file system under Spark that writes down what a run creates, renames and deletes, and for which a run can be killed at any of it.

"Killed" is a run for which every change is refused from one event on, clean-up among them, as nothing of a dead process reaches
the disk any more.
"""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from sparknlp_ft.scoring import stages
from tests.spark.scoring.costless import config, run

JAVA = Path(__file__).parent / "java" / "TracedFileSystem.java"
EVERYTHING = 2**31 - 1


@cache
def traced_files(spark: SparkSession) -> Any:
    """Return the file system, compiled by what Spark itself compiles with; it lives in Spark's own process."""
    jvm: Any = spark.sparkContext._jvm
    compiler = jvm.org.codehaus.janino.SimpleCompiler()
    compiler.setParentClassLoader(jvm.Thread.currentThread().getContextClassLoader())
    compiler.cook(JAVA.read_text())
    hadoop = spark.sparkContext._jsc.hadoopConfiguration()
    before = hadoop.getClassLoader()
    hadoop.setClassLoader(compiler.getClassLoader())
    hadoop.set("fs.traced.impl", "TracedFileSystem")
    spark.sparkContext._jsc.sc().conf().set("spark.delta.logStore.traced.impl", "io.delta.storage.LocalLogStore")
    found = jvm.org.apache.hadoop.fs.Path("traced:///").getFileSystem(hadoop)  # Kept by Hadoop from here on.
    hadoop.setClassLoader(before)
    return found


class Disk:
    """The traced file system, and what lies on it."""

    def __init__(self, spark: SparkSession, root: Path) -> None:
        self.spark, self.files, self.root = spark, traced_files(spark), root

    def write(self, texts: dict[int, str], mode: str = "error", **properties: str) -> None:
        rows = self.spark.createDataFrame(sorted(texts.items()), "id long, body string").coalesce(1)
        rows.write.format("delta").options(**properties).mode(mode).save(str(self.root / "texts"))

    def score(self, *, events: int = EVERYTHING, version: str = "1") -> list[str]:
        """Score with a version of the model and return the events; with a number, the run is killed behind as many."""
        self.files.begin(events)
        try:
            run(self.spark, config(f"traced://{self.root}", "texts"), version=version)
        except Exception:
            if not self.files.died():  # It failed for another reason.
                raise
        finally:
            done = list(self.files.events())
            self.files.begin(EVERYTHING)
            stages._OPEN.clear()
        return done

    def keep(self) -> None:
        """Remember all tables as they are."""
        shutil.copytree(self.root, self.root.with_name("kept"))

    def put_back(self) -> None:
        """Make all tables as they were."""
        shutil.rmtree(self.root)
        shutil.copytree(self.root.with_name("kept"), self.root)
        jvm: Any = self.spark.sparkContext._jvm
        jvm.org.apache.spark.sql.delta.DeltaLog.clearCache()
