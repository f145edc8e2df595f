"""Label maps of other programs for the scans of a run: how far they agree with it, and where they do not."""
