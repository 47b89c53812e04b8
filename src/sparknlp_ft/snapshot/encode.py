"""The worker side of the snapshot: texts in, Parquet files of packed token ids out. Runs in Spark's Python workers.

Rows come sorted by file and by key hash. Each file gets a name of its own, which the manifest takes up: one of a task that
was tried again, or run twice, is named nowhere.
"""

from __future__ import annotations

import functools
import itertools
import json
import os
import tempfile
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sparknlp_ft.config import TextConfig
from sparknlp_ft.snapshot.manifest import SCHEMA, TAUGHT
from sparknlp_ft.storage import Folder
from sparknlp_ft.tasks import get_task
from sparknlp_ft.text.encoder import TOKENIZER_FILES, TextEncoder

#: Rows of one row group: what a reader holds at once.
GROUP_ROWS = 8_192


@dataclass(frozen=True)
class EncodePlan:
    """What a worker needs to know; small, and the same for all tasks."""

    folder: str  #: Address of the snapshot.
    files: tuple[str, ...]  #: Relative path of each file, by its number, without what makes it this task's own and ``.parquet``.
    task: str
    labels: tuple[str, ...]
    fingerprint: str
    teacher: Teacher | None = None

    def teacher_of(self, file: int) -> Teacher | None:
        """Return who teaches the rows of a file, by its number; None for splits that are not taught."""
        return self.teacher if self.files[file].startswith(f"split={TAUGHT}/") else None


@dataclass(frozen=True)
class Teacher:
    """A fine-tuned model that says something of each row of train; small, and picklable.

    Attributes:
        name: What it is called in messages.
        digest: Tells it from any other by its content.
        labels: Its label list.
        text_roles: The texts of a row that it reads, in its order.
        values: Numbers that it says of a row.
        teach: Returns them, float32 [rows, values], of a column of texts per text role and the rows' hashes. Runs in a worker.
    """

    name: str
    digest: str
    labels: tuple[str, ...]
    text_roles: tuple[str, ...]
    values: int
    teach: Callable[[Sequence[Sequence[str]], Sequence[int]], np.ndarray]


def tokenizer_files(model_dir: str | Path) -> dict[str, bytes]:
    """Read the files that make a tokenizer, to be sent to workers that may not see the model folder."""
    names = ("config.json", *TOKENIZER_FILES)
    return {name: path.read_bytes() for name in names if (path := Path(model_dir) / name).is_file()}


def tokenizing_encoder(fingerprint: str, files: Mapping[str, bytes]) -> TextEncoder:
    """Return this process's encoder for full token ids (its ``max_length`` means nothing), built once."""
    if fingerprint not in _ENCODERS:
        os.environ["TOKENIZERS_PARALLELISM"] = "false"  # Spark already runs one worker per core.
        with tempfile.TemporaryDirectory() as folder:
            for name, content in files.items():
                (Path(folder) / name).write_bytes(content)
            _ENCODERS[fingerprint] = TextEncoder.load(folder, TextConfig(max_length=16))
    return _ENCODERS[fingerprint]


_ENCODERS: dict[str, TextEncoder] = {}


def encode_files(batches: Iterator[pa.RecordBatch], plan: EncodePlan, encoder: TextEncoder) -> Iterator[pa.RecordBatch]:
    """Tokenise and write.

    Args:
        batches: Columns ``file`` int32, ``row`` int64, ``text`` and ``pair`` and ``target`` strings, sorted by file, row. Where
            there is a teacher, ``target`` is NULL of rows of train that have none.
        plan: Where to, and what the targets mean.
        encoder: Tokenises.

    Yields:
        One column ``info``: per file its number, path, rows of each row group and length histogram, as JSON.
    """
    current: _FileWriter | None = None
    for batch in batches:
        numbers = batch.column(0).to_numpy()
        for start, end in _runs(numbers):
            number = int(numbers[start])
            if current is None or current.number != number:
                if current is not None:
                    yield current.close()
                current = _FileWriter(number, Folder(plan.folder), f"{plan.files[number]}-{uuid.uuid4().hex[:12]}.parquet")
            current.add(_encoded(batch.slice(start, end - start), plan, encoder, plan.teacher_of(number)))
    if current is not None:
        yield current.close()


def token_lengths(batches: Iterator[pa.RecordBatch], encoder: TextEncoder) -> Iterator[pa.RecordBatch]:
    """Count the tokens (of all texts of a row together, without specials) of each row.

    Args:
        batches: String columns, one per text.
        encoder: Tokenises.

    Yields:
        ``length`` and ``rows``: how many rows have that length.
    """
    counts: Counter[int] = Counter()
    for batch in batches:
        columns = [encoder.tokenize(texts.to_pylist()) for texts in batch.columns]
        counts.update(sum(len(ids) for ids in row) for row in zip(*columns, strict=True))
    yield pa.RecordBatch.from_arrays([pa.array(counts.keys(), pa.int64()), pa.array(counts.values(), pa.int64())], ["length", "rows"])


