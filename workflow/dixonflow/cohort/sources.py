"""The source folders of a configuration."""

from dixonflow.cohort.raw import Source
from dixonflow.config import CohortConfig


def sources_of(config: CohortConfig) -> list[Source]:
    """Give the folders of raw data that a configuration names, in its order."""
    return [Source(source.layout, source.folder, match_patient_id=source.match_patient_id) for source in config.sources]
