"""Commands of a run: the stages, what Snakemake calls around them, and what looks after a run."""