def _runs(numbers: np.ndarray) -> list[tuple[int, int]]:
    """Return start and end of each run of equal numbers."""
    if not len(numbers):
        return []
    cuts = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(numbers)]
    return list(itertools.pairwise(cuts))


def _encoded(batch: pa.RecordBatch, plan: EncodePlan, encoder: TextEncoder, teacher: Teacher | None) -> pa.Table:
    _, row, text, pair, target = batch.columns
    task = get_task(plan.task)
    texts = [text.to_pylist(), *([pair.to_pylist()] if pair.null_count < len(pair) else [])]
    if task.needs_offsets:
        tokens = encoder.tokenize_with_offsets(texts[-1])
        columns = [*(encoder.tokenize(column) for column in texts[:-1]), [one.ids for one in tokens]]
    else:
        columns = [encoder.tokenize(column) for column in texts]
        tokens = []
    if teacher is None:
        targets = task.encode_targets(target.to_pylist(), plan.labels, tokens=tokens, texts=texts[-1], encoder=encoder)
    else:
        targets = _taught(target.to_pylist(), teacher.teach(texts, row.to_pylist()), plan, encoder)
    ids, pairs = columns[0], columns[1] if len(columns) > 1 else [_NONE] * len(columns[0])
    lengths = [len(one) + len(other) for one, other in zip(ids, pairs, strict=True)]
    return pa.Table.from_arrays(
        [row.cast(pa.int64()), _packed(ids), _packed(pairs), pa.array(lengths, pa.int32()), pa.array(targets, pa.binary())], schema=SCHEMA
    )


def _taught(values: list[str | None], lessons: np.ndarray, plan: EncodePlan, encoder: TextEncoder) -> list[bytes]:
    """Return targets, those that there are, each with what the teacher says of its row."""
    task = get_task(plan.task)
    given = [value for value in values if value is not None]
    encoded = iter(task.encode_targets(given, plan.labels, tokens=[], texts=[], encoder=encoder))
    own = [b"" if value is None else next(encoded) for value in values]
    return [target + lesson.tobytes() for target, lesson in zip(own, np.ascontiguousarray(lessons, dtype="<f4"), strict=True)]


_NONE = np.empty(0, dtype=np.int32)


def _packed(arrays: list[np.ndarray]) -> pa.Array:
    return pa.array([one.astype(one.dtype.newbyteorder("<"), copy=False).tobytes() for one in arrays], pa.binary())


@dataclass
class _FileWriter:
    """One file in the making: row groups of equal size, written as they fill up."""

    number: int
    folder: Folder
    path: str
    waiting: list[pa.Table] = field(default_factory=list)
    histogram: Counter[int] = field(default_factory=Counter)
    groups: list[int] = field(default_factory=list)

    @functools.cached_property
    def stream(self) -> IO[bytes]:
        return self.folder.open(self.path, "wb")

    @functools.cached_property
    def writer(self) -> pq.ParquetWriter:
        return pq.ParquetWriter(self.stream, SCHEMA, compression="zstd", use_dictionary=False)

    def add(self, table: pa.Table) -> None:
        lengths = np.maximum(table["length"].to_numpy(), 1)
        sizes, rows = np.unique(2 ** np.ceil(np.log2(lengths)).astype(np.int64), return_counts=True)
        self.histogram.update(dict(zip(sizes.tolist(), rows.tolist(), strict=True)))
        self.waiting.append(table)
        held = sum(len(one) for one in self.waiting)
        if held >= GROUP_ROWS:
            self._flush(held - held % GROUP_ROWS)

    def _flush(self, rows: int) -> None:
        table = pa.concat_tables(self.waiting).combine_chunks()
        self.writer.write_table(table.slice(0, rows), row_group_size=GROUP_ROWS)
        self.groups += [min(GROUP_ROWS, rows - start) for start in range(0, rows, GROUP_ROWS)]
        self.waiting = [table.slice(rows)]

    def close(self) -> pa.RecordBatch:
        if rest := sum(len(one) for one in self.waiting):  # An empty row group would stop a reader short.
            self._flush(rest)
        self.writer.close()
        self.stream.close()
        histogram = {str(size): rows for size, rows in sorted(self.histogram.items())}
        info = {"file": self.number, "path": self.path, "row_groups": self.groups, "histogram": histogram}
        return pa.RecordBatch.from_arrays([pa.array([json.dumps(info)], pa.string())], ["info"])
