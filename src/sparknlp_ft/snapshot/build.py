"""The tokenised snapshot of one pinned table version: what training is fed from.

Three passes over the table: the keys are proved, splits and labels are counted, then the texts go through one shuffle,
sorted by key hash within each lane, and are tokenised and written by the workers. The folder is named by a digest of all
that decides its content; each build writes into a sub-folder of its own, and the manifest, written last, names its files: a
snapshot that has a manifest is whole and never stale.
"""

from __future__ import annotations

import json
import math
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from sparknlp_ft import identity
from sparknlp_ft.config import Config
from sparknlp_ft.errors import LaunchError, ModelError, shown
from sparknlp_ft.models.pooling import check_pooling
from sparknlp_ft.progress import log
from sparknlp_ft.sessions import hold
from sparknlp_ft.snapshot.encode import EncodePlan, Teacher, encode_files, tokenizer_files, tokenizing_encoder
from sparknlp_ft.snapshot.manifest import FILE_NAME, FORMAT, Manifest, SnapshotFile, Split
from sparknlp_ft.storage import Folder, is_url
from sparknlp_ft.tables import contracts
from sparknlp_ft.tables.contracts import Roles, no_text
from sparknlp_ft.tables.cures import cured
from sparknlp_ft.tables.cut import with_split as split_by
from sparknlp_ft.tables.delta import Pinned, files_present, read
from sparknlp_ft.tables.names import column
from sparknlp_ft.tables.places import tell_places
from sparknlp_ft.tables.session import slots
from sparknlp_ft.tables.survey import SPLITS, Survey, survey
from sparknlp_ft.tables.targets import KINDS
from sparknlp_ft.tables.watch import spark_step
from sparknlp_ft.tasks import get_task
from sparknlp_ft.text.encoder import tokenizer_fingerprint

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

    from sparknlp_ft.tasks import Task

#: Rows of one file, about: what one task sorts and writes in one go.
FILE_ROWS = 65_536
#: Changes when this module or ``encode`` writes other content for the same input.
_CONTENT = 5
_DAY = 86_400


def build_snapshot(
    spark: SparkSession, pinned: Pinned, config: Config, task: Task, model_dir: str | Path, teacher: Teacher | None = None
) -> Manifest:
    """Return the snapshot of a table version, building it if there is none yet.

    Args:
        spark: The session.
        pinned: The table version.
        config: ``data`` and ``train.lanes`` count; seeds, windows and lengths apply later and do not.
        task: The task family.
        model_dir: Folder with the tokenizer.
        teacher: Says something of each row of train, which then needs no target.

    Raises:
        DataError: The table does not keep the contract; nothing is written then.
        ModelError: The teacher reads other texts, or does not know a label of train.
    """
    rows = read(spark, pinned)
    roles = contracts.resolve_roles(rows, config.data, task, need_target=True)
    check_pooling(config.model.pooling, len(roles.texts))
    if teacher is not None:
        _check_reads(teacher, roles)
    tokenizer = tokenizer_fingerprint(model_dir)
    folder = snapshots_folder(config) / _key(pinned, config, roles, tokenizer, teacher)
    if (cached := _cached(folder)) is not None:
        log.info("snapshot %s is there already: %s", folder.name, _told(cached.splits))
        return cached
    check_snapshots(config)
    with files_present(pinned), spark_step("checking keys, labels and splits", spark):
        contracts.check_keys(rows, roles)
        df = cured(rows, roles, config.data, task)
        tell_places(rows, roles, config.data, task)
        found = survey(df, roles, config, task, unlabelled=teacher is not None)
        if teacher is not None:
            found = _with_outputs(found, teacher)
    build = f"build-{uuid.uuid4().hex[:12]}"
    try:
        with files_present(pinned), spark_step(f"tokenising {sum(found.rows.values()):,} rows", spark):
            plan = _plan(found, config, tokenizer, f"{folder.address}/{build}", teacher)
            splits = _encode(_dealt(df, roles, found, config, unlabelled=teacher is not None), plan, found, model_dir)
        manifest = Manifest(
            path=folder.address,
            table=pinned.ref.display,
            table_id=pinned.table_id,
            version=pinned.version,
            task=task.name,
            tokenizer=tokenizer,
            has_pair=len(roles.texts) > 1,
            labels=found.labels,
            statistics=found.statistics,
            splits=splits,
            left_out=found.left_out,
            lessons=0 if teacher is None else teacher.values,
        )
        return _put(manifest, build)
    except BaseException:
        (folder / build).delete()
        raise


