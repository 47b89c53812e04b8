"""What a Spark session can do, asked in one place: the only file that knows of a ``SparkContext`` and of the JVM behind it.

A session is classic, or speaks Spark Connect (shared Databricks clusters, serverless, ``SparkSession.builder.remote``), which has
neither context nor JVM nor RDDs. Where Connect has no such thing, what comes nearest is done, and each function says what that is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from sparknlp_ft.errors import LaunchError
from sparknlp_ft.versions import thread_of, too_old

if TYPE_CHECKING:
    from pyspark import Broadcast
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructType

Value = TypeVar("Value")

#: Tasks that a Connect session is taken to run at the same time where its settings do not tell.
GUESSED_SLOTS = 8


def is_connect(spark: SparkSession) -> bool:
    """Whether the session speaks Spark Connect."""
    return type(spark).__module__.startswith("pyspark.sql.connect")


def describe(spark: SparkSession, title: str | None) -> None:
    """Name the Spark jobs that follow; None clears it. On Connect they have no names."""
    if not is_connect(spark):
        spark.sparkContext.setJobDescription(cast("str", title))


def stages(spark: SparkSession) -> Mapping[int, tuple[int, int]]:
    """Return the stages that run, by number: tasks that are done, and all of them. On Connect none is told."""
    if is_connect(spark):
        return {}
    tracker = spark.sparkContext.statusTracker()
    found = {stage: tracker.getStageInfo(stage) for stage in tracker.getActiveStageIds()}
    return {stage: (info.numCompletedTasks, info.numTasks) for stage, info in found.items() if info is not None}


def quiet(spark: SparkSession) -> None:
    """Have the JVM log errors alone; a Connect server logs what it likes."""
    if not is_connect(spark):
        spark.sparkContext.setLogLevel("ERROR")


def master(spark: SparkSession) -> str:
    """Return the address of the cluster's master, empty if it is not told."""
    return str(spark.conf.get("spark.master", "") if is_connect(spark) else spark.sparkContext.master)


def sees_this_machine(spark: SparkSession) -> bool:
    """Whether tasks run inside the driver's JVM, and so see the driver's files; a Connect server may be anywhere."""
    return not is_connect(spark) and master(spark).startswith("local")


def slots_now(spark: SparkSession) -> int:
    """Return how many tasks run at the same time now, or may with dynamic allocation. Of Connect the settings are asked."""
    if is_connect(spark):
        return _told_slots(spark)
    context = spark.sparkContext._jsc.sc()
    now = int(context.maxNumConcurrentTasks(context.resourceProfileManager().defaultResourceProfile()))
    conf = spark.sparkContext.getConf()
    if conf.get("spark.dynamicAllocation.enabled", "false") != "true":
        return now
    most = int(conf.get("spark.dynamicAllocation.maxExecutors", "0") or 0)
    each = int(conf.get("spark.executor.cores", "1") or 1) // int(conf.get("spark.task.cpus", "1") or 1)
    return max(now, most * each)


def _told_slots(spark: SparkSession) -> int:
    if (local := re.match(r"local\[(\d+)", master(spark))) is not None:
        return int(local[1])
    executors, each = (int(spark.conf.get(name, "0") or 0) for name in ("spark.executor.instances", "spark.executor.cores"))
    return executors * each or GUESSED_SLOTS


def application(spark: SparkSession) -> str:
    """Return what tells this session's application, or on Connect this session, from others."""
    return str(spark.session_id) if is_connect(spark) else str(spark.sparkContext.applicationId)  # type: ignore[attr-defined]


def add_archive(spark: SparkSession, archive: str, name: str) -> None:
    """Have an archive unpacked on every worker, under a name by which ``SparkFiles.get`` finds it."""
    if is_connect(spark):
        spark.addArtifacts(f"{archive}#{name}", archive=True)
    else:
        spark.sparkContext.addArchive(f"{archive}#{name}")


def sent_files(spark: SparkSession) -> str:
    """Return what was sent along with ``--py-files``, with commas between."""
    return "" if is_connect(spark) else str(spark.sparkContext.getConf().get("spark.submit.pyFiles", "") or "")


@dataclass
class Held(Generic[Value]):
    """A value that every task can read: broadcast, or on Connect sent along with the function that reads it."""

    plain: Value | None
    sent: Broadcast[Value] | None

    @property
    def value(self) -> Value:
        """The value, on the driver and in a task."""
        return cast("Value", self.plain) if self.sent is None else self.sent.value

    def release(self) -> None:
        """Give back the room it takes on the workers."""
        if self.sent is not None:
            self.sent.destroy()


def hold(spark: SparkSession, value: Value) -> Held[Value]:
    """Hand a value to all tasks."""
    return Held(value, None) if is_connect(spark) else Held(None, spark.sparkContext.broadcast(value))


@dataclass
class Beside(Generic[Value]):
    """A call that runs in a thread of its own, which Spark takes for a part of the thread that started it."""

    thread: Any
    came: list[Value] = field(default_factory=list)
    failed: list[Exception] = field(default_factory=list)

    def result(self) -> Value:
        """Wait for the call and return what it returned, or raise what it raised."""
        self.thread.join()
        if self.failed:
            raise self.failed[0]
        return self.came[0]


def beside(spark: SparkSession, call: Callable[[], Value]) -> Beside[Value]:
    """Start a call beside what follows; the process does not wait for it when it ends."""

    def run() -> None:
        try:
            started.came.append(call())
        except Exception as error:
            started.failed.append(error)

    started: Beside[Value] = Beside(thread_of(spark, run))
    started.thread.start()
    return started


