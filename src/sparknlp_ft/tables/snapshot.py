"""The tokenised snapshot of one pinned table version: what training is fed from.

Three passes over the table: the keys are proved, splits and labels are counted, then the texts go through one shuffle,
sorted by key hash within each lane, and are tokenised and written by the workers. The folder is named by a digest of all
that decides its content, is built under another name and renamed: a snapshot that is there is whole and never stale.
"""

from __future__ import annotations

import json
import math
import shutil
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from sparknlp_ft.config import Config, fingerprint, is_url
from sparknlp_ft.errors import DataError, nearest, shown
from sparknlp_ft.progress import log
from sparknlp_ft.tables import contracts
from sparknlp_ft.tables.contracts import TEST, TRAIN, VALIDATION, Roles, column
from sparknlp_ft.tables.delta import Pinned, files_present, read
from sparknlp_ft.tables.encode import EncodePlan, encode_files, tokenizer_files, tokenizing_encoder
from sparknlp_ft.tables.session import slots
from sparknlp_ft.tables.targets import KINDS
from sparknlp_ft.tables.watch import spark_step
from sparknlp_ft.text.encoder import tokenizer_fingerprint
from sparknlp_ft.text.manifest import FILE_NAME, FORMAT, Manifest, SnapshotFile, Split

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import Column, DataFrame, Row, SparkSession

    from sparknlp_ft.tasks import Task

#: Rows of one file, about: what one task sorts and writes in one go.
FILE_ROWS = 65_536
#: Distinct labels above which the label column is surely another one.
MOST_LABELS = 100_000
SPLITS = (TRAIN, VALIDATION, TEST)
#: Changes when this module or ``encode`` writes other content for the same input.
_CONTENT = 4
_DAY = 86_400


@dataclass(frozen=True)
class Survey:
    """What one pass over the table told."""

    has_validation: bool
    rows: Mapping[str, int]  #: Usable rows by split.
    labels: tuple[str, ...]
    label_counts: Mapping[str, float]
    left_out: Mapping[str, int]


