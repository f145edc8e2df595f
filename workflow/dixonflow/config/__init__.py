"""The configuration of an experiment."""

from dixonflow.config.cohort import CohortConfig, SourceConfig
from dixonflow.config.experiment import (
    Config,
    KeepConfig,
    MeasureConfig,
    MergeConfig,
    PostprocessConfig,
    SegmentConfig,
    StitchConfig,
    demo_config,
)
from dixonflow.config.read import check_folders, check_readable, parse_config, read_config

__all__ = [
    "CohortConfig",
    "Config",
    "KeepConfig",
    "MeasureConfig",
    "MergeConfig",
    "PostprocessConfig",
    "SegmentConfig",
    "SourceConfig",
    "StitchConfig",
    "check_folders",
    "check_readable",
    "demo_config",
    "parse_config",
    "read_config",
]
