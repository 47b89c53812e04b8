"""Data sets of the Hugging Face Hub (or folders in its layout), read by the real ``datasets`` loading code on the driver."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from sparknlp_ft.config import SourceConfig
from sparknlp_ft.errors import DataError
from sparknlp_ft.sources.parquet import parquet_rows
from sparknlp_ft.storage import Folder
from sparknlp_ft.tables.names import column

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


_OTHERWISE = "Check its name and the connection to the Hub, or download its files and give them as csv, jsonl or parquet."
_NO_SCRIPTS = "The Hub itself keeps most such data sets as Parquet: set revision: refs/convert/parquet."


def read_hub(spark: SparkSession, source: SourceConfig, *, scratch: Folder, split_column: str | None) -> DataFrame:
    """Load a data set, label names instead of label numbers, its split names in ``split_column``.

    The rows pass through Parquet files in ``scratch``: a data set larger than the driver's memory goes through as well.

    Raises:
        DataError: The data set is not there, or the Hub cannot be reached.
    """
    frames = []
    for number, (name, dataset) in enumerate(_load(source).items()):
        file = f"{number:03d}.parquet"
        with scratch.open(file, "wb") as stream:
            dataset.to_parquet(stream)
        frame = parquet_rows(spark, [f"{scratch.address}/{file}"])
        for feature_name, feature in dataset.features.items():
            frame = _named(frame, feature_name, feature)
        if split_column is not None:
            frame = frame.withColumn(split_column, F.lit(name))
        frames.append(frame)
    return reduce(lambda one, other: one.unionByName(other, allowMissingColumns=True), frames)


def _load(source: SourceConfig) -> dict[str, Any]:
    import datasets
    from huggingface_hub.errors import HfHubHTTPError

    asked = {"name": source.name, "split": source.split, "revision": source.revision}
    try:
        loaded = datasets.load_dataset(source.path, **{key: value for key, value in asked.items() if value is not None})
    except (OSError, ValueError, RuntimeError, HfHubHTTPError) as error:
        reason = " ".join(str(error).split())[:300]
        raise DataError(
            f"Hub data set {source.path!r} cannot be loaded: {type(error).__name__}: {reason}. "
            f"{_NO_SCRIPTS if 'scripts are no longer' in reason else _OTHERWISE}"
        ) from error
    if isinstance(loaded, datasets.DatasetDict):
        return dict(loaded)
    return {str(source.split).partition("[")[0]: loaded}  # 'train[:1000]' is still train.


def _named(frame: DataFrame, name: str, feature: Any) -> DataFrame:
    """Replace label numbers by their names, also inside lists."""
    inner = getattr(feature, "feature", None)
    names = getattr(feature, "names", None) or getattr(inner, "names", None)
    if not names:
        return frame
    table = F.array(*[F.lit(one) for one in names])
    value = column(name)
    if inner is None:
        return frame.withColumn(name, F.when(value >= 0, F.get(table, value.cast("int"))))
    return frame.withColumn(name, F.transform(value, lambda one: F.when(one >= 0, F.get(table, one.cast("int")))))
