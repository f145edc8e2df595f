"""The source folders of a configuration."""

from dixonflow.config import CohortConfig
from dixonflow.rawdata.raw_scan import ReadOptions, Source


def sources_of(config: CohortConfig) -> list[Source]:
    """Give the folders of raw data that a configuration names, in its order."""
    return [
        Source(
            source.layout,
            source.folder,
            name_pattern=source.name_pattern,
            match_patient_id=source.match_patient_id,
            options=ReadOptions(source.stations_of_all, source.duplicates, source.time_point, config.personal),
            supersedes=source.supersedes,
            sequences=source.sequences,
            stations=source.stations if isinstance(source.stations, dict) else {},
        )
        for source in config.sources
    ]