def has_class(spark: SparkSession, name: str) -> bool:
    """Whether the JVM has a class; a Connect server, whose JVM nobody sees, is taken to have it."""
    if is_connect(spark):
        return True
    from py4j.protocol import Py4JJavaError

    jvm: Any = spark.sparkContext._jvm
    try:
        jvm.java.lang.Class.forName(name, False, jvm.Thread.currentThread().getContextClassLoader())
    except Py4JJavaError:
        return False
    return True


def json_schema(spark: SparkSession, texts: DataFrame) -> StructType:
    """Return the fields of JSON objects, the only column of a frame, with types that hold all their values.

    Raises:
        LaunchError: On Connect before Spark 4.2, where the server cannot be asked.
    """
    if not is_connect(spark):
        jvm: Any = spark.sparkContext._jvm
        strings = getattr(texts._jdf, "as")(jvm.org.apache.spark.sql.Encoders.STRING())
        return type(texts)(spark._jsparkSession.read().json(strings), spark).schema
    if too_old(spark.version, "4.2"):
        raise LaunchError(
            f"JSON cannot be read through Spark Connect {spark.version}, which has no way to find out its fields; "
            "use Spark 4.2 or newer, a classic session, or files of another format"
        )
    return spark.read.json(texts).schema


def delta_snapshot(spark: SparkSession, path: str) -> tuple[int, str] | None:
    """Return latest version and id of a Delta table by path, as open-source Delta has them at hand; None where it cannot be asked.

    The public way, which other builds of Delta and Connect have, reads the table's whole state (5 s in a session that has just started).
    """
    if is_connect(spark):
        return None
    from py4j.java_gateway import JavaClass

    jvm: Any = spark.sparkContext._jvm
    log = jvm.org.apache.spark.sql.delta.DeltaLog
    if not isinstance(log, JavaClass):
        return None
    snapshot = log.forTableWithSnapshot(spark._jsparkSession, jvm.org.apache.hadoop.fs.Path(path))._2()
    return int(snapshot.version()), str(snapshot.metadata().id())


@dataclass(frozen=True)
class DeltaLog:
    """The transaction log of a Delta table by path, as open-source Delta has it in the JVM; its versions are the JVM's own objects."""

    spark: SparkSession
    log: Any

    def at(self, version: int) -> Any:
        """Return a version of the table."""
        from py4j.protocol import Py4JError, Py4JJavaError

        none = self._jvm.scala.Option.empty()
        try:
            return self.log.getSnapshotAt(version, none, none, False)
        except Py4JJavaError:
            raise
        except Py4JError:  # there is no such method: before Delta 4.1 it asked for less
            return self.log.getSnapshotAt(version, none, none)

    def files(self, version: Any) -> DataFrame:
        """Return what the log tells of a version's files, a row each."""
        from pyspark.sql import DataFrame

        return DataFrame(version.allFiles().toDF(), self.spark)

    def rows(self, version: Any, paths: Sequence[str]) -> DataFrame:
        """Return the rows of some of a version's files."""
        from pyspark.sql import DataFrame
        from pyspark.sql import functions as F

        chosen = version.allFiles().where(F.col("path").isin(list(paths))._jc)
        listed = self._jvm.PythonUtils.toSeq(chosen.collectAsList())  # with Scala 2.12 as with 2.13
        return DataFrame(self.log.createDataFrame(version, listed, False, self._jvm.scala.Option.empty()), self.spark)

    @property
    def _jvm(self) -> Any:
        return self.spark.sparkContext._jvm


def open_delta_log(spark: SparkSession, path: str) -> DeltaLog | None:
    """Return the log of a Delta table by path; None on Connect, and where another build of Delta has none."""
    if is_connect(spark):
        return None
    from py4j.java_gateway import JavaClass

    jvm: Any = spark.sparkContext._jvm
    log = jvm.org.apache.spark.sql.delta.DeltaLog
    return DeltaLog(spark, log.forTable(spark._jsparkSession, path)) if isinstance(log, JavaClass) else None


def spark_errors() -> tuple[type[Exception], ...]:
    """Return what calls of Spark and of the JVM behind it raise."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    return Py4JError, PySparkException


def hadoop_files(spark: SparkSession, path: str) -> tuple[Any, Any] | None:
    """Return Hadoop's file system of a path, and the path as it takes it; None on Connect, where Python's own are used."""
    if is_connect(spark):
        return None
    jvm = spark.sparkContext._jvm
    assert jvm is not None
    where = jvm.org.apache.hadoop.fs.Path(path)
    return where.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration()), where


def spark_address(spark: SparkSession, address: str) -> str:
    """Return an address as this session knows it: S3 is ``s3a://`` but where a platform has a client of its own, as EMR and Databricks."""
    if is_connect(spark) or not address.startswith("s3://"):
        return address
    known = spark.sparkContext._jsc.hadoopConfiguration().get("fs.s3.impl")
    return address if known else f"s3a{address.removeprefix('s3')}"


def java_reason(error: Exception) -> str | None:
    """Return in a line what the JVM said; None of an error that is not its own."""
    from py4j.protocol import Py4JJavaError

    return str(error.java_exception.toString()).splitlines()[0][:300] if isinstance(error, Py4JJavaError) else None


def hadoop_version(spark: SparkSession) -> str:
    """Return the version of Hadoop's libraries in the JVM, which its clients of storages must have as well."""
    jvm: Any = spark.sparkContext._jvm
    return str(jvm.org.apache.hadoop.util.VersionInfo.getVersion())
