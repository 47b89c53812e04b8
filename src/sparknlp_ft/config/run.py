"""The parts of the configuration that say how a job runs: its ranks, where MLflow is, how a table is scored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from pydantic import Field, field_validator

from sparknlp_ft.config.section import Section


class LaunchConfig(Section):
    """How many processes train, and how they are started."""

    backend: Literal["auto", "horovod", "torch", "solo"] = Field(
        "auto",
        description="What starts the ranks and sums over them: Horovod's own launcher, PyTorch's (TorchDistributor; gloo, NCCL on GPUs), "
        "or nothing: one rank in the driver (solo). auto: solo for one rank on this machine, which is up in seconds; else Horovod.",
    )
    reader: Literal["petastorm", "arrow"] = Field("petastorm", description="What reads the snapshot's files; results are the same.")
    ranks: int = Field(
        0,
        ge=0,
        description="Processes that train; 0: one with all threads on a single machine without GPUs (faster there than several), one a GPU "
        "on one with, one a slot on a cluster.",
    )
    threads: int | None = Field(None, ge=1, description="Threads per rank; default: this machine's cores divided by ranks.")
    run_dir: str = Field(
        "runs",
        description="Folder or address (s3://, abfss://, dbfs:/) that all ranks and the driver reach: checkpoints, rank errors, events.",
    )
    start_timeout: int = Field(300, ge=1, description="Seconds all ranks may take to come up.")
    restarts: int = Field(3, ge=0, description="How often ranks are started again from the last checkpoint after one was lost.")
    elastic: bool = Field(
        False,
        description="Horovod's elastic mode: refused, for restarts does what it would, from the last checkpoint (docs/DESIGN.md).",
    )
    stall_seconds: float = Field(60.0, gt=0, description="Seconds without a sign of life after which a rank counts as lost.")
    checkpoint_seconds: float = Field(60.0, ge=0, description="Least seconds between two checkpoints.")
    checkpoint_steps: int | None = Field(None, ge=1, description="A checkpoint after so many steps, too, counted over the whole run.")
    env: dict[str, str] = Field({}, description="Environment variables handed to each rank.")

    @field_validator("elastic")
    @classmethod
    def _never_elastic(cls, value: bool) -> bool:
        if value:
            raise ValueError(
                "true, and Horovod's elastic mode is not used here; leave it out: launch.restarts does the same, lost ranks are started "
                "again from the last checkpoint, on fewer ranks if the cluster has become smaller"
            )
        return value


class TrackingConfig(Section):
    """Where MLflow keeps runs and models."""

    uri: str | None = Field(None, description="MLflow tracking address; default: MLFLOW_TRACKING_URI, else a SQLite store in ./mlflow.")
    artifacts: str | None = Field(None, description="Artifact folder of a local store; default: beside the store.")
    experiment: str = "sparknlp_ft"
    model_name: str | None = Field(None, description="Registered name; default: TASK-TABLE.")
    alias: str = "champion"
    gate: Literal["baseline", "alias"] = Field(
        "baseline",
        description="What a new model must beat on the validation rows for the alias to move. baseline: the task's cheap baseline, fitted "
        "on the same train rows, and the aliased model; alias: the aliased model alone, and the first model the most frequent answer.",
    )
    min_gain: float = Field(0.0, ge=0, description="How much better than the aliased model a new one must be.")
    min_confidence: float = Field(
        0.9,
        ge=0,
        lt=1,
        description="In what share of draws of the validation rows (with replacement, the same rows for both) it must be better than each "
        "of them: to be ahead by one row of any number is to be better in 0.82 of the draws, by two rows in 0.93. 0: to be better on the "
        "rows as they are is enough.",
    )
    at_least: dict[str, float] = Field(
        {},
        description="What a model must reach on the validation rows for the alias to move, whatever it beats: {accuracy: 0.8}. Of metrics "
        "that are errors, the most that is borne.",
    )
    tensorboard: str | None = Field(None, description="Folder for TensorBoard event files of training, beside MLflow's metrics.")
    notify: str | None = Field(
        None,
        description="Incoming webhook (Slack, Teams, Mattermost) that is told when a command starts, ends or fails; "
        "default: the environment's SPARKNLP_FT_NOTIFY. It is a secret: never printed, never logged.",
    )

    @field_validator("notify", mode="after")
    @classmethod
    def _a_web_address(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("https://", "http://")):
            raise ValueError("expected the web address of an incoming webhook, https://…")
        return value

    def placed(self, fix: Callable[[str | None], str | None]) -> TrackingConfig:
        """Return the section with absolute folders."""
        return self.model_copy(update={"artifacts": fix(self.artifacts), "tensorboard": fix(self.tensorboard)})


class ScoreConfig(Section):
    """Which model scores which table, and where the predictions go."""

    model: str | None = Field(None, description="NAME@ALIAS, NAME/VERSION or runs:/ID/model; default: tracking.model_name@alias.")
    table: str | None = Field(None, description="Table to score; default: data.table.")
    output: str | None = Field(
        None, description="Predictions table; default: SOURCE_predictions. The source itself: columns are added there."
    )
    where: str | None = Field(None, description="SQL condition; only rows that fulfil it are scored.")
    batch_tokens: int | None = Field(None, ge=1, description="Padded tokens per forward pass; default: 1,024 on CPUs, 4,096 on GPUs.")
    engine: Literal["torch", "openvino", "onnx", "auto"] = Field(
        "torch",
        description="What computes: torch; OpenVINO or ONNX Runtime (pip install 'sparknlp-ft[engines]'); auto: whichever is fastest on "
        "rows of the table itself, measured in a worker if each of the tasks that run at once has 5,000 rows to score; with 10,000 also "
        "those that a model is exported for, with 15,000 also int8.",
    )
    precision: Literal["auto", "float32", "bfloat16", "float16", "int8"] = Field(
        "auto",
        description="Number format; auto: the fastest that agrees with float32. One other than float32 is used only if it does: "
        "torch has float32, bfloat16, float16; openvino float32, bfloat16, int8; onnx float32, int8.",
    )
    min_agreement: float = Field(
        0.995,
        ge=0,
        le=1,
        description="Share of a sample of the table's rows that must get the decision they get in float32, or float32 is used. An engine "
        "that differs more often is used for what it decides clearly, where that reaches this share; the rest is left to the fastest "
        "other one.",
    )
    most_scores: int | None = Field(
        None,
        ge=0,
        description="How many of a row's scores are written, the highest ones; default: that of every label; 0: the column is left out.",
    )
    threads: int = Field(1, ge=1, description="Threads of each Python worker.")
    partitions: int | None = Field(None, ge=1, description="Parallel scoring tasks; default: from the cluster's slots and the row count.")
    max_error_fraction: float = Field(0.1, ge=0, le=1, description="The job fails when a larger share of rows has status 'error'.")
    retry_errors: bool = Field(False, description="Score rows in error again.")
    on_deleted: Literal["keep", "mark", "delete"] = Field(
        "keep", description="Predictions of rows that are no longer in the source: kept, marked by status 'deleted', or deleted."
    )
    by_source: bool = Field(
        False,
        description="Several tables share score.output: a prediction's source_table is part of its key. Else a second table is refused.",
    )
    allow_code: bool = Field(
        False, description="Run the functions that a packaged model brings (package.processing), on every worker. Look at the file first."
    )
    trusted_loaders: list[str] = Field(
        [],
        description="Loaders of logged models that are read as ours, besides our own: of a copy of this package under another name. "
        "They are not called.",
    )