def snapshots_folder(config: Config) -> Folder:
    """Return where snapshots are kept: beside the tables where their root is a folder, else in the shared run folder.

    Spark may know how to reach tables at an address where Python on the ranks does not; the run folder they all know.
    """
    root = config.data.root
    plain = not is_url(root) or root.startswith(("dbfs:/", "file:/"))
    return Folder(root if plain else config.launch.run_dir) / "_snapshots"


def check_snapshots(config: Config, *, unless_kept: bool = False) -> None:
    """Refuse a folder of snapshots that cannot be written.

    Args:
        config: Says where it is.
        unless_kept: Let one pass that holds snapshots already: the one that is needed may be among them.

    Raises:
        LaunchError: Names the setting, the folder and the reason.
    """
    folder = snapshots_folder(config)
    if (reason := folder.obstacle()) is None or (unless_kept and folder.names()):
        return
    setting = "data.root" if folder.parent == Folder(config.data.root) else "launch.run_dir"
    raise LaunchError(f"{setting}: snapshots are kept in {folder.address!r}, which cannot be written: {reason}. Give a folder that can.")


@dataclass(frozen=True)
class _Plan:
    """Which files a build writes."""

    encode: EncodePlan
    files: tuple[tuple[str, int], ...]  #: Split and lane of each file, by its number.

    @property
    def splits(self) -> list[str]:
        return list(dict.fromkeys(split for split, _ in self.files))


def _files_per_lane(found: Survey, config: Config) -> dict[str, int]:
    lanes = config.train.lanes
    return {split: math.ceil(found.rows[split] / lanes / FILE_ROWS) for split in SPLITS if found.rows.get(split)}


def _with_outputs(found: Survey, teacher: Teacher) -> Survey:
    """Return the survey with the teacher's labels, which are its student's outputs: more than train's perhaps, and in an order of its own.

    Raises:
        ModelError: Train has a label that the teacher does not know.
    """
    if unknown := sorted(set(found.labels) - set(teacher.labels)):
        raise ModelError(
            f"teacher {teacher.name} does not know the label(s) {shown(unknown)} of train, so no student can learn them from it; name a "
            "model that was trained on this table with model.distil.teacher, or train one first"
        )
    return replace(found, labels=teacher.labels)


def _check_reads(teacher: Teacher, roles: Roles) -> None:
    """Refuse a teacher that reads other texts of a row than its student will."""
    have = tuple(role for role, _ in roles.texts)
    if have != teacher.text_roles:
        raise ModelError(
            f"teacher {teacher.name} reads {', '.join(teacher.text_roles)}, and of this table {', '.join(have)} would be read; "
            "name another one with model.distil.teacher, or other columns with data.columns"
        )


def _plan(found: Survey, config: Config, tokenizer: str, folder: str, teacher: Teacher | None) -> _Plan:
    lanes = range(config.train.lanes)
    files = [(split, lane, n) for split, each in _files_per_lane(found, config).items() for lane in lanes for n in range(each)]
    paths = tuple(f"split={split}/lane={lane:03d}/part-{n:05d}" for split, lane, n in files)
    plan = EncodePlan(folder, paths, config.data.task, found.labels, tokenizer, teacher)
    return _Plan(plan, tuple((split, lane) for split, lane, _ in files))


def _encode(rows: DataFrame, plan: _Plan, found: Survey, model_dir: str | Path) -> dict[str, Split]:
    """Have the workers tokenise and write the rows that ``_dealt`` gave their files."""
    spark, build = rows.sparkSession, plan.encode
    content = hold(spark, tokenizer_files(model_dir))

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return encode_files(batches, build, tokenizing_encoder(build.fingerprint, content.value))

    tasks = min(len(plan.files), max(slots(spark), math.ceil(sum(found.rows.values()) / (4 * FILE_ROWS))))
    written = rows.repartition(tasks, "file").sortWithinPartitions("file", "row").mapInArrow(run, "info string").collect()
    infos = {info["file"]: info for info in (json.loads(row["info"]) for row in written)}
    content.release()
    result = {split: _split(infos, plan, split) for split in plan.splits}
    _check_counts(result, found)
    return result


