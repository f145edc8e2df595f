"""Statistics over cases: summaries with intervals, comparisons of systems, and what goes with sex and age."""
