"""One run: planned, started, locked, retried, watched. Empty on purpose: the Snakefile is read again in every job."""
