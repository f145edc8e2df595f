"""A shard's work: scans through a stage, each protected from the others, nothing done twice."""