def build_snapshot(spark: SparkSession, pinned: Pinned, config: Config, task: Task, model_dir: str | Path) -> Manifest:
    """Return the snapshot of a table version, building it if there is none yet.

    Args:
        spark: The session.
        pinned: The table version.
        config: ``data`` and ``train.lanes`` count; seeds, windows and lengths apply later and do not.
        task: The task family.
        model_dir: Folder with the tokenizer.

    Raises:
        DataError: The table does not keep the contract; nothing is written then.
    """
    df = read(spark, pinned)
    roles = contracts.resolve_roles(df, config.data, task, need_target=True)
    tokenizer = tokenizer_fingerprint(model_dir)
    home = snapshots_folder(config)
    folder = home / _key(pinned, config, task, roles, tokenizer)
    if (cached := _cached(folder)) is not None:
        log.info("snapshot %s is there already: %s", folder.name, _told(cached.splits))
        return cached
    with files_present(pinned), spark_step("checking keys, labels and splits", spark):
        contracts.check_keys(df, roles)
        found = survey(df, roles, config, task)
    building = home / f".building-{folder.name}-{uuid.uuid4().hex[:8]}"
    try:
        with files_present(pinned), spark_step(f"tokenising {sum(found.rows.values()):,} rows", spark):
            splits = _encode(df, roles, found, config=config, task=task, model_dir=model_dir, folder=building)
        manifest = Manifest(
            path=str(building),
            table=pinned.ref.display,
            table_id=pinned.table_id,
            version=pinned.version,
            task=task.name,
            tokenizer=tokenizer,
            has_pair=len(roles.texts) > 1,
            labels=found.labels,
            label_counts=found.label_counts,
            splits=splits,
            left_out=found.left_out,
        )
        manifest.save()
        return _put(building, folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def snapshots_folder(config: Config) -> Path:
    """Return where snapshots are kept: beside the tables where their root is a folder, else in the shared run folder.

    Ranks read snapshots as plain files, so they need a folder; ``dbfs:/`` and ``file:/`` addresses are mounted as one.
    """
    root = config.data.root
    if root.startswith("dbfs:/"):
        return Path("/dbfs") / root.removeprefix("dbfs:").lstrip("/") / "_snapshots"
    if root.startswith("file:/"):
        return Path("/" + root.removeprefix("file:").lstrip("/")) / "_snapshots"
    return Path(config.launch.run_dir if is_url(root) else root) / "_snapshots"


def survey(df: DataFrame, roles: Roles, config: Config, task: Task) -> Survey:
    """Count usable rows by split and label in one pass, and settle the label list.

    Raises:
        DataError: No training or validation rows, unfit labels, or labels in validation or test that train has not.
    """
    groups = _count_groups(df, roles, config, task)
    has_validation = any(group["raw"] == VALIDATION for group in groups)
    rows: Counter[str] = Counter()
    by_label: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
    own: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    numbers: list[Row] = []
    trainable = 0
    for group in groups:
        raw, label, count = group["raw"], group["label"], group["rows"]
        split = VALIDATION if raw == TRAIN and group["cut"] and not has_validation else raw
        if split not in SPLITS:
            left_out["in another split"] += count
        elif group["no_text"] or group["no_target"]:
            left_out[f"{raw}: {'text' if group['no_text'] else task.target_role} is NULL or blank"] += count
        else:
            rows[split] += count
            trainable += count if raw == TRAIN else 0
            if label is not None:
                by_label[split][label] += group["labels"]
                # A label whose few rows all fell into the cut is still a label of train.
                own[label] += group["labels"] if raw == TRAIN else 0
            if split == TRAIN and group["mean"] is not None:
                numbers.append(group)
    if not trainable:
        raise _nothing_to_train(config, roles)
    labels = task.label_list([label for label, count in own.items() if count])
    if not rows[TRAIN] or not rows[VALIDATION]:
        raise _nothing_left(rows, trainable, config)
    if labels:
        _require_seen(by_label, labels, roles)
    if left_out:
        log.warning(
            "left out of training and evaluation: %s", "; ".join(f"{count} row(s), {why}" for why, count in sorted(left_out.items()))
        )
    return Survey(has_validation, dict(rows), tuple(labels), dict(by_label[TRAIN]) | _moments(numbers), dict(left_out))


def _count_groups(df: DataFrame, roles: Roles, config: Config, task: Task) -> list[Row]:
    """One pass: rows (each counted at its first label) and labels by split, cut, and whether text or target is missing."""
    assert roles.target is not None
    kind = KINDS[task.target_kind]
    number = kind.number(df, roles.target) if kind.number else F.lit(None).cast("double")
    described = df.select(
        contracts.raw_split(roles, config.data).alias("raw"),
        contracts.in_cut(roles, config.data).alias("cut"),
        _no_text(roles).alias("no_text"),
        kind.value(df, roles.target).isNull().alias("no_target"),
        kind.labels(df, roles.target).alias("all"),
        number.alias("number"),
    )
    exploded = described.select("*", F.posexplode_outer("all").alias("at", "label"))
    groups = exploded.groupBy("raw", "cut", "no_text", "no_target", "label").agg(
        F.count_if(F.coalesce(F.col("at"), F.lit(0)) == 0).alias("rows"),
        F.count("*").alias("labels"),
        F.avg("number").alias("mean"),
        F.var_pop("number").alias("variance"),
    )
    found = groups.limit(MOST_LABELS + 1).collect()
    if len(found) > MOST_LABELS:
        raise DataError(
            f"column {roles.target!r} has more than {MOST_LABELS:,} different values, too many for labels; "
            f"name the right one with data.columns.{task.target_role}=COLUMN"
        )
    return found


def _moments(groups: Sequence[Row]) -> dict[str, float]:
    """Mean and deviation over groups of rows, from those of each (Chan, Golub and LeVeque 1979): sums of squares would cancel."""
    rows = sum(group["rows"] for group in groups)
    if not rows:
        return {}
    mean = sum(group["rows"] * group["mean"] for group in groups) / rows
    variance = sum(group["rows"] * (group["variance"] + (group["mean"] - mean) ** 2) for group in groups) / rows
    return {"mean": mean, "deviation": math.sqrt(variance)}


def _no_text(roles: Roles) -> Column:
    blanks = [contracts.is_blank(column(name)) for _, name in roles.texts]
    return F.greatest(*blanks) if len(blanks) > 1 else blanks[0]


def _nothing_to_train(config: Config, roles: Roles) -> DataError:
    where = f"no row of split {config.data.train_split!r} (column {roles.split!r})" if roles.split else "no row"
    return DataError(f"{where} has both a text and a target, so there is nothing to train on; check data.train_split and data.columns")


def _nothing_left(rows: Mapping[str, int], own: int, config: Config) -> DataError:
    lacking = VALIDATION if rows.get(TRAIN) else TRAIN
    return DataError(
        f"{own} training row(s) with data.validation_fraction={config.data.validation_fraction} leave no row for {lacking}; "
        "change the fraction, add rows, or give the table validation rows of its own"
    )


def _require_seen(by_label: Mapping[str, Counter[str]], labels: list[str], roles: Roles) -> None:
    for split in (VALIDATION, TEST):
        unseen = sorted(set(by_label[split]) - set(labels))
        if unseen:
            rows = sum(by_label[split][label] for label in unseen)
            raise DataError(
                f"label(s) {shown(unseen)} stand in {rows} row(s) of {split} and in none of train (column {roles.target!r})."
                f"{nearest(unseen[0], labels)} Correct or remove these rows, or add such rows to train."
            )


def _encode(
    df: DataFrame, roles: Roles, found: Survey, *, config: Config, task: Task, model_dir: str | Path, folder: Path
) -> dict[str, Split]:
    spark, lanes = df.sparkSession, config.train.lanes
    per_lane = {split: math.ceil(rows / lanes / FILE_ROWS) for split, rows in found.rows.items() if rows}
    splits = [split for split in SPLITS if split in per_lane]
    files = [(split, lane, n) for split in splits for lane in range(lanes) for n in range(per_lane[split])]
    paths = tuple(f"split={split}/lane={lane:03d}/part-{n:05d}.parquet" for split, lane, n in files)
    plan = EncodePlan(str(folder), paths, task.name, found.labels, tokenizer_fingerprint(model_dir))
    content = spark.sparkContext.broadcast(tokenizer_files(model_dir))

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return encode_files(batches, plan, tokenizing_encoder(plan.fingerprint, content.value))

    rows = _dealt(df, roles, found, config=config, task=task, per_lane=per_lane)
    tasks = min(len(files), max(slots(spark), math.ceil(sum(found.rows.values()) / (4 * FILE_ROWS))))
    written = rows.repartition(tasks, "file").sortWithinPartitions("file", "row").mapInArrow(run, "info string").collect()
    infos = {info["file"]: info for info in (json.loads(row["info"]) for row in written)}
    content.destroy()
    result = {split: _split(infos, files, paths, split=split, lanes=lanes) for split in splits}
    _check_counts(result, found)
    return result


def _dealt(df: DataFrame, roles: Roles, found: Survey, *, config: Config, task: Task, per_lane: Mapping[str, int]) -> DataFrame:
    """The usable rows, each with the number of the file it belongs to: by split, then lane, then range of the key hash."""
    assert roles.target is not None
    keys = [column(name) for name in roles.key]
    with_split = contracts.with_split(df, roles, config.data, has_validation=found.has_validation)
    lanes = config.train.lanes
    row, lane = F.xxhash64(*keys), F.pmod(F.xxhash64(*keys, F.lit("lane")), F.lit(lanes))
    # The upper 32 bits of the hash, as a fraction of their range, choose the file: files of a lane follow each other in order.
    upper = F.shiftright(row, 32) + F.lit(2**31)
    number, first = F.lit(None).cast("int"), 0
    for split in (one for one in SPLITS if one in per_lane):
        files = per_lane[split]
        own = F.lit(first) + lane * files + F.shiftright(upper * F.lit(files), 32)
        number = F.when(F.col(contracts.SPLIT) == split, own.cast("int")).otherwise(number)
        first += lanes * files
    texts = [contracts.clean_text(column(name)) for _, name in roles.texts]
    label = KINDS[task.target_kind].value(df, roles.target)
    pair = texts[1] if len(texts) > 1 else F.lit(None).cast("string")
    usable = with_split.where(~_no_text(roles) & label.isNotNull())
    columns = [number.alias("file"), row.alias("row"), texts[0].alias("text"), pair.alias("pair"), label.alias("target")]
    return usable.select(*columns).where(F.col("file").isNotNull())


def _split(infos: Mapping[int, dict], files: list[tuple[str, int, int]], paths: tuple[str, ...], *, split: str, lanes: int) -> Split:
    by_lane: list[list[SnapshotFile]] = [[] for _ in range(lanes)]
    histogram: Counter[int] = Counter()
    for number, (of, lane, _) in enumerate(files):
        if of == split and number in infos:  # A file that got no row is not written.
            by_lane[lane].append(SnapshotFile(paths[number], tuple(infos[number]["row_groups"])))
            histogram.update({int(size): rows for size, rows in infos[number]["histogram"].items()})
    return Split(tuple(tuple(lane) for lane in by_lane), {str(size): rows for size, rows in sorted(histogram.items())})


def _check_counts(splits: Mapping[str, Split], found: Survey) -> None:
    for name, split in splits.items():
        if split.rows != found.rows[name]:
            raise RuntimeError(
                f"snapshot: {found.rows[name]} rows of {name} were counted and {split.rows} written; the table version is unstable"
            )


def _key(pinned: Pinned, config: Config, task: Task, roles: Roles, tokenizer: str) -> str:
    data = config.data
    decides = {
        "format": (FORMAT, _CONTENT, FILE_ROWS),
        "table": (pinned.table_id, pinned.version),
        "task": task.name,
        "tokenizer": tokenizer,
        "roles": asdict(roles),
        "splits": (data.train_split, data.validation_split, data.test_split, data.validation_fraction),
        "lanes": config.train.lanes,
    }
    return fingerprint(decides, length=20)


def _cached(folder: Path) -> Manifest | None:
    """The snapshot in a folder, if it is whole (someone may have deleted files of it)."""
    if not (folder / FILE_NAME).is_file():
        return None
    manifest = Manifest.load(folder)
    files = [file for split in manifest.splits.values() for lane in split.lanes for file in lane]
    return manifest if all((folder / file.path).is_file() for file in files) else None


def _put(building: Path, folder: Path) -> Manifest:
    """Rename a finished snapshot into place; one that another job put there meanwhile is as good."""
    for old in building.parent.glob(".building-*"):
        if old != building and time.time() - old.stat().st_mtime > _DAY:
            shutil.rmtree(old, ignore_errors=True)
    if folder.exists() and _cached(folder) is None:
        shutil.rmtree(folder)
    try:
        building.rename(folder)
    except OSError:
        if _cached(folder) is None:
            raise
    manifest = Manifest.load(folder)
    log.info("snapshot %s: %s, %d labels", folder.name, _told(manifest.splits), len(manifest.labels))
    return manifest


def _told(splits: Mapping[str, Split]) -> str:
    return ", ".join(f"{name} {split.rows}" for name, split in splits.items())
