"""The one configuration, in typed sections: what ``conf/reference.yaml`` lists, and ``load_config`` reads and checks."""

from sparknlp_ft.config.compare import CandidateConfig, CompareConfig
from sparknlp_ft.config.ingest import KeepConfig, LabelsConfig, SourceConfig
from sparknlp_ft.config.load import given_settings, load_config, with_settings
from sparknlp_ft.config.package import PackageConfig
from sparknlp_ft.config.run import LaunchConfig, ScoreConfig, TrackingConfig
from sparknlp_ft.config.section import Section
from sparknlp_ft.config.sections import (
    MODEL_SECTIONS,
    AnswerConfig,
    Config,
    DataConfig,
    DistilConfig,
    GenerateConfig,
    LoraConfig,
    ModelConfig,
    TextConfig,
    TrainConfig,
)

__all__ = [
    "MODEL_SECTIONS",
    "AnswerConfig",
    "CandidateConfig",
    "CompareConfig",
    "Config",
    "DataConfig",
    "DistilConfig",
    "GenerateConfig",
    "KeepConfig",
    "LabelsConfig",
    "LaunchConfig",
    "LoraConfig",
    "ModelConfig",
    "PackageConfig",
    "ScoreConfig",
    "Section",
    "SourceConfig",
    "TextConfig",
    "TrackingConfig",
    "TrainConfig",
    "given_settings",
    "load_config",
    "with_settings",
]