def _dealt(df: DataFrame, roles: Roles, found: Survey, config: Config, *, unlabelled: bool) -> DataFrame:
    """The usable rows, each with the number of the file it belongs to: by split, then lane, then range of the key hash."""
    assert roles.target is not None
    keys = [column(name) for name in roles.key]
    with_split = split_by(df, roles, config.data, has_validation=found.has_validation, cut=found.cut)
    lanes = config.train.lanes
    row, lane = F.xxhash64(*keys), F.pmod(F.xxhash64(*keys, F.lit("lane")), F.lit(lanes))
    # The upper 32 bits of the hash, as a fraction of their range, choose the file: files of a lane follow each other in order.
    upper = F.shiftright(row, 32) + F.lit(2**31)
    number, first = F.lit(None).cast("int"), 0
    for split, files in _files_per_lane(found, config).items():
        own = F.lit(first) + lane * files + F.shiftright(upper * F.lit(files), 32)
        number = F.when(F.col(contracts.SPLIT) == split, own.cast("int")).otherwise(number)
        first += lanes * files
    texts = [contracts.clean_text(column(name)) for _, name in roles.texts]
    label = KINDS[get_task(config.data.task).target_kind].value(df, roles.target)
    pair = texts[1] if len(texts) > 1 else F.lit(None).cast("string")
    enough = label.isNotNull() | (F.col(contracts.SPLIT) == contracts.TRAIN) if unlabelled else label.isNotNull()
    usable = with_split.where(~no_text(roles) & enough)
    columns = [number.alias("file"), row.alias("row"), texts[0].alias("text"), pair.alias("pair"), label.alias("target")]
    return usable.select(*columns).where(F.col("file").isNotNull())


def _split(infos: Mapping[int, dict], plan: _Plan, split: str) -> Split:
    by_lane: dict[int, list[SnapshotFile]] = {lane: [] for of, lane in plan.files if of == split}
    histogram: Counter[int] = Counter()
    build = Folder(plan.encode.folder).name
    for number, (of, lane) in enumerate(plan.files):
        if of == split and number in infos:  # A file that got no row is not written.
            by_lane[lane].append(SnapshotFile(f"{build}/{infos[number]['path']}", tuple(infos[number]["row_groups"])))
            histogram.update({int(size): rows for size, rows in infos[number]["histogram"].items()})
    return Split(tuple(tuple(lane) for lane in by_lane.values()), {str(size): rows for size, rows in sorted(histogram.items())})


def _check_counts(splits: Mapping[str, Split], found: Survey) -> None:
    for name, split in splits.items():
        if split.rows != found.rows[name]:
            raise RuntimeError(
                f"snapshot: {found.rows[name]} rows of {name} were counted and {split.rows} written; the table version is unstable"
            )


def _key(pinned: Pinned, config: Config, roles: Roles, tokenizer: str, teacher: Teacher | None) -> str:
    form = (FORMAT, _CONTENT, FILE_ROWS)
    share = contracts.test_share(roles, config.data)
    more = {"format": form, "tokenizer": tokenizer, "roles": asdict(roles), **({"test": share} if share else {})}
    more |= {} if teacher is None else {"teacher": teacher.digest}
    decides = identity.of_snapshot(config, (pinned.table_id, pinned.version), **more)
    return identity.fingerprint(decides, length=20)


def _cached(folder: Folder) -> Manifest | None:
    """The snapshot in a folder, if it is whole (someone may have deleted files of it)."""
    if folder.read_json(FILE_NAME) is None:
        return None
    manifest = Manifest.load(folder.address)
    there = {str(path).removeprefix(folder.path).lstrip("/") for path in folder.files.find(folder.path)}
    files = [file.path for split in manifest.splits.values() for lane in split.lanes for file in lane]
    return manifest if there.issuperset(files) else None


def _put(manifest: Manifest, build: str) -> Manifest:
    """Write the manifest of a finished build; if another job put one there meanwhile, that is as good, and this build goes."""
    folder = Folder(manifest.path)
    if (other := _cached(folder)) is not None:
        (folder / build).delete()
        return other
    broken = folder.read_json(FILE_NAME)
    manifest.save()
    if broken is not None:
        for part in {file["path"].split("/")[0] for split in broken["splits"].values() for lane in split["lanes"] for file in lane}:
            folder.delete(part)
    _sweep(folder, keep=build)
    log.info("snapshot %s: %s, %d labels", folder.name, _told(manifest.splits), len(manifest.labels))
    return manifest


def _sweep(folder: Folder, *, keep: str) -> None:
    """Delete what builds that were killed left here; one that is younger than a day may be at work."""
    for name in folder.names():
        files = folder.files.find((folder / name).path) if name.startswith("build-") and name != keep else []
        if files and all(time.time() - folder.files.modified(path).timestamp() > _DAY for path in files):
            (folder / name).delete()


def _told(splits: Mapping[str, Split]) -> str:
    return ", ".join(f"{name} {split.rows}" for name, split in splits.items())
