"""What jobs ask for."""

_START_MB, _SCAN_MB = 600, 1  # of a scan: 0.6 MB of rows at the measure stage, for each model


def beside_mb(n_scans: int, n_models: int) -> int:
    """Memory of a shard's job beside the process that works: Snakemake, and what watches it and keeps all rows."""
    return _START_MB + _SCAN_MB * n_scans * n_models
