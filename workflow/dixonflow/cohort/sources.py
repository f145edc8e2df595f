"""The source folders of a configuration."""

from dixonflow.config import CohortConfig
from dixonflow.rawdata.raw_scan import Source


def sources_of(config: CohortConfig) -> list[Source]:
    """Give the folders of raw data that a configuration names, in its order."""
    return [Source(source.layout, source.folder, match_patient_id=source.match_patient_id) for source in config.sources]
