"""The part of the configuration that says what ``compare`` compares, and where ``--search`` looks."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator

from sparknlp_ft.config.section import Section


class CandidateConfig(Section):
    """One candidate: the configuration with a few settings changed."""

    name: str = Field(min_length=1)
    set: dict[str, Any] = Field({}, description="Dotted settings, e.g. {model.tuning: lora, train.epochs: 2}.")


class CompareConfig(Section):
    """What ``compare`` compares. Validation rows alone choose; test is reported."""

    candidates: list[CandidateConfig] | None = Field(
        None,
        description="Each {name: NAME, set: {model.tuning: lora, train.epochs: 2}}; default: the configuration as it is. "
        "[]: the cheap baselines alone.",
    )
    measure: str | None = Field(None, description="Validation metric that orders the candidates; default: train.metric, or the task's own.")
    table: str | None = Field(None, description="Leaderboard table, to which each run adds its rows; default: TABLE_leaderboard.")
    register_winner: bool = Field(False, description="Register the best candidate and let the gate decide on the alias.")
    search: dict[str, Any] = Field(
        {
            "train.learning_rate": {"low": 1e-5, "high": 1e-3, "log": True},
            "train.epochs": [2, 3, 4, 5],
            "train.batch_size": [16, 32, 64],
            "train.warmup_fraction": {"low": 0.0, "high": 0.2},
            "train.weight_decay": {"low": 0.0, "high": 0.1},
        },
        min_length=1,
        description="Where compare --search N looks: dotted setting → choices, or {low, high} (log: true: by orders of magnitude).",
    )

    @field_validator("candidates", mode="after")
    @classmethod
    def _names_differ(cls, value: list[CandidateConfig] | None) -> list[CandidateConfig] | None:
        names = [candidate.name for candidate in value or ()]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"two candidates are called {twice!r}; each needs a name of its own")
        return value
